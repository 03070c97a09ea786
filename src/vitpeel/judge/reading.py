"""From the raw text of an API reply to an answer, or to why there is none. Live, batch and recorded alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from pydantic import BaseModel, Field, ValidationError

from vitpeel.judge.calls import Call, OffForm, T

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
class Answered(Generic[T]):
    """A valid answer. model: as the API names it."""

    value: T
    model: str


@dataclass(frozen=True)
class Refused:
    """The model, or the API's content filter, declined to answer. Asking again is no use."""

    reason: str


@dataclass(frozen=True)
class Unusable:
    """A reply that breaks the form: cut off, off the scale, something missing. Another may do better."""

    reason: str


Outcome = Answered[T] | Refused | Unusable


def read(body: str, call: Call[T]) -> Outcome[T]:
    """What the body of a chat completion answers to a call."""
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
        return Answered(call.answer(text), completion.model)
    except ValidationError as error:
        return Unusable(f"{_first(error)}: {_excerpt(text)}")
    except OffForm as fault:
        return Unusable(str(fault))


def why(failed: Outcome[object] | None, attempts: int) -> str:
    """Why there is no answer after so many attempts, in a few words."""
    if isinstance(failed, Refused):
        return f"refused ({failed.reason})"
    return f"unusable {attempts} times ({failed.reason if isinstance(failed, Unusable) else 'not asked'})"


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
