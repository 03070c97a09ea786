"""What a visitor chooses by: a picture, a layer and a head, a measure; and what the tabs share.

Nothing of a visitor is kept in the process: what was chosen comes with every event, from the browser or from
the visitor's own session.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from vitpeel.app.engines import Engines
from vitpeel.app.results import Offer, Study
from vitpeel.app.uploads import checked
from vitpeel.clip.head_places import Place
from vitpeel.config.clip import AnalysisSettings
from vitpeel.errors import InputError, VitpeelError

log = logging.getLogger(__name__)

LONGEST_TEXT = 200  # characters
_NO_PICTURE = "Choose a picture first: upload one, or click on one of the run's."


@dataclass(frozen=True)
class PictureInput:
    """Where a picture is uploaded, and where it is chosen from the run's."""

    picture: gr.Image
    examples: gr.Dataset


@dataclass(frozen=True)
class Desk:
    """What the tabs share.

    model: the name of the CLIP model, None where the run has none; pictures: the picture inputs of all
    tabs, as they are laid out.
    """

    offer: Offer
    engines: Engines
    model: gr.Dropdown | None
    pictures: list[PictureInput]

    @property
    def asked(self) -> AnalysisSettings:
        """What the configuration asks of the analyses: what their tabs start with."""
        assert self.offer.settings.clip is not None
        return self.offer.settings.clip.analyses


@dataclass(frozen=True)
class HeadInput:
    """Where a head is chosen: its layer, its number, and a line that says what it is labelled."""

    layer: gr.Dropdown
    head: gr.Dropdown
    about: gr.Markdown


@contextmanager
def plainly() -> Iterator[None]:
    """A refusal inside becomes a message to the visitor; any other exception stays a defect."""
    try:
        yield
    except VitpeelError as refusal:
        log.warning("refused: %s", refusal)
        raise gr.Error(escape(str(refusal)), title="That does not work", print_exception=False) from None


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for files to download, which Gradio copies; what is in it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vitpeel-") as made:
        yield Path(made)


def file_of(path: str | None) -> Path:
    """The file that a picture input gave.  Raises InputError if there is none."""
    if path is None:
        raise InputError(_NO_PICTURE)
    return Path(path)


def written(text: str | None) -> str:
    """The text that a visitor wrote.  Raises InputError if it is empty."""
    words = " ".join((text or "").split())
    if not words:
        raise InputError("Write a text first.")
    return words


def introduction(title: str, words: str) -> None:
    """A tab's title, and a line under it that says what the analysis does."""
    gr.HTML(f'<div class="vp-head"><h2>{escape(title)}</h2><p>{escape(words)}</p></div>')


def picture_input(desk: Desk, first: str | None) -> gr.Image:
    """A picture to upload, or to choose from the run's.  first: id of the one that is there at the start."""
    offer = desk.offer
    start = offer.pictures.get(first or "") or offer.pictures[offer.examples[0]]
    picture = gr.Image(
        value=start.as_posix(),
        type="filepath",
        image_mode=None,
        sources=["upload"],
        label="Picture",
        height=250,
        buttons=[],
        elem_classes="vp-picture",
    )
    # Gradio would open the file itself, and fail without a reason where it is no picture. Events must answer
    # with plain paths: an update (`gr.skip`, `gr.Image(...)`) would bring Gradio's own component back.
    picture.preprocess = _path  # type: ignore[method-assign]
    examples = gr.Dataset(
        components=["image"],
        samples=[[offer.pictures[name].as_posix()] for name in offer.examples],
        type="index",
        label="Or one of the run's pictures",
        elem_classes="vp-examples",
    )
    desk.pictures.append(PictureInput(picture, examples))
    return picture


