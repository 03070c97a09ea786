"""What the language model is asked: the prompt of Figure 4 with the picture, and the key of the question."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict

from vitpeel.datasets.pictures import open_rgb
from vitpeel.errors import InputError, VitpeelError
from vitpeel.judge.calls import Detail, OffForm, Reasoning, SentPicture, chat, response_format
from vitpeel.judge.criteria import Series, Verdict
from vitpeel.provenance import canonical

TEMPLATE = "prompt.md"
# The API scales a picture down to these sides (pixels) before it looks, so nothing larger is sent.
_LONGEST = {"low": 512, "high": 2048}
_SHORTER = {"low": 512, "high": 768}
_LAYER_TOKENS = 64  # one entry of the answer, generously: 30 tokens as compact JSON
_USUAL_LAYER_TOKENS = 32


class Answer(BaseModel):
    """The form of an answer, sent along as a JSON schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: list[Verdict]


RESPONSE_FORMAT = response_format(Answer)


@dataclass(frozen=True)
class Asked:
    """What determines the answers. model: a dated name, whose answers do not drift as an alias's do.

    calls: "image" puts all layers of a picture into one call; "layer" asks for each layer by itself, beside
    the layer before it. detail: at what size the API looks at the picture. reasoning: the effort that a
    reasoning model is told; with "none" alone it allows temperature 0. None: not sent, for other models.
    """

    model: str
    calls: Literal["image", "layer"] = "image"
    detail: Detail = "high"
    reasoning: Reasoning = None


@dataclass(frozen=True)
class Question:
    """One call (`calls.Call`). key: sha256 of model, prompt and content; path: of the picture; layers: those
    that the answer must score."""

    key: str
    image_id: str
    path: Path
    text: str
    layers: tuple[int, ...]
    asked: Asked
    form = Answer

    @property
    def about(self) -> str:
        """The picture's id."""
        return self.image_id

    @property
    def picture(self) -> SentPicture:
        """The picture as it is sent."""
        return _sent(self.path, self.asked.detail)

    @property
    def usual_tokens(self) -> int:
        """Tokens that an answer usually takes."""
        return _USUAL_LAYER_TOKENS * len(self.layers)

    @property
    def answer_tokens(self) -> int:
        """The most tokens that the answer may take."""
        return 128 + _LAYER_TOKENS * len(self.layers)

    def body(self) -> dict[str, Any]:
        """Arguments of `chat.completions.parse`, without the response format."""
        detail = self.asked.detail
        picture = {"url": _data_uri(self.path, detail), "detail": detail}
        content: list[dict[str, object]] = [
            {"type": "text", "text": self.text},
            {"type": "image_url", "image_url": picture},
        ]
        return chat(self.asked.model, self.asked.reasoning, self.answer_tokens, content)

    def answer(self, text: str) -> tuple[Verdict, ...]:
        """A verdict for every layer asked for, in that order. Raises ValidationError, OffForm."""
        verdicts = tuple(Answer.model_validate_json(text).layers)
        found = tuple(verdict.layer for verdict in verdicts)
        if found != self.layers:
            raise OffForm(f"it scores layers {_listed(found)} where {_listed(self.layers)} were asked for")
        return verdicts


@cache
def template() -> str:
    """The shipped prompt, with its places for the layers to be scored and for the list of layers."""
    return importlib.resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")


def prompt(layers: Iterable[int], captions: Iterable[str], scored: Iterable[int]) -> str:
    """The text of a question. Captions are quoted as JSON, so that none can end its line."""
    lines = (
        f"Layer {layer}: {json.dumps(c, ensure_ascii=False)}"
        for layer, c in zip(layers, captions, strict=True)
    )
    return Template(template()).substitute(SCORED=", ".join(map(str, scored)), LAYERS_LIST="\n".join(lines))


def questions(own: Series, asked: Asked, pictures: Mapping[str, Path]) -> tuple[Question, ...]:
    """The calls that judge one series, in the order of its layers.

    pictures: image_id -> file. Raises VitpeelError for a picture that is not in it, InputError for one that
    is not on disk.
    """
    if own.image_id not in pictures:
        raise VitpeelError(f"picture {own.image_id}: captioned, but not in the table of pictures.")
    path = pictures[own.image_id]
    if asked.calls == "image":
        return (_question(own, asked, path, slice(None), own.layers),)
    steps = range(len(own.layers))
    return tuple(
        _question(own, asked, path, slice(max(i - 1, 0), i + 1), own.layers[i : i + 1]) for i in steps
    )


def _question(own: Series, asked: Asked, path: Path, shown: slice, scored: tuple[int, ...]) -> Question:
    text = prompt(own.layers[shown], own.captions[shown], scored)
    parts = {
        "model": asked.model,
        "detail": asked.detail,
        "reasoning": asked.reasoning,
        "prompt": text,
        "picture": _digest(path),
        "answer": RESPONSE_FORMAT,
    }
    key = hashlib.sha256(canonical(parts).encode()).hexdigest()
    return Question(key, own.image_id, path, text, scored, asked)


def _listed(layers: tuple[int, ...]) -> str:
    return ", ".join(map(str, layers)) or "none"


@cache
def _digest(path: Path) -> str:
    # Of the file, not of what is sent: another Pillow may compress otherwise and must not ask again.
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: the picture cannot be read ({error.strerror}). Put it back.") from error


@cache
def _sent(path: Path, detail: Detail) -> SentPicture:
    return SentPicture(*_sent_size(*open_rgb(path).size, detail), detail)


def _data_uri(path: Path, detail: Detail) -> str:
    image = open_rgb(path)
    buffer = io.BytesIO()
    image.resize(_sent_size(*image.size, detail), Image.Resampling.LANCZOS).save(
        buffer, "JPEG", quality=95, subsampling=0
    )
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _sent_size(width: int, height: int, detail: Detail) -> tuple[int, int]:
    longest, shorter = _LONGEST[detail] / max(width, height), _SHORTER[detail] / min(width, height)
    scale = min(longest, shorter, 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)
