"""From the raw text of an API reply to verdicts, or to why there are none. Live, batch and recorded alike."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from vitpeel.judge.criteria import Verdict
from vitpeel.judge.questions import Answer

_SHOWN = 120  # characters of a reply that a message quotes


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    finish_reason: str | None = None
    message: _Message


class Usage(BaseModel):
    """Tokens that the API charged for."""

    prompt_tokens: int
    completion_tokens: int


class _Completion(BaseModel):
    model: str = ""
    choices: list[_Choice] = Field(min_length=1)
    usage: Usage | None = None


@dataclass(frozen=True)
class Scored:
    """A valid answer, a verdict for every layer asked for, in that order. model: as the API names it."""

    verdicts: tuple[Verdict, ...]
    model: str


@dataclass(frozen=True)
class Refused:
    """The model, or the API's content filter, declined to judge this picture. Asking again is no use."""

    reason: str


@dataclass(frozen=True)
class Unusable:
    """A reply that breaks the form: cut off, off the scale, a layer missing. Another may do better."""

    reason: str


Outcome = Scored | Refused | Unusable


def read(body: str, layers: tuple[int, ...]) -> Outcome:
    """What the body of a chat completion says about the layers asked for."""
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        return Unusable(f"not a chat completion ({_first(error)}): {_excerpt(body)}")
    choice = completion.choices[0]
    if choice.message.refusal:
        return Refused(_excerpt(choice.message.refusal))
    if choice.finish_reason == "content_filter":
        return Refused("stopped by the API's content filter")
    text = choice.message.content or ""
    try:
        answer = Answer.model_validate_json(text)
    except ValidationError as error:
        return Unusable(f"{_first(error)}: {_excerpt(text)}")
    found = tuple(verdict.layer for verdict in answer.layers)
    if found != layers:
        return Unusable(f"it scores layers {_listed(found)} where {_listed(layers)} were asked for")
    return Scored(tuple(answer.layers), completion.model)


def usage(body: str) -> Usage | None:
    """The tokens of a reply; None if it does not say."""
    try:
        return _Completion.model_validate_json(body).usage
    except ValidationError:
        return None


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else fault["msg"]


def _excerpt(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _listed(layers: tuple[int, ...]) -> str:
    return ", ".join(map(str, layers)) or "none"