def connect_pictures(desk: Desk) -> None:
    """What is chosen in one tab is chosen in all; to be called when all tabs are laid out."""
    files = [desk.offer.pictures[name].as_posix() for name in desk.offer.examples]
    every = [one.picture for one in desk.pictures]
    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

    def take(path: str, *others: str | None) -> Any:
        """The upload in every tab; refused, it leaves its own input and the others keep theirs."""
        try:
            checked(Path(path))
        except VitpeelError as refusal:
            gr.Warning(escape(str(refusal)), title="Not a usable picture")
            return [None, *others] if others else None
        return [path] * len(every) if others else path

    def example(at: int) -> Any:
        return [files[at]] * len(every) if len(every) > 1 else files[at]

    for one in desk.pictures:
        inputs = [one.picture, *(picture for picture in every if picture is not one.picture)]
        one.picture.upload(take, inputs, inputs, **hidden)
        one.examples.click(example, one.examples, every, trigger_mode="always_last", **hidden)


def head_input(desk: Desk, first: Place | None) -> HeadInput:
    """A layer and one of its heads, whose label stands beside it; follows the model that is chosen.

    first: of the model that is chosen at the start.
    """
    assert desk.model is not None
    study = desk.offer.studies[str(desk.model.value)]
    layer, number = first or study.places[-1]
    with gr.Row():
        layers = gr.Dropdown(_layers(study), value=layer, label="Layer", min_width=90, scale=1)
        heads = gr.Dropdown(_heads(study, layer), value=number, label="Head and its label", scale=2)
    about = gr.Markdown(_about(study, (layer, number)), elem_classes="vp-muted")
    studies = desk.offer.studies

    def of_model(name: str, layer: int, head: int) -> tuple[Any, Any, str]:
        own = studies[name]
        layer = layer if layer in own.layers else own.layers[-1]
        head = head if head in own.heads(layer) else own.heads(layer)[0]
        choice = gr.Dropdown(_layers(own), value=layer), gr.Dropdown(_heads(own, layer), value=head)
        return *choice, _about(own, (layer, head))

    def of_layer(name: str, layer: int, head: int) -> tuple[Any, str]:
        return of_model(name, layer, head)[1:]

    def of_head(name: str, layer: int, head: int) -> str:
        return _about(studies[name], (layer, head))

    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    inputs = [desk.model, layers, heads]
    desk.model.change(of_model, inputs, [layers, heads, about], **hidden)
    layers.input(of_layer, inputs, [heads, about], **hidden)
    heads.input(of_head, inputs, about, **hidden)
    return HeadInput(layers, heads, about)


def measure_input(first: str) -> gr.Radio:
    """By what pictures are near: the angle, or the product."""
    choices = [("Cosine (direction only)", "cosine"), ("Dot product (length counts too)", "dot")]
    return gr.Radio(choices, value=first, label="Nearness")


def text_input(label: str, first: str) -> gr.Textbox:
    """A line of text."""
    return gr.Textbox(first, label=label, max_lines=2, max_length=LONGEST_TEXT)


def place_choices(study: Study) -> list[tuple[str, str]]:
    """Every head with its label, for a list to choose several from."""
    return [
        (f"L{layer}.H{head} {study.label((layer, head))}", f"{layer}.{head}") for layer, head in study.places
    ]


def places_of(chosen: Sequence[str]) -> list[Place]:
    """What such a list gives."""
    return [(int(layer), int(head)) for layer, _, head in (name.partition(".") for name in chosen)]


def _layers(study: Study) -> list[tuple[str, int]]:
    return [(str(layer), layer) for layer in study.layers]


def _heads(study: Study, layer: int) -> list[tuple[str, int]]:
    return [(f"{head} · {study.label((layer, head))}", head) for head in study.heads(layer)]


def _about(study: Study, place: Place) -> str:
    """What a head is labelled, and by which texts."""
    texts = "; ".join(f"“{text}”" for text in study.texts_of(place)[:3])
    name = f"Layer {place[0]}, head {place[1]} of {study.name}"
    return f"{name}: **{study.label(place)}**. Its first texts: {texts}"


def _path(payload: Any) -> str | None:
    """The uploaded file, unopened.  payload: Gradio's description of it."""
    return None if payload is None else payload.path
