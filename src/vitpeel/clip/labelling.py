"""Labels by in-context learning (section 3): a language model sees five labelled heads and labels the rest.

It sees texts, no pictures. Replies are stored as they come, asked for once, and capped as the judge's are
(`judge.asking`).
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from vitpeel.clip.head_texts import Head
from vitpeel.clip.lexicon import LONGEST, NONE, Labelled
from vitpeel.errors import VitpeelError
from vitpeel.judge import asking
from vitpeel.judge.asking import Terms
from vitpeel.judge.calls import Asker, OffForm, Reasoning, chat, response_format
from vitpeel.judge.reading import Answered, why
from vitpeel.judge.replies import Replies
from vitpeel.provenance import canonical

log = logging.getLogger(__name__)

NAME = "openai"
TEMPLATE, EXAMPLES = "labelling.md", "examples.yaml"
LABELLER = Asker(
    name="labeller",
    section="clip.labels.openai",
    subject="head",
    field="head",
    instead="set clip.labels.kind to lexicon",
    fewer="label fewer models",
)


class HeadLabel(BaseModel):
    """The form of an answer, sent along as a JSON schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(description="The property, in one to three words.")
    matches: list[int] = Field(description="Numbers of the texts that show the property.")


@dataclass(frozen=True)
class Asked:
    """What determines the answers. model: a dated name; reasoning: the effort that a reasoning model is told,
    None is not sent."""

    model: str
    reasoning: Reasoning = None


@dataclass(frozen=True)
class Question:
    """One call (`judge.calls.Call`). about: the head; count: how many texts it is labelled by."""

    key: str
    about: str
    text: str
    count: int
    asked: Asked
    form = HeadLabel
    picture = None

    @property
    def usual_tokens(self) -> int:
        """Tokens that an answer usually takes."""
        return 24 + 2 * self.count

    @property
    def answer_tokens(self) -> int:
        """The most tokens that the answer may take."""
        return 128 + 8 * self.count

    def body(self) -> dict[str, Any]:
        """Arguments of `chat.completions.parse`, without the response format."""
        content = [{"type": "text", "text": self.text}]
        return chat(self.asked.model, self.asked.reasoning, self.answer_tokens, content)

    def answer(self, text: str) -> Labelled:
        """A label, and which texts match it. Raises ValidationError, OffForm."""
        found = HeadLabel.model_validate_json(text)
        label = " ".join(found.label.split())
        if not 0 < len(label) <= LONGEST:
            raise OffForm(f"its label has {len(label)} characters; 1 to {LONGEST} are allowed")
        numbers = set(found.matches)
        if len(numbers) < len(found.matches) or not numbers <= set(range(1, self.count + 1)):
            raise OffForm(f"it names texts {found.matches} of {self.count}")
        if label.lower() == NONE:
            return Labelled(NONE, (False,) * self.count)
        return Labelled(label, tuple(number in numbers for number in range(1, self.count + 1)))


def origin(asked: Asked) -> dict[str, object]:
    """What to write into the provenance of this labeller's labels."""
    parts = [_file(TEMPLATE), _file(EXAMPLES)]
    prompt = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return {"kind": NAME, "name": asked.model, **asdict(asked), "prompt": prompt}


def label(
    heads: Sequence[Head], asked: Asked, terms: Terms, replies: Path, key: str | None
) -> list[Labelled]:
    """Label every head, in order.

    replies: the file of stored replies, made if it is not there. key: of the API, not needed if every
    question is answered there. Raises VitpeelError where the asking cannot go on, as the judge does, and
    where a head gets no label, because the scores need one of each; all others are kept.
    """
    store = Replies(replies, LABELLER.name)
    calls = [question(head, asked) for head in heads]
    asking.ask(calls, asked.model, terms, store, key, LABELLER)
    found: list[Labelled] = []
    failed: list[str] = []
    for call in calls:
        outcome = store.outcome(call, terms.attempts)
        if isinstance(outcome, Answered):
            found.append(outcome.value)
        else:
            failed.append(f"{call.about}: {why(outcome, terms.attempts)}")
            log.warning("head %s", failed[-1])
    if failed:
        raise VitpeelError(
            f"{len(failed)} of {len(heads)} heads got no label, first {failed[0]}. Write their labels into "
            f"clip.labels.overrides; the other replies are kept in {store.path}."
        )
    return found


def question(head: Head, asked: Asked) -> Question:
    """The call that labels one head."""
    text = prompt(head.texts)
    parts = {**asdict(asked), "prompt": text, "answer": response_format(HeadLabel)}
    key = hashlib.sha256(canonical(parts).encode()).hexdigest()
    return Question(key, f"{head.name} of {head.model}", text, len(head.texts), asked)


def prompt(texts: Sequence[str]) -> str:
    """What is asked. Texts are quoted as JSON, so that none can end its line."""
    return Template(_file(TEMPLATE)).substitute(EXAMPLES=_examples(), TEXTS=_listed(texts))


@cache
def _examples() -> str:
    shown = []
    for example in yaml.safe_load(_file(EXAMPLES)):
        answer = HeadLabel(label=example["label"], matches=example["matches"])
        shown.append(f"{_listed(example['texts'])}\n{answer.model_dump_json()}")
    return "\n\n".join(shown)


def _listed(texts: Sequence[str]) -> str:
    lines = (f"{number}. {json.dumps(text, ensure_ascii=False)}" for number, text in enumerate(texts, 1))
    return "\n".join(lines)


@cache
def _file(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
