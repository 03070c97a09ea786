"""The tab "Peel": a picture through the captioner, layer by layer and head by head."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, to_hex
from PIL import Image

from vitpeel.app import markup
from vitpeel.app.inputs import Desk, file_of, folder, introduction, picture_input, plainly
from vitpeel.app.markup import Card
from vitpeel.app.peeling import Peeled, head_tables, page_tables, peel, peel_heads
from vitpeel.app.results import Offer
from vitpeel.app.uploads import checked
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import InputError
from vitpeel.heatmaps import Outliers
from vitpeel.plots import fig1, fig6, pages, style
from vitpeel.tables import write_csv

_ABOUT = (
    "What does the captioner say after each of its layers, and where does it look? Every layer's output is "
    "captioned by itself; the map is the attention of the class token to the patches, averaged over heads."
)
_WAITING = "Choose a picture and press “Peel”. All layers are captioned at once; then move the slider."
# A visitor who waits sees his place; more are sent away until it is shorter.
CAPTIONER = "captioner"


def add(desk: Desk) -> None:
    """Fill the tab."""
    offer = desk.offer
    last = offer.settings.model.depth - 1
    introduction("The captioner, layer by layer", _ABOUT)
    peeled = gr.State(None, time_to_live=3600)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picture = picture_input(desk, offer.examples[0])
            start = gr.Button("Peel", variant="primary")
        with gr.Column(scale=2, min_width=320):
            layer = gr.Slider(
                0, last, last, step=1, label="Layer", interactive=True, visible=False, buttons=[]
            )
            shown = gr.HTML(markup.waiting(_WAITING), elem_id="peel-layer")
            with gr.Row():
                table = gr.DownloadButton("Captions (CSV)", size="sm", visible=False)
                png = gr.DownloadButton("Page (PNG)", size="sm", visible=False)
                pdf = gr.DownloadButton("Page (PDF)", size="sm", visible=False)
            every = gr.HTML(elem_id="peel-captions")
            read = gr.Button("Read each head of this layer", visible=False)
            heads = gr.HTML(elem_id="peel-heads")
            with gr.Row():
                head_table = gr.DownloadButton("Heads (CSV)", size="sm", visible=False)
                head_png = gr.DownloadButton("Heads (PNG)", size="sm", visible=False)
    bar = gr.Progress()

    def run(path: str | None, progress: gr.Progress = bar) -> Iterator[tuple[Any, ...]]:
        with plainly(), folder() as out:
            file = file_of(path)
            image = checked(file)
            progress(0, desc="Loading the captioner")
            model, chosen = desk.engines.captioner(), offer.settings
            total = model.trunk.depth
            found = peel(
                model,
                Picture(file.stem, file),
                image,
                chosen.model.decoding,
                chosen.compute.caption_batch,
                Outliers(**chosen.perspectives.outliers.model_dump()),
                lambda done, _: progress((done, total), desc="Captioning the layers", unit="layers"),
            )
            progress(1, desc="Drawing the page")
            files = _page(offer, found, out)
            yield (
                found,
                _layer(found, found.depth - 1),
                gr.Slider(0, found.depth - 1, found.depth - 1, visible=True),
                _every(offer, found),
                *(gr.DownloadButton(value=file, visible=True) for file in files),
                gr.Button(visible=True),
                "",
                gr.DownloadButton(value=None, visible=False),
                gr.DownloadButton(value=None, visible=False),
            )

    def turn(found: Peeled | None, at: int) -> Any:
        return gr.skip() if found is None else _layer(found, int(at))

    def each(found: Peeled | None, at: int, progress: gr.Progress = bar) -> Iterator[tuple[Any, ...]]:
        with plainly(), folder() as out:
            if found is None:
                raise InputError("This picture is not kept here any longer. Peel it again.")
            checked(found.picture.path)
            chosen = offer.settings
            rows = peel_heads(
                desk.engines.captioner(),
                found.picture,
                int(at),
                chosen.heads.reading,
                chosen.model.decoding,
                chosen.compute.caption_batch,
                lambda done, total: progress((done, total), desc="Captioning the heads", unit="captions"),
            )
            files = out / f"{found.picture.image_id}-heads.csv", out / f"{found.picture.image_id}-heads.png"
            write_csv(files[0], rows)
            maps = head_tables(found, int(at))
            drawn = fig6.draw(rows, maps, found.image, (), _source(offer), found.how)
            style.save([drawn], out / "heads.pdf", files[1])
            downloads = (gr.DownloadButton(value=file, visible=True) for file in files)
            yield (_heads(offer, found, rows), *downloads)

    shared: dict[str, Any] = {
        "concurrency_id": CAPTIONER,
        "concurrency_limit": 1,
        "api_visibility": "private",
    }
    start.click(
        run,
        picture,
        [peeled, shown, layer, every, table, png, pdf, read, heads, head_table, head_png],
        show_progress_on=[shown],
        **shared,
    )
    layer.change(
        turn,
        [peeled, layer],
        shown,
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
        api_visibility="private",
    )
    read.click(each, [peeled, layer], [heads, head_table, head_png], show_progress_on=[heads], **shared)


def _source(offer: Offer) -> style.Source:
    return offer.source(offer.settings.model.checkpoint, 1)


def _layer(found: Peeled, layer: int) -> str:
    """The picture, and where a layer looks and what it says."""
    maps = found.maps
    norm = pages.heat_norm(list(maps))
    look = pages.overlay(found.image, maps[layer], norm)
    said, last = found.caption(layer), found.caption(found.depth - 1)
    title = f"Layer {layer} of {found.depth - 1}: {pages.quoted(said)}"
    words = (
        "The same words as the last layer's."
        if said == last
        else f"The last layer says {pages.quoted(last)}."
    )
    shown = [
        Card(found.image, found.picture.image_id),
        Card(Image.fromarray(look), "Where it looks", said or "(empty caption)", strong=said == last),
    ]
    return markup.heading(title, words) + markup.cards(shown, "single") + _key(norm)


def _every(offer: Offer, found: Peeled) -> str:
    """What all layers say, those together that say the same, and the foot."""
    said = [(layer, found.caption(layer)) for layer in range(found.depth)]
    pairs = []
    for words, group in groupby(said, key=lambda pair: pair[1]):
        layers = [layer for layer, _ in group]
        name = f"{layers[0]}" if len(layers) == 1 else f"{layers[0]}–{layers[-1]}"
        pairs.append((name, words or "(empty caption)"))
    return (
        markup.heading("What every layer says", "Neighbouring layers with the same words are put together.")
        + markup.rows(pairs)
        + markup.foot(_source(offer))
    )


def _heads(offer: Offer, found: Peeled, rows: pd.DataFrame) -> str:
    """What each head of a layer says and where it looks."""
    layer = int(rows.loc[rows["part"] == "layer", "layer"].item())
    maps = found.head_maps(layer)
    norm = pages.heat_norm(list(maps))
    shown = []
    for _, row in rows[rows["part"] == "head"].iterrows():
        look = pages.overlay(found.image, maps[int(row["head"])], norm)
        words, same = str(row["caption"]) or "(empty caption)", bool(row["as_layer"])
        shown.append(Card(Image.fromarray(look), f"Head {row['head']}", words, strong=same))
    words = f"Reading: {rows['reading'].iloc[0]}. In blue: the same words as the whole layer's."
    title = markup.heading(fig6.finding(rows), words)
    return title + markup.cards(shown, "small") + _key(norm) + markup.foot(_source(offer))


def _key(norm: LogNorm) -> str:
    """What the colours of the maps mean."""
    heat = np.linspace(0, 1, 9)
    colours = [to_hex(colour / 255) for colour in pages.tint(np.full((9, 3), 190.0), heat)]
    most = float(norm.inverse(1.0))
    return markup.scale("an equal share of the attention, or less", f"{most:.0f} times that", colours)


def _page(offer: Offer, found: Peeled, out: Path) -> tuple[Path, Path, Path]:
    """The files to download: captions of all layers, and a page like Figure 1's."""
    name = found.picture.image_id
    files = out / f"{name}-layers.csv", out / f"{name}-layers.png", out / f"{name}-layers.pdf"
    write_csv(files[0], found.captions)
    rows, maps = page_tables(found, offer.settings.figures.fig1.layers)
    drawn = fig1.draw(rows, maps, found.image, (), _source(offer), found.how)
    style.save([drawn], files[2], files[1])
    return files
