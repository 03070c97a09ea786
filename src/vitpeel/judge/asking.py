"""Asking a language model of OpenAI's API: what is stored is not asked again, and the cap is kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vitpeel.errors import VitpeelError
from vitpeel.judge.calls import Asker, Call
from vitpeel.judge.replies import Replies

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terms:
    """How the API is asked. Nothing here changes what is asked.

    usd_per_million_input, usd_per_million_output: the model's prices, USD per million tokens. cap: USD that
    the replies' file may cost in all, over all runs. concurrency: calls under way at a time. timeout: seconds
    until a silent call is given up. retries: after passing faults (rate limit, failures, lost connection).
    attempts: how often a question is asked in all while the replies are off the form. batch: by the Batch
    API, half the price, within a day; poll: seconds between looks at it. base_url: another endpoint that
    answers as OpenAI's does. backoff: seconds before the first repetition; it doubles from there.
    """

    usd_per_million_input: float
    usd_per_million_output: float
    cap: float
    concurrency: int = 4
    timeout: float = 120.0
    retries: int = 6
    attempts: int = 2
    batch: bool = False
    poll: float = 30.0
    base_url: str | None = None
    backoff: float = 1.0

    @classmethod
    def among(cls, settings: Mapping[str, Any]) -> Terms:
        """The terms among settings that hold more than them."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in names})


def ask(
    calls: Sequence[Call[object]],
    model: str,
    terms: Terms,
    store: Replies,
    key: str | None,
    asker: Asker,
) -> None:
    """Ask what `store` holds no outcome for; equal calls once. model: that all of them ask.

    key: of the API, not needed if there is nothing to ask. Raises VitpeelError where the asking cannot go on
    (no or a wrong key, the cap, an API that fails for good); what was answered until then is kept.
    """
    distinct: dict[str, Call[object]] = {}
    for call in calls:
        distinct.setdefault(call.key, call)
    waiting = [call for call in distinct.values() if store.outcome(call, terms.attempts) is None]
    log.info("%d questions to %s, %d of them open", len(distinct), model, len(waiting))
    if waiting:
        _ask(waiting, len(distinct), model, terms, store, key, asker)


def _ask(
    waiting: Sequence[Call[object]],
    total: int,
    model: str,
    terms: Terms,
    store: Replies,
    key: str | None,
    asker: Asker,
) -> None:
    # A second of import, and a client, only where something is to be asked.
    from openai import OpenAI

    from vitpeel.judge import batch, faults, live
    from vitpeel.judge.costs import BATCH_DISCOUNT, Budget, Prices, estimate
    from vitpeel.judge.pacing import Pace

    key = faults.check_key(key, len(waiting), store.path, asker)
    store.check_writable()
    prices = Prices(terms.usd_per_million_input, terms.usd_per_million_output)
    discount = BATCH_DISCOUNT if terms.batch else 1.0
    costs = [estimate(call, prices, discount) for call in waiting]
    expected, most = sum(cost.expected for cost in costs), sum(cost.most for cost in costs)
    log.info(
        "%d calls to %s: about %.2f USD, at most %.2f a try; %.2f spent before, cap %.2f",
        *(len(waiting), model, expected, most, store.spent, terms.cap),
    )
    if store.spent + expected > terms.cap:
        raise VitpeelError(
            f"{asker.section}.cap: {len(waiting)} calls to {model} cost about {expected:.2f} USD and "
            f"{store.spent:.2f} are spent, but the cap is {terms.cap:.2f}. Nothing was asked. Raise the cap, "
            f"or {asker.fewer}."
        )
    # The pace repeats calls, for all workers together; the client itself must not.
    client = OpenAI(api_key=key, base_url=terms.base_url, timeout=terms.timeout, max_retries=0)
    budget = Budget(terms.cap, store.spent)
    pace = Pace(terms.retries, key, asker, terms.backoff)
    desk = live.Desk(client, asker, model, prices, budget, pace, store, terms.attempts)
    try:
        with client:
            batch.collect_open(waiting, desk, terms.poll)
            if terms.batch:
                batch.ask(waiting, desk, terms.poll)
            else:
                live.ask(waiting, desk, terms.concurrency)
    except VitpeelError as stopped:
        left = sum(store.outcome(call, terms.attempts) is None for call in waiting)
        raise VitpeelError(
            f"{stopped} ({total - left} of {total} questions are answered and kept in {store.path})"
        ) from None
    log.info("%.2f USD spent", store.spent)
