"""When a call may be sent, and sent again: one pause for all when the API says that we are too fast."""

from __future__ import annotations

import email.utils
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import openai

from vitpeel.errors import VitpeelError
from vitpeel.judge.calls import Asker
from vitpeel.judge.faults import explain, passing

log = logging.getLogger(__name__)
T = TypeVar("T")

_LONGEST_BACKOFF = 60.0  # seconds
_LONGEST_PAUSE = 900.0  # seconds; an API that asks for more wants us back another day


class Stopped(Exception):
    """Another worker ended the asking; this one had nothing under way."""


class Pace:
    """Shared by all workers. first: seconds before the first repetition; it doubles from there.

    key: kept out of every message.
    """

    def __init__(self, retries: int, key: str, asker: Asker, first: float = 1.0) -> None:
        self.stop = threading.Event()
        self._retries = retries
        self._key = key
        self._asker = asker
        self._first = first
        self._not_before = 0.0
        self._lock = threading.Lock()

    def send(self, call: Callable[[], T], lost: Callable[[str], None], what: str) -> T:
        """Send `call`, again after passing faults. what: the call in a message.

        lost: told why, where a call was sent and no answer came, so that it may have been charged. Raises
        VitpeelError when sending again is no use, Stopped when another worker ended the asking.
        """
        faults, held = 0, 0.0
        while True:
            self._wait(0.0)
            try:
                return call()
            except openai.APIError as error:
                fault = explain(error, self._key, self._asker)
                if fault.perhaps_charged:
                    lost(fault.reason)
                if not passing(error):
                    raise VitpeelError(fault.line) from None
                asked = _asked_to_wait(error)
                # Waiting as long as the API says is no failed attempt: one of many workers may be unlucky.
                held, faults = held + (asked or 0.0), faults + (asked is None)
                if held > _LONGEST_PAUSE:
                    reason = f"{what}: {fault.reason}. The API asks to wait {held / 60:,.0f} minutes in all"
                    raise VitpeelError(f"{reason}: run `snakemake` again then.") from None
                if faults > self._retries:
                    raise VitpeelError(f"{what}: given up after {faults} failures. {fault.line}") from None
                seconds = self._backoff(faults) if asked is None else asked
                log.info("%s: %s; waiting %.1f s", what, fault.reason, seconds)
                self._pause(seconds, everyone=isinstance(error, openai.RateLimitError))

    def _pause(self, seconds: float, everyone: bool) -> None:
        if everyone:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + seconds)
        else:
            self._wait(seconds)

    def _backoff(self, faults: int) -> float:
        # Workers that failed together must not come back together.
        return min(self._first * 2.0 ** (faults - 1), _LONGEST_BACKOFF) * random.uniform(0.75, 1.25)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            if self.stop.is_set():
                raise Stopped
            left = max(until, self._not_before) - time.monotonic()
            if left <= 0:
                return
            self.stop.wait(left)


def _asked_to_wait(error: openai.APIError) -> float | None:
    if not isinstance(error, openai.APIStatusError):
        return None
    return retry_after(error.response.headers, time.time())


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the response asks to wait, by retry-after-ms, or retry-after in seconds or as a date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return seconds if math.isfinite(seconds) and seconds > 0 else None
    parsed = email.utils.parsedate_tz(headers.get("retry-after"))
    seconds = float(email.utils.mktime_tz(parsed)) - now if parsed else 0.0
    return seconds if seconds > 0 else None
