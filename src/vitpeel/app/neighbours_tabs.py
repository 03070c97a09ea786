"""The tabs that look for neighbours: by a property, by a picture, by a text (sections 5.1, 5.4, 5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
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
    measure_input,
    picture_input,
    plainly,
    text_input,
    written,
)
from vitpeel.app.markup import Card
from vitpeel.app.uploads import checked
from vitpeel.clip import analyses
from vitpeel.clip.analyses import Search
from vitpeel.clip.lexicon import NONE
from vitpeel.clip.neighbours import Measure
from vitpeel.datasets.pictures import open_rgb
from vitpeel.plots import clip_neighbours, style
from vitpeel.tables import write_csv

MOST = 8  # neighbours
_PROPERTY = (
    "Which pictures are nearest to this one in what the heads with a property see? What these heads "
    "contribute to the picture's embedding is added up and compared."
)
_PICTURE = "Which pictures are nearest to this one in what a single head contributes to the embedding?"
_TEXT = "In which pictures does a single head contribute most towards a text?"
_WAITING = "Press “Find neighbours”."
_NAMES = {"cosine": "cosine", "dot": "dot product"}


def add_property(desk: Desk) -> None:
    """Section 5.1."""
    first = desk.asked.properties[0]
    introduction("Neighbours by a property", _PROPERTY)
    assert desk.model is not None
    studies = desk.offer.studies
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picture = picture_input(desk, first.picture)
            names = _properties(desk, str(desk.model.value))
            chosen = first.property if first.property in dict(names).values() else names[0][1]
            name = gr.Dropdown(names, value=chosen, label="Property")
            measure, count, start = _search_inputs(desk)
        result = Answer("property", "Neighbours", _WAITING)

    def of_model(model: str, name: str) -> Any:
        own = _properties(desk, model)
        known = [value for _, value in own]
        return gr.Dropdown(own, value=name if name in known else known[0])

    def run(
        model: str, path: str | None, name: str, measure: Measure, count: float
    ) -> Iterator[tuple[Any, ...]]:
        with plainly():
            file = file_of(path)
            search = analyses.by_property(studies[model].labels, model, file.stem, name)
            yield from _answer(desk, model, search, file, measure, int(count))

    desk.model.change(of_model, [desk.model, name], name, show_progress="hidden", api_visibility="private")
    result.on(start, run, [desk.model, picture, name, measure, count])


def add_picture(desk: Desk) -> None:
    """Section 5.4."""
    first = desk.asked.pictures[0]
    introduction("Neighbours of a picture by one head", _PICTURE)
    assert desk.model is not None
    studies = desk.offer.studies
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picture = picture_input(desk, first.picture)
            place = head_input(desk, first.head)
            measure, count, start = _search_inputs(desk)
        result = Answer("picture", "Neighbours", _WAITING)

    def run(
        model: str, path: str | None, layer: int, head: int, measure: Measure, count: float
    ) -> Iterator[tuple[Any, ...]]:
        with plainly():
            file = file_of(path)
            search = analyses.by_picture(studies[model].labels, model, file.stem, (layer, head))
            yield from _answer(desk, model, search, file, measure, int(count))

    result.on(start, run, [desk.model, picture, place.layer, place.head, measure, count])


def add_text(desk: Desk) -> None:
    """Section 5.5."""
    first = desk.asked.texts[0]
    introduction("Neighbours of a text by one head", _TEXT)
    assert desk.model is not None
    studies = desk.offer.studies
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            text = text_input("Text", first.text)
            place = head_input(desk, first.head)
            gr.Examples(
                [[query.text] for query in desk.asked.texts] + [[t] for t in _some_texts(desk)],
                text,
                label="Or one of these",
                api_visibility="private",
            )
            measure, count, start = _search_inputs(desk)
        result = Answer("text", "Neighbours", _WAITING)

    def run(
        model: str, text: str, layer: int, head: int, measure: Measure, count: float
    ) -> Iterator[tuple[Any, ...]]:
        with plainly():
            search = analyses.by_text(studies[model].labels, model, written(text), (layer, head))
            yield from _answer(desk, model, search, None, measure, int(count))

    result.on(start, run, [desk.model, text, place.layer, place.head, measure, count])


def _answer(
    desk: Desk, model: str, search: Search, file: Path | None, measure: Measure, count: int
) -> Iterator[tuple[Any, ...]]:
    """What is nearest.  file: of the picture that is asked about."""
    offer, engines = desk.offer, desk.engines
    asked = {} if file is None else {search.asked: checked(file)}
    clip, index = engines.clip(model), engines.index(model)
    own = offer.settings.clip is not None and offer.settings.clip.dataset == offer.settings.main
    table = analyses.neighbours(clip, index, model, [search], asked, min(count, MOST), measure, same_set=own)
    found = {str(name): open_rgb(offer.candidates[str(name)]) for name in table["image_id"]}
    source = offer.source(offer.studies[model].checkpoint, len(index.image_ids))
    with folder() as out:
        files = out / f"neighbours-{search.analysis}.csv", out / f"neighbours-{search.analysis}.png"
        write_csv(files[0], table)
        style.save([clip_neighbours.draw(table, asked, found, source)], out / "figure.pdf", files[1])
        yield filled(_shown(model, table, found) + markup.foot(source), files)


def _shown(model: str, table: pd.DataFrame, found: dict[str, Image.Image]) -> str:
    """The pictures found, the nearest first."""
    first = table.iloc[0]
    asked = f"“{first['asked']}”" if first["analysis"] == "text" else str(first["asked"])
    one = " " not in first["heads"]
    label = "" if first["label"] == NONE else f"“{first['label']}”"
    by = f"{first['heads']} {label}".strip() if one else label
    heads = "" if one else f", heads {first['heads']}"
    pictures = [
        Card(found[str(row["image_id"])], f"{row['rank']}. {row['image_id']}", f"{row['score']:.3f}")
        for _, row in table.iterrows()
    ]
    words = f"{model}{heads}, {_NAMES[first['measure']]}"
    return markup.heading(f"Nearest to {asked} by {by}", words) + markup.cards(pictures)


def _search_inputs(desk: Desk) -> tuple[gr.Radio, gr.Slider, gr.Button]:
    asked = desk.asked
    measure = measure_input(asked.measure)
    count = gr.Slider(1, MOST, asked.neighbours, step=1, label="How many", buttons=[])
    return measure, count, gr.Button("Find neighbours", variant="primary")


def _properties(desk: Desk, model: str) -> list[tuple[str, str]]:
    found = desk.offer.studies[model].properties
    return [
        (f"{name} ({len(places)} head{'s' if len(places) > 1 else ''})", name)
        for name, places in sorted(found.items())
    ]


def _some_texts(desk: Desk) -> list[str]:
    """The first text of some heads of the last layer: what TextSpan found."""
    study = desk.offer.studies[str(desk.model.value)] if desk.model is not None else None
    places = study.places[-5:] if study is not None else []
    return list(dict.fromkeys(study.texts_of(place)[0] for place in places)) if study is not None else []
