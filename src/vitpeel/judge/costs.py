"""What asking costs: an estimate before it starts, and a cap that is kept while it goes on."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from vitpeel.judge.calls import Call, Detail
from vitpeel.judge.reading import usage

_CHARACTERS_A_TOKEN = 3.0  # English has about 4: the estimate errs on the high side
_FORM_TOKENS = 300  # the answer's JSON schema and the frame around the messages
# Models of the gpt-4o family charge for tiles, later ones for patches, with a factor of up to this.
_BASE_TOKENS, _TILE, _TILE_TOKENS = 85, 512, 170
_PATCH, _PATCH_TOKENS = 32, 1.62
BATCH_DISCOUNT = 0.5  # what the Batch API charges of the usual price


@dataclass(frozen=True)
class Prices:
    """USD per million tokens."""

    input_million: float
    output_million: float

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        """Cost of so many tokens."""
        return (input_tokens * self.input_million + output_tokens * self.output_million) / 1e6


@dataclass(frozen=True)
class Estimate:
    """USD of a call: what to expect, and the most that it can be."""

    expected: float
    most: float


def estimate(call: Call[object], prices: Prices, discount: float = 1.0) -> Estimate:
    """Estimate one call. discount: factor on the price (`BATCH_DISCOUNT`)."""
    tokens = len(call.text) / _CHARACTERS_A_TOKEN + _FORM_TOKENS
    shown = call.picture
    if shown is not None:
        tokens += picture_tokens(shown.width, shown.height, shown.detail)
    return Estimate(
        discount * prices.usd(tokens, call.usual_tokens), discount * prices.usd(tokens, call.answer_tokens)
    )


def picture_tokens(width: int, height: int, detail: Detail) -> float:
    """What a picture of so many pixels counts for, by whichever of the API's ways gives more."""
    tiles = math.ceil(width / _TILE) * math.ceil(height / _TILE) if detail == "high" else 0
    patches = math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    return max(_BASE_TOKENS + _TILE_TOKENS * tiles, _PATCH_TOKENS * patches)


def charged(body: str, prices: Prices, otherwise: float, discount: float = 1.0) -> float:
    """What a reply cost by the tokens it reports; `otherwise` if it reports none."""
    used = usage(body)
    if used is None:
        return otherwise
    return discount * prices.usd(used.prompt_tokens, used.completion_tokens)


class Budget:
    """USD that may be spent. A call sets aside its highest estimate before it is sent, and settles after."""

    def __init__(self, cap: float, spent: float) -> None:
        self.cap = cap
        self.spent = spent
        self._taken = 0.0
        self._changed = threading.Condition()

    def take(self, usd: float, stop: threading.Event) -> bool:
        """Set `usd` aside. Waits while calls under way may still turn out cheaper; False: not to be had."""
        with self._changed:
            while self.spent + self._taken + usd > self.cap:
                if self._taken <= 1e-12 or stop.is_set():
                    return False
                self._changed.wait(timeout=0.5)
            self._taken += usd
            return True

    @property
    def exhausted(self) -> bool:
        """Whether what is spent, and what is set aside for calls under way, is more than the cap."""
        return self.spent + self._taken > self.cap

    def settle(self, taken: float, cost: float) -> None:
        """Give back what was set aside for a call, and count what it cost."""
        with self._changed:
            self._taken = max(self._taken - taken, 0.0)
            self.spent += cost
            self._changed.notify_all()
