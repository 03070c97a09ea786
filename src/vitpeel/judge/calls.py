"""A call to a language model as asking, its costs and its replies know it, and who makes it.

The judge asks about pictures (`questions`), the labeller about the texts of attention heads
(`clip.labelling`); `asking` and what it uses serve both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Detail = Literal["low", "high"]
Reasoning = Literal["none"] | None


class OffForm(Exception):
    """An answer of the right form that does not answer what was asked; its message says how."""


@dataclass(frozen=True)
class SentPicture:
    """Width and height, in pixels, of a picture as it is sent, and at what size the API looks at it."""

    width: int
    height: int
    detail: Detail


class Call(Protocol[T_co]):
    """One call, and how its answer is read."""

    @property
    def key(self) -> str:
        """Hash of model, text and all else that determines the answer: equal calls are made once."""

    @property
    def about(self) -> str:
        """Which picture, or head, it asks about."""

    @property
    def text(self) -> str:
        """What it is asked."""

    @property
    def picture(self) -> SentPicture | None:
        """What it is shown."""

    @property
    def usual_tokens(self) -> int:
        """Tokens that an answer usually takes."""

    @property
    def answer_tokens(self) -> int:
        """The most tokens that the answer may take."""

    @property
    def form(self) -> type[BaseModel]:
        """The form of the answer; its JSON schema is sent along."""

    def body(self) -> dict[str, Any]:
        """Arguments of `chat.completions.parse`, without the response format."""

    def answer(self, text: str) -> T_co:
        """Read an answer. Raises pydantic's ValidationError, or OffForm, for one that is no use."""


@dataclass(frozen=True)
class Asker:
    """Who asks, for messages and for the replies' file.

    name: "judge". section: of the configuration, that holds the terms. subject: what a call is about; field:
    where a stored reply says so. instead: what to set to do without asking; fewer: what to do to ask less.
    """

    name: str
    section: str
    subject: str
    field: str
    instead: str
    fewer: str


def chat(
    model: str, reasoning: Reasoning, answer_tokens: int, content: Sequence[Mapping[str, object]]
) -> dict[str, Any]:
    """Arguments of a chat completion with one message. reasoning: None is not sent."""
    effort = {"reasoning_effort": reasoning} if reasoning else {}
    return {
        "model": model,
        "temperature": 0,
        **effort,
        "max_completion_tokens": answer_tokens,
        "messages": [{"role": "user", "content": content}],
    }


def response_format(form: type[BaseModel]) -> dict[str, Any]:
    """The form of an answer, as the API wants it."""
    schema = {"name": form.__name__, "strict": True, "schema": form.model_json_schema()}
    return {"type": "json_schema", "json_schema": schema}
