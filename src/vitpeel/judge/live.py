"""Asking now: several calls under way at a time, every reply stored before it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import openai

from vitpeel.errors import VitpeelError
from vitpeel.judge.calls import Asker, Call
from vitpeel.judge.costs import Budget, Prices, charged, estimate
from vitpeel.judge.faults import ContentRefused, about_the_content, without_key
from vitpeel.judge.pacing import Pace, Stopped
from vitpeel.judge.replies import Replies
from vitpeel.logs import progress


@dataclass(frozen=True)
class Desk:
    """All that one asking shares. model: that every call asks; attempts: how often a question with unusable
    replies is asked in all."""

    client: openai.OpenAI
    asker: Asker
    model: str
    prices: Prices
    budget: Budget
    pace: Pace
    replies: Replies
    attempts: int


def ask(calls: Sequence[Call[object]], desk: Desk, concurrency: int) -> None:
    """Ask every question until the replies hold an outcome for it.

    Raises VitpeelError where that cannot go on; calls under way are awaited and stored first.
    """
    with ThreadPoolExecutor(concurrency, thread_name_prefix=desk.asker.name) as pool:
        pending: list[Future[None]] = [pool.submit(_settle, call, desk) for call in calls]
        try:
            for done in progress(as_completed(pending), len(pending), f"{desk.asker.name}'s answers"):
                done.result()
        except BaseException:
            # Whatever ends it, Ctrl-C too: nothing new is sent, and what is paid for is awaited and stored.
            desk.pace.stop.set()
            for future in pending:
                future.cancel()
            raise


def _settle(call: Call[object], desk: Desk) -> None:
    try:
        while desk.replies.outcome(call, desk.attempts) is None:
            _ask_once(call, desk)
    except Stopped:
        return
    except BaseException:
        # Here and not in the main thread: this very worker would take up the next question meanwhile.
        desk.pace.stop.set()
        raise


def _ask_once(call: Call[object], desk: Desk) -> None:
    most = estimate(call, desk.prices).most
    if not desk.budget.take(most, desk.pace.stop):
        if desk.pace.stop.is_set():
            raise Stopped
        raise VitpeelError(cap_reached(desk, most))
    cost = 0.0
    try:
        cost = _send(call, desk, most)
    finally:
        desk.budget.settle(most, cost)


def _send(call: Call[object], desk: Desk, most: float) -> float:
    """Send one call, store what comes, return its cost."""
    arguments = call.body()

    def send() -> str:
        # Raw: the client would raise on a reply off the form, and what was paid for would be gone.
        ask_raw = desk.client.chat.completions.with_raw_response.parse
        try:
            return ask_raw(**arguments, response_format=call.form).text
        except openai.BadRequestError as error:
            if about_the_content(error):
                raise ContentRefused(without_key(error.message, desk.client.api_key)) from None
            raise

    own = {desk.asker.field: call.about}

    def lost(reason: str) -> None:
        # Nobody knows whether it was charged: the cap must hold even if it was.
        desk.replies.write("lost", most, key=call.key, **own, reason=reason)
        desk.budget.settle(0.0, most)
        if desk.budget.exhausted:
            raise VitpeelError(cap_reached(desk, most))

    about = {"key": call.key, "model": desk.model, **own}
    try:
        body = desk.pace.send(send, lost, f"{desk.asker.subject} {call.about}")
    except ContentRefused as refusal:
        desk.replies.write("refusal", 0.0, **about, reason=str(refusal))
        return 0.0
    cost = charged(body, desk.prices, most)
    desk.replies.write("reply", cost, **about, body=body)
    return cost


def cap_reached(desk: Desk, needed: float) -> str:
    """The line for a call that the cap does not allow."""
    return (
        f"{desk.asker.section}.cap: {desk.budget.spent:.2f} of {desk.budget.cap:.2f} USD are spent and the "
        f"next call may cost {needed:.3f}. Raise the cap and run `snakemake` again"
    )
