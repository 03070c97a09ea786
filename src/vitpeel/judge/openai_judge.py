"""The judge of Figure 5 as the paper has it: a vision-language model of OpenAI's API, asked as in Figure 4.

The model sees the picture and what the layers say about it. Replies are stored as they come (`replies`): a
rerun asks nothing twice, and with the stored replies nobody needs a key.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from vitpeel.errors import VitpeelError
from vitpeel.judge import asking
from vitpeel.judge.asking import Terms
from vitpeel.judge.calls import Asker
from vitpeel.judge.criteria import Series, Verdict, frame, series, settled
from vitpeel.judge.questions import Asked, Question, questions, template
from vitpeel.judge.reading import Answered, why
from vitpeel.judge.replies import Replies

log = logging.getLogger(__name__)


JUDGE = Asker(
    name="judge",
    section="judge.openai",
    subject="picture",
    field="image_id",
    instead="set judge.kind to rubric",
    fewer="judge fewer pictures or layers",
)


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
    store = Replies(replies, JUDGE.name)
    asking.ask([q for _, asked_for in owned for q in asked_for], asked.model, terms, store, key, JUDGE)
    return frame(_judged(owned, store, terms.attempts))


def _judged(
    owned: Sequence[tuple[Series, tuple[Question, ...]]], store: Replies, attempts: int
) -> list[tuple[Series, Sequence[Verdict]]]:
    """The series whose every question has a valid answer; the others are logged with the reason."""
    judged: list[tuple[Series, Sequence[Verdict]]] = []
    reasons: list[str] = []
    models: set[str] = set()
    for own, asked_for in owned:
        outcomes = [store.outcome(question, attempts) for question in asked_for]
        scored = [outcome for outcome in outcomes if isinstance(outcome, Answered)]
        models |= {outcome.model for outcome in scored}
        if len(scored) == len(asked_for):
            judged.append((own, settled([verdict for outcome in scored for verdict in outcome.value])))
            continue
        failed = next(o for o in outcomes if not isinstance(o, Answered))
        reasons.append(f"picture {own.image_id}: {why(failed, attempts)}")
        log.warning("%s; left out", reasons[-1])
    if not judged:
        raise VitpeelError(
            f"The judge scored none of {len(owned)} pictures. {reasons[0] if reasons else 'No captions.'} "
            f"Its replies are in {store.path}."
        )
    log.info("answered by %s", ", ".join(sorted(models)) or "a model that the API does not name")
    return judged
