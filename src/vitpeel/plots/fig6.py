"""Figure 6: what every head of a layer looks at and says, beside its layer. A page a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Outliers
from vitpeel.plots import pages, style
from vitpeel.plots.pages import EDGE, Floats, Pixels

_WIDTH = 10.0  # inches; a page's height follows from the number of heads
_LEFT, _HALF = 3.55, 1.5  # inches of the part left of the heads, and of a layer's panel in it
_GAP, _NAME, _LINE, _PAUSE = 0.16, 0.2, 0.157, 0.17  # inches beside, above and below a panel
_CAPTION_LINES = 4
_TALLEST, _NARROWEST = 2.2, 1.9  # inches of a heatmap; of a panel, where there is room
_WORDS, _SCALE = 0.85, 0.85  # inches of the references and of the heatmaps' scale
_BOTTOM = 0.55  # inches of the foot
_WHOLE = -1  # stands for all heads

_NAMES = {"alone": "Head {}", "left out": "Without {}", "bare": "Head {}"}
_NOTES = {
    "alone": "Each head alone: the stream before the layer plus what this head adds, then the MLP.",
    "left out": "Each head left out: the layer computed with all its heads but this one.",
    "bare": "Each head bare: what it adds to the stream, read by itself.",
}


@dataclass(frozen=True)
class _Panel:
    """A heatmap over the picture, its name and caption."""

    name: str
    pixels: Pixels
    caption: str
    colour: str


@dataclass(frozen=True)
class _Grid:
    """Where things go, in inches: the heads' panels in columns and rows from `pitch` to `pitch`, each heatmap
    `width` x `tall`; left of them the picture, and the two layers beside it or, from three rows on, below."""

    columns: int
    rows: int
    width: float
    tall: float
    pitch: float
    picture: float  # width of the picture
    below: float  # from the top to the layers; 0: beside the picture
    height: float  # of all


def read(path: Path) -> pd.DataFrame:
    """Read either table from its CSV; captions and picture ids stay text, whatever they look like."""
    kinds = {"image_id": "str", "caption": "str", "head": "Int16"}
    return pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values={"head": [""]})


def finding(rows: pd.DataFrame) -> str:
    """What one picture's heads say beside the layer, in a sentence: the page's title."""
    heads, layer, before = (rows[rows["part"] == part] for part in ("head", "layer", "before"))
    count, other = len(heads), int((~heads["as_layer"]).sum())
    name, earlier = f"layer\xa0{layer['layer'].item()}", _called(before["layer"].item())
    left_out = heads["reading"].iloc[0] == "left out"
    if not other:
        last = pages.quoted(layer["caption"].item())
        also = f", as {earlier} did" if before["as_layer"].item() else ""
        if left_out:
            return f"Without any one of its {count} heads, {name} still says {last}{also}"
        return f"Each of the {count} heads of {name} says what the whole layer says{also}: {last}"
    repeated, distinct = int((heads["as_before"] & ~heads["as_layer"]).sum()), heads["caption"].nunique()
    if left_out:
        words = f"Leaving out a single head changes what {name} says for {other} of its {count} heads"
        words += f", for {repeated} to what {earlier} said" if repeated else ""
    else:
        some = f"All {count} heads" if other == count else f"{other} of the {count} heads"
        words = f"{some} of {name} {'says' if other == 1 else 'say'} something else than the whole layer"
        if repeated:
            words += ": " if repeated == other else f", {repeated} of them "
            words += f"what {earlier} said"
    return f"{words}; {distinct} different captions" if distinct > 1 else words


def draw(
    rows: pd.DataFrame,
    heatmaps: pd.DataFrame,
    picture: Image.Image,
    references: Sequence[str],
    source: style.Source,
    how: Outliers,
) -> Figure:
    """Draw the page of one picture.

    rows, heatmaps: its rows of the two tables (`vitpeel.heads`). picture: RGB. references: what people wrote,
    may be empty. how: outlier tokens were taken off the heatmaps. Raises VitpeelError where a head or a layer
    has no heatmap.
    """
    whole = heatmaps.assign(head=heatmaps["head"].fillna(_WHOLE).astype(int))
    maps = {
        (int(own["layer"].iloc[0]), int(own["head"].iloc[0])): pages.grid(own)
        for _, own in whole.groupby(["layer", "head"])
    }
    looks = [_look(row, maps) for _, row in rows.iterrows()]
    norm = pages.heat_norm(looks)
    before, *heads, layer = (
        _panel(row, pages.overlay(picture, heat, norm))
        for (_, row), heat in zip(rows.iterrows(), looks, strict=True)
    )
    grid = _arrange(heads, (before, layer), picture.width / picture.height)
    with style.theme():
        title = style.wrap(finding(rows), _WIDTH - 2 * EDGE, style.TITLE + 2, 2, bold=True)
        top = _BOTTOM + grid.height
        figure = Figure(figsize=(_WIDTH, top + 0.5 + 0.24 * title.count("\n")))
        pages.write(figure, (EDGE, figure.get_figheight() - 0.14), title, style.TITLE + 2, weight="bold")
        image_id = rows["image_id"].iloc[0]
        pages.original(figure, (EDGE, top), grid.picture, picture, image_id, references)
        corners = [(EDGE + _LEFT - _HALF, top - row * grid.pitch) for row in (0, 1)]
        if grid.below:
            corners = [(EDGE + column * (_HALF + 2 * _GAP), top - grid.below) for column in (0, 1)]
        for panel, corner in zip((before, layer), corners, strict=True):
            _show(figure, panel, corner, _HALF, grid.tall)
        start = EDGE + _LEFT + 2 * _GAP
        for index, panel in enumerate(heads):
            down, across = divmod(index, grid.columns)
            corner = start + across * (grid.width + _GAP), top - down * grid.pitch
            _show(figure, panel, corner, grid.width, grid.tall)
        if how.found:
            words = style.wrap(f"Heatmaps: outliers ({how.found}) {how.fill}", 1.95, style.SMALL, 2)
            lines = words.count("\n") + 1
            at = EDGE, _BOTTOM + 0.5 + 0.14 * lines
            pages.write(figure, at, words, style.SMALL, color=style.MUTED)
        pages.heat_scale(figure, norm, EDGE, _BOTTOM + 0.17, 1.9)
        style.foot(figure, source, _note(rows))
    return figure


def _called(layer: int) -> str:
    return f"layer\xa0{layer}" if layer >= 0 else "the embedding"


def _note(rows: pd.DataFrame) -> str:
    layer = rows.loc[rows["part"] == "layer", "layer"].item()
    how, end = _NOTES[rows["reading"].iloc[0]], "." if layer else ", which attends to nothing."
    return f"{how} Blue: what layer {layer} says; green: what {_called(layer - 1)} said{end}"


def _look(row: pd.Series[Any], maps: Mapping[tuple[int, int], Floats]) -> Floats:
    """The heatmap of a row; nothing attends before layer 0, so the embedding has an empty one."""
    layer, head = int(row["layer"]), _WHOLE if pd.isna(row["head"]) else int(row["head"])
    if layer < 0:
        return np.zeros_like(next(iter(maps.values())))
    if (layer, head) not in maps:
        what = f"layer {layer}" + ("" if head == _WHOLE else f", head {head}")
        raise VitpeelError(f"fig6: picture {row['image_id']} has no heatmap of {what}.")
    return maps[layer, head]


def _panel(row: pd.Series[Any], pixels: Pixels) -> _Panel:
    if row["part"] == "head":
        name = _NAMES[row["reading"]].format(row["head"])
    else:
        name = f"Layer {row['layer']}" if row["layer"] >= 0 else "Embedding"
        name += ", all heads" if row["part"] == "layer" else ""
    colour = style.BLUE if row["as_layer"] else style.GREEN if row["as_before"] else style.INK
    return _Panel(name + (" (cut)" if row["truncated"] else ""), pixels, row["caption"], colour)


def _arrange(heads: Sequence[_Panel], layers: Sequence[_Panel], aspect: float) -> _Grid:
    """Two rows for up to eight heads, else rows of four; aspect: the picture's width to its height."""
    rows = 2 if len(heads) <= 8 else ceil(len(heads) / 4)
    columns = ceil(len(heads) / rows)
    width = (_WIDTH - 2 * EDGE - _LEFT - _GAP) / columns - _GAP
    width = min(width, max(_TALLEST * aspect, _NARROWEST))
    tall = min(width / aspect, _TALLEST)

    def high(panels: Sequence[_Panel], wide: float) -> float:
        said = (pages.said(panel.caption, wide, _CAPTION_LINES) for panel in panels)
        lines = max(words.count("\n") + 1 for words in said)
        return _NAME + min(wide / aspect, tall) + 0.06 + lines * _LINE + _PAUSE

    pitch = high(heads, width)
    if rows == 2:
        size = _LEFT - _HALF - _GAP
        pitch = max(pitch, high(layers, _HALF))
        least = _NAME + min(size, size / aspect) + _WORDS + _SCALE
        return _Grid(columns, rows, width, tall, pitch, size, 0.0, max(rows * pitch, least))
    size = min(_LEFT - 2 * _GAP, max(2.4, 2 * pitch - _NAME - _WORDS))
    below = max(2 * pitch, _NAME + min(size, size / aspect) + _WORDS)
    height = max(rows * pitch, below + high(layers, _HALF) + _SCALE)
    return _Grid(columns, rows, width, tall, pitch, size, below, height)


def _show(figure: Figure, panel: _Panel, corner: tuple[float, float], width: float, tall: float) -> None:
    """Draw a panel from its upper left corner on, inches."""
    left, top = corner
    name = style.wrap(panel.name, width, style.BODY, 1, bold=True)
    pages.write(figure, corner, name, weight="bold", color=panel.colour)
    low = pages.show(figure, panel.pixels, left, top - _NAME, width, tall)
    words = pages.said(panel.caption, width, _CAPTION_LINES)
    pages.write(figure, (left, low - 0.06), words, color=panel.colour)
