"""What asking costs: an estimate before it starts, and a cap that is kept while it goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from vitpeel.judge.questions import Asked, Question, picture_tiles
from vitpeel.judge.reading import usage

_CHARACTERS_A_TOKEN = 3.0  # English has about 4: the estimate errs on the high side
_FORM_TOKENS = 300  # the answer's JSON schema and the frame around the messages
_USUAL_ENTRY_TOKENS = 32  # of the answer, a layer
BATCH_DISCOUNT = 0.5  # what the Batch API charges of the usual price


@dataclass(frozen=True)
class Prices:
    """USD per million tokens, and what a picture counts for in tokens.

    The default tokens are those of the gpt-4o family.
    """

    input_million: float
    output_million: float
    picture_tokens: int = 85
    tile_tokens: int = 170

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        """Cost of so many tokens."""
        return (input_tokens * self.input_million + output_tokens * self.output_million) / 1e6


@dataclass(frozen=True)
class Estimate:
    """USD of a call: what to expect, and the most that it can be."""

    expected: float
    most: float


def estimate(question: Question, asked: Asked, prices: Prices, discount: float = 1.0) -> Estimate:
    """Estimate one call. discount: factor on the price (`BATCH_DISCOUNT`)."""
    text = len(question.text) / _CHARACTERS_A_TOKEN + _FORM_TOKENS
    tiles = picture_tiles(question.picture, asked.detail)
    tokens = text + prices.picture_tokens + prices.tile_tokens * tiles
    usual = _USUAL_ENTRY_TOKENS * len(question.layers)
    return Estimate(
        discount * prices.usd(tokens, usual), discount * prices.usd(tokens, question.answer_tokens)
    )


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
