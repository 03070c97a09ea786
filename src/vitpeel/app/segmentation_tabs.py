"""The tabs that draw maps (sections 5.2, 5.3): where a head sees a text, and one text rather than another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
from PIL import Image

from vitpeel.app import markup
from vitpeel.app.answers import Answer, filled
from vitpeel.app.inputs import (
    Desk,
    file_of,
    folder,
    head_input,
    introduction,
    picture_input,
    place_choices,
    places_of,
    plainly,
    text_input,
    written,
)
from vitpeel.app.markup import Card
from vitpeel.app.uploads import checked
from vitpeel.clip import analyses
from vitpeel.clip.analyses import Maps, Sight
from vitpeel.clip.lexicon import NONE
from vitpeel.plots import clip_segmentation, style
from vitpeel.tables import write_csv

_TOPIC = (
    "Where in a picture does a single head see a text? Each patch is coloured by how much of the text it "
    "adds to the picture's embedding through that head."
)
_CONTRAST = (
    "Where in a picture do heads see one text rather than another? The map of the second text is taken off "
    "the map of the first, over the heads that you choose."
)
_WAITING = "Press “Draw the map”."
_COLOURS = (style.ORANGE, "#E8E8E8", style.BLUE)


def add_topic(desk: Desk) -> None:
    """Section 5.2."""
    first = desk.asked.topics[0]
    introduction("Topic segmentation by one head", _TOPIC)
    assert desk.model is not None
    studies = desk.offer.studies
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picture = picture_input(desk, first.pictures[0])
            text = text_input("Text", first.text)
            place = head_input(desk, first.head)
            start = gr.Button("Draw the map", variant="primary")
        result = Answer("topic", "Map", _WAITING)

    def run(model: str, path: str | None, text: str, layer: int, head: int) -> Iterator[tuple[Any, ...]]:
        with plainly():
            file = file_of(path)
            labels = studies[model].labels
            sight = analyses.topic(labels, model, [file.stem], written(text), (layer, head))
            yield from _answer(desk, model, sight, file)

    result.on(start, run, [desk.model, picture, text, place.layer, place.head])


def add_contrast(desk: Desk) -> None:
    """Section 5.3."""
    first = desk.asked.contrasts[0]
    introduction("Contrastive segmentation", _CONTRAST)
    assert desk.model is not None
    studies = desk.offer.studies
    study = studies[str(desk.model.value)]
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picture = picture_input(desk, first.picture)
            text = text_input("Text", first.texts[0])
            against = text_input("Rather than", first.texts[1])
            named = [f"{layer}.{head}" for layer, head in first.heads or ()]
            places = gr.Dropdown(
                place_choices(study),
                value=named,
                multiselect=True,
                label="Heads",
                info="None chosen: all heads of the last layers.",
            )
            start = gr.Button("Draw the map", variant="primary")
        result = Answer("contrast", "Map", _WAITING)

    def of_model(model: str, chosen: list[str]) -> Any:
        choices = place_choices(studies[model])
        known = [value for _, value in choices]
        return gr.Dropdown(choices, value=[name for name in chosen or [] if name in known])

    def run(
        model: str, path: str | None, text: str, against: str, chosen: list[str]
    ) -> Iterator[tuple[Any, ...]]:
        with plainly():
            file = file_of(path)
            some = places_of(chosen or []) or studies[model].places
            sight = analyses.contrast(file.stem, written(text), written(against), some)
            yield from _answer(desk, model, sight, file)

    desk.model.change(
        of_model, [desk.model, places], places, show_progress="hidden", api_visibility="private"
    )
    result.on(start, run, [desk.model, picture, text, against, places])


def _answer(desk: Desk, model: str, sight: Sight, file: Path) -> Iterator[tuple[Any, ...]]:
    """The map.  file: of the picture."""
    offer = desk.offer
    (name,) = sight.image_ids
    found = analyses.maps(desk.engines.clip(model), model, [sight], {name: checked(file)})
    source = offer.source(offer.studies[model].checkpoint, 1)
    with folder() as out:
        kind = found.table["analysis"].iloc[0]
        files = out / f"{kind}-{name}.csv", out / f"{kind}-{name}.png"
        write_csv(files[0], _patches(found))
        drawn = clip_segmentation.draw(found.table, found.maps, found.pictures, source)
        style.save([drawn], out / "figure.pdf", files[1])
        yield filled(_shown(model, sight, found) + markup.foot(source), files)


def _patches(found: Maps) -> pd.DataFrame:
    """The map behind the picture, a row a patch: what was asked, row and column from 0, value."""
    down, across = np.indices(found.maps[0].shape)
    values = {"row": down.ravel(), "column": across.ravel(), "value": found.maps[0].ravel()}
    columns = ["model", "analysis", "image_id", "text", "against", "label", "heads"]
    about = {name: found.table[name].iloc[0] for name in columns}
    return pd.DataFrame(values).assign(**about)[[*columns, *values]]


def _shown(model: str, sight: Sight, found: Maps) -> str:
    """The picture as the model saw it, and the map over it."""
    seen, look = found.pictures[0], found.maps[0]
    most = float(np.abs(look).max())
    over = clip_segmentation.overlay(seen, look, most)
    rather = f" rather than “{sight.against}”" if sight.against is not None else ""
    count, heads = len(sight.places), found.table["heads"].iloc[0]
    which = (
        f"heads {heads}" if 1 < count <= 6 else f"{count} heads added up" if count > 1 else f"head {heads}"
    )
    label = f", labelled “{sight.label}”" if sight.label not in ("", NONE) else ""
    cards = [
        Card(Image.fromarray(seen), "As the model saw it"),
        Card(Image.fromarray(over), "Where the heads see it" if count > 1 else "Where the head sees it"),
    ]
    ends = (f"“{sight.against}”", f"“{sight.text}”") if sight.against is not None else ("away", "towards")
    low, high = f"−{most:.2g} {ends[0]}", f"{ends[1]} {most:.2g}"
    return (
        markup.heading(f"Where in {sight.image_ids[0]}: “{sight.text}”{rather}", f"{model}, {which}{label}")
        + markup.cards(cards, "single")
        + markup.scale(low, high, _COLOURS, middle="0")
    )
