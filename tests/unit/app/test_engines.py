"""Models are loaded once, also where two visitors ask at the same moment; a failure is not kept."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vitpeel.app.engines import Once


def test_of_many_who_ask_at_once_one_loads() -> None:
    calls: list[int] = []
    together = threading.Barrier(8)

    def load() -> object:
        calls.append(1)
        time.sleep(0.05)
        return object()

    once = Once(load)

    def ask(_: int) -> object:
        together.wait()
        return once()

    with ThreadPoolExecutor(8) as pool:
        found = set(map(id, pool.map(ask, range(8))))
    assert len(calls) == len(found) == 1


def test_after_a_failure_the_next_one_tries_again() -> None:
    answers = iter([OSError("busy"), 5])

    def load() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    once = Once(load)
    with pytest.raises(OSError, match="busy"):
        once()
    assert once() == once() == 5
