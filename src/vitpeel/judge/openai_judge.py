"""The judge of Figure 5 as the paper has it: a vision-language model of OpenAI's API, asked as in Figure 4.

The model sees the picture and what the layers say about it. Replies are stored as they come (`replies`): a
rerun asks nothing twice, and with the stored replies nobody needs a key.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from vitpeel.errors import VitpeelError
from vitpeel.judge import reading
from vitpeel.judge.criteria import Series, Verdict, frame, series, settled
from vitpeel.judge.questions import Asked, Question, questions, template
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


def origin(asked: Asked) -> dict[str, object]:
    """What to write into the provenance of this judge's scores."""
    prompt = hashlib.sha256(template().encode()).hexdigest()[:16]
    return {"kind": "openai", "name": asked.model, **asdict(asked), "prompt": prompt}


def score(
    captions: pd.DataFrame,
    pictures: Mapping[str, Path],
    asked: Asked,
    terms: Terms,
    replies: Path,
    key: str | None,
) -> pd.DataFrame:
    """Return a `scores` table (`criteria.METRICS`) for a `captions` table.

    pictures: image_id -> file. replies: the file of stored replies, made if it is not there. key: of the API,
    not needed if every question is answered there. A picture that the model refuses, or answers off the form
    every time, is left out, and logged. Raises VitpeelError where the asking cannot go on (no or a wrong key,
    the cap, an API that fails for good) and where no picture is left.
    """
    owned = [(own, questions(own, asked, pictures)) for own in series(captions)]
    store = Replies(replies)
    distinct = {question.key: question for _, asked_for in owned for question in asked_for}
    waiting = [q for q in distinct.values() if store.outcome(q.key, q.layers, terms.attempts) is None]
    log.info("%d questions to %s, %d of them open", len(distinct), asked.model, len(waiting))
    if waiting:
        _ask(waiting, len(distinct), asked, terms, store, key)
    return frame(_judged(owned, store, terms.attempts))


def _ask(
    waiting: Sequence[Question], total: int, asked: Asked, terms: Terms, store: Replies, key: str | None
) -> None:
    # A second of import, and a client, only where something is to be asked.
    from openai import OpenAI

    from vitpeel.judge import batch, faults, live
    from vitpeel.judge.costs import BATCH_DISCOUNT, Budget, Prices, estimate
    from vitpeel.judge.pacing import Pace

    key = faults.check_key(key, len(waiting), store.path)
    store.check_writable()
    prices = Prices(terms.usd_per_million_input, terms.usd_per_million_output)
    discount = BATCH_DISCOUNT if terms.batch else 1.0
    costs = [estimate(question, asked, prices, discount) for question in waiting]
    expected, most = sum(cost.expected for cost in costs), sum(cost.most for cost in costs)
    log.info(
        "%d calls to %s: about %.2f USD, at most %.2f a try; %.2f spent before, cap %.2f",
        *(len(waiting), asked.model, expected, most, store.spent, terms.cap),
    )
    if store.spent + expected > terms.cap:
        raise VitpeelError(
            f"judge.openai.cap: {len(waiting)} calls to {asked.model} cost about {expected:.2f} USD and "
            f"{store.spent:.2f} are spent, but the cap is {terms.cap:.2f}. Nothing was asked. Raise the cap, "
            "or judge fewer pictures or layers."
        )
    # The pace repeats calls, for all workers together; the client itself must not.
    client = OpenAI(api_key=key, base_url=terms.base_url, timeout=terms.timeout, max_retries=0)
    budget = Budget(terms.cap, store.spent)
    pace = Pace(terms.retries, key, terms.backoff)
    desk = live.Desk(client, asked, prices, budget, pace, store, terms.attempts)
    try:
        with client:
            batch.collect_open(waiting, desk, terms.poll)
            if terms.batch:
                batch.ask(waiting, desk, terms.poll)
            else:
                live.ask(waiting, desk, terms.concurrency)
    except VitpeelError as stopped:
        left = sum(store.outcome(q.key, q.layers, terms.attempts) is None for q in waiting)
        raise VitpeelError(
            f"{stopped} ({total - left} of {total} questions are answered and kept in {store.path})"
        ) from None
    log.info("%.2f USD spent", store.spent)


def _judged(
    owned: Sequence[tuple[Series, tuple[Question, ...]]], store: Replies, attempts: int
) -> list[tuple[Series, Sequence[Verdict]]]:
    """The series whose every question has a valid answer; the others are logged with the reason."""
    judged: list[tuple[Series, Sequence[Verdict]]] = []
    reasons: list[str] = []
    models: set[str] = set()
    for own, asked_for in owned:
        outcomes = [store.outcome(q.key, q.layers, attempts) for q in asked_for]
        scored = [outcome for outcome in outcomes if isinstance(outcome, reading.Scored)]
        models |= {outcome.model for outcome in scored}
        if len(scored) == len(asked_for):
            judged.append((own, settled([verdict for outcome in scored for verdict in outcome.verdicts])))
            continue
        failed = next(o for o in outcomes if not isinstance(o, reading.Scored))
        what = "refused" if isinstance(failed, reading.Refused) else f"unusable {attempts} times"
        reasons.append(f"picture {own.image_id}: {what} ({failed.reason if failed else 'not asked'})")
        log.warning("%s; left out", reasons[-1])
    if not judged:
        raise VitpeelError(
            f"The judge scored none of {len(owned)} pictures. {reasons[0] if reasons else 'No captions.'} "
            f"Its replies are in {store.path}."
        )
    log.info("answered by %s", ", ".join(sorted(models)) or "a model that the API does not name")
    return judged
