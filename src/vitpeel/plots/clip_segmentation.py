"""Where in pictures heads see a text, or rather one than another (Figures 3 and 4 of CLIP-InterpreT).

A page shows one of the two analyses, a row a query. Blue patches add towards the text, orange ones away from
it; zero is no colour. Pictures are drawn as the model saw them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vitpeel.clip.lexicon import NONE
from vitpeel.errors import VitpeelError
from vitpeel.plots import pages, style

Maps = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_WIDTH, _GAP, _APART = 10.0, 0.05, 0.22  # inches; between picture and map, and between pairs
_FOOT = 0.5  # inches under the rows
_LARGEST, _COLUMNS, _TITLE, _NAME = 2.0, 3, 0.42, 0.36  # of topics: inches a picture, pairs a line
_CONTRAST, _SPACE = 1.9, 0.42  # of contrasts: inches a picture, and under it
_BAR, _KEY = 0.11, 1.5  # inches of a scale, and across that of topics
_MANY = 12  # heads that are named one by one
_SHORTEST = 256  # pixels of a drawn map
_WHITE = 0.9  # the scale's middle, as grey


def read(path: Path) -> pd.DataFrame:
    """Read the table of the maps from its CSV; texts, labels and ids stay text; no text against is ""."""
    words = dict.fromkeys(("model", "analysis", "image_id", "text", "against", "label", "heads"), "str")
    return pd.read_csv(path, dtype=words, keep_default_na=False)


def finding(table: pd.DataFrame, maps: Maps) -> str:
    """What the maps say together, in a sentence: the page's title."""
    model = table["model"].iloc[0]
    if table["analysis"].iloc[0] == "contrast":
        shares = [_share(one) for one in maps]
        if len(table) == 1:
            row, first = table.iloc[0], shares[0] >= 0.5
            more, less = (row["text"], row["against"]) if first else (row["against"], row["text"])
            both = f"{pages.quoted(more)} outweighs {pages.quoted(less)}"
            part = max(shares[0], 1 - shares[0])
            return f"{model}: {both} in {row['image_id']} ({100 * part:.0f} % of the map)"
        count = sum(share > 0.5 for share in shares)
        return f"{model}: the first text outweighs the second in {count} of {len(shares)} pictures"
    counts = [count for one in maps if (count := _half(one))]
    if not counts:
        return f"{model}: no patch adds towards its text"
    patches, low, high = maps[0].size, min(counts), max(counts)
    which = f"{low}" if low == high else f"{low} to {high}"
    return f"{model}: half of what a head adds towards a text comes from {which} of {patches} patches"


def draw(table: pd.DataFrame, maps: Maps, pictures: Pixels, source: style.Source) -> Figure:
    """Draw the maps of one analysis.

    table: rows of a `tables.SEGMENTATIONS` table; maps: [K, rows, columns] and pictures: [K, height, width,
    3], of the same K rows. The colours of a row are strongest where its largest number is, of either sign.
    Raises VitpeelError for a table that holds no rows or those of several analyses.
    """
    if table["analysis"].nunique() != 1:
        held = ", ".join(sorted(table["analysis"].unique())) or "nothing"
        raise VitpeelError(f"clip.analyses: a page shows one analysis, but the table holds {held}.")
    own = table.reset_index(drop=True)
    rows = [group for _, group in own.groupby("query", sort=True)]
    topic = own["analysis"].iloc[0] == "topic"
    columns = min(_COLUMNS, max(len(row) for row in rows))
    size = min(_LARGEST, ((_WIDTH - 2 * pages.EDGE + _APART) / columns - _APART - _GAP) / 2)
    tall = size * pictures.shape[1] / max(pictures.shape[1:3])
    steps = [
        _TITLE + -(-len(row) // columns) * (tall + _NAME) + 0.06 if topic else _CONTRAST + _SPACE
        for row in rows
    ]
    title = style.wrap(finding(own, maps), _WIDTH - 2 * pages.EDGE, style.TITLE, 2, bold=True)
    top = 0.55 + 0.21 * title.count("\n")
    height = top + sum(steps) + _FOOT
    with style.theme():
        figure = Figure(figsize=(_WIDTH, height))
        pages.write(figure, (pages.EDGE, height - 0.13), title, style.TITLE, weight="bold")
        top = height - top
        for row, step in zip(rows, steps, strict=True):
            some = row.index.to_numpy()
            if topic:
                _topic(figure, top, size, columns, row, maps[some], pictures[some])
            else:
                _contrast(figure, top, row.iloc[0], maps[some[0]], pictures[some[0]])
            top -= step
        said = (
            "Patches: how much each adds to the embedding times the text through the heads; CLS is left out."
        )
        style.foot(figure, source, f"{said} Pictures as the model saw them.")
    return figure


def overlay(seen: Pixels, look: Maps, most: float) -> Pixels:
    """The picture in pale grey, blue where the map is above zero and orange where it is below.

    seen: [height, width, 3]; look: a map, [rows, columns]; most: where colours are strongest; returned:
    [..., 3], enlarged where the picture is small.
    """
    scale = max(1, -(-_SHORTEST // max(seen.shape[:2])))
    size = (seen.shape[1] * scale, seen.shape[0] * scale)
    grey = np.asarray(Image.fromarray(seen).convert("L").resize(size, Image.Resampling.BICUBIC), dtype=float)
    smooth = Image.fromarray(look.astype("float32")).resize(size, Image.Resampling.BILINEAR)
    part = np.clip(np.asarray(smooth, dtype=float) / (most or 1.0), -1, 1)
    return _tint(np.repeat((70 + 0.7 * grey)[..., None], 3, axis=2), part)


def _tint(grey: NDArray[np.float64], part: NDArray[np.float64]) -> Pixels:
    """Colour over grey.  grey: [..., 3], 0 to 255; part: [...], -1 to 1; returned: [..., 3]."""
    ends = (255 * np.array(to_rgb(colour)) for colour in (style.ORANGE, style.BLUE))
    orange, blue = ends
    colour = np.where((part < 0)[..., None], orange, blue)
    opacity = (0.9 * np.abs(part) ** 0.7)[..., None]
    return np.asarray(np.clip((1 - opacity) * grey + opacity * colour, 0, 255), dtype=np.uint8)


def _topic(
    figure: Figure, top: float, size: float, columns: int, row: pd.DataFrame, maps: Maps, pictures: Pixels
) -> None:
    """One text and head: its pictures, each beside its map."""
    first, most = row.iloc[0], float(np.abs(maps).max())
    labelled = f" “{first['label']}”" if first["label"] not in ("", NONE) else ""
    left = _WIDTH - pages.EDGE - _KEY - 0.6
    words = f"{_named(first['heads'])}{labelled}: {pages.quoted(first['text'])}"
    words = style.wrap(words, left - 0.8, style.BODY, 1, bold=True)
    pages.write(figure, (pages.EDGE, top), words, weight="bold")
    _scale(figure, left, top - 0.02, _KEY, most)
    pages.write(figure, (left - 0.08, top), "away", style.SMALL, ha="right", color=style.MUTED)
    pages.write(figure, (left + _KEY + 0.08, top), "towards", style.SMALL, color=style.MUTED)
    top -= _TITLE
    for place, (name, look, seen) in enumerate(zip(row["image_id"], maps, pictures, strict=True)):
        tall = size * seen.shape[0] / max(seen.shape[:2])
        x = pages.EDGE + (place % columns) * (2 * size + _GAP + _APART)
        y = top - place // columns * (tall + _NAME)
        pages.show(figure, seen, x, y, size, size)
        pages.show(figure, overlay(seen, look, most), x + size + _GAP, y, size, size)
        said = style.wrap(name, 2 * size, style.SMALL, 1)
        pages.write(figure, (x, y - tall - 0.04), said, style.SMALL, color=style.MUTED)


def _contrast(figure: Figure, top: float, row: pd.Series, look: Maps, seen: Pixels) -> None:
    """Two texts: the picture, the map, what they are, and the scale with a text at either end."""
    most = float(np.abs(look).max())
    low = pages.show(figure, seen, pages.EDGE, top, _CONTRAST, _CONTRAST)
    left = pages.EDGE + _CONTRAST + _GAP
    pages.show(figure, overlay(seen, look, most), left, top, _CONTRAST, _CONTRAST)
    name = style.wrap(row["image_id"], 2 * _CONTRAST, style.SMALL, 1)
    pages.write(figure, (pages.EDGE, low - 0.04), name, style.SMALL, color=style.MUTED)
    left += _CONTRAST + 0.3
    width = _WIDTH - pages.EDGE - left
    words = f"{pages.quoted(row['text'])} rather than {pages.quoted(row['against'])}"
    words = style.wrap(words, width, style.BODY, 3, bold=True)
    pages.write(figure, (left, top), words, weight="bold")
    said = style.wrap(_summed(row["heads"]), width, style.SMALL, 2)
    low = top - 0.24 - 1.25 * style.BODY / 72 * words.count("\n")
    pages.write(figure, (left, low), said, style.SMALL, color=style.MUTED)
    bar = top - 1.3
    _scale(figure, left, bar, width, most)
    half = width / 2 - 0.3
    ends = (row["against"], style.ORANGE, 0.0), (row["text"], style.BLUE, 1.0)
    for text, colour, at in ends:
        lines = style.wrap(text, half, style.SMALL, 2)
        x = left + at * width
        _coloured(
            figure, (x, bar + 0.19 + 0.14 * lines.count("\n")), lines, colour, "right" if at else "left"
        )


def _coloured(figure: Figure, at: tuple[float, float], lines: str, colour: str, side: str) -> None:
    """Small bold lines from an upper corner; orange is darkened, as letters need more contrast than a map."""
    ink = tuple(0.62 * part for part in to_rgb(colour)) if colour == style.ORANGE else colour
    pages.write(figure, at, lines, style.SMALL, color=ink, weight="bold", ha=side)


def _scale(figure: Figure, left: float, top: float, width: float, most: float) -> None:
    """The key to the colours: from minus the largest number to the largest."""
    axes = pages.axes_at(figure, left, top - _BAR, width, _BAR)
    part = np.linspace(-1, 1, 257)[None]
    axes.imshow(_tint(np.full((1, 257, 3), 255 * _WHITE), part), aspect="auto", extent=(-1, 1, 0, 1))
    axes.set_xticks([-1, 0, 1], [f"−{most:.2g}", "0", f"{most:.2g}"])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2, pad=2)
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _named(heads: str) -> str:
    """A head as it is; of several only how many."""
    count = len(heads.split())
    return heads if count == 1 else f"{count} heads"


def _summed(heads: str) -> str:
    """Which heads are added up: each, or of which layers they are."""
    each = heads.split()
    if len(each) == 1:
        return heads
    if len(each) <= _MANY:
        return f"{len(each)} heads added up: {heads}"
    layers = sorted({int(name.partition(".")[0][1:]) for name in each})
    which = f"layers {layers[0]} to {layers[-1]}" if len(layers) > 1 else f"layer {layers[0]}"
    return f"{len(each)} heads of {which}, added up"


def _share(look: Maps) -> float:
    """The part of a map, by amount, that is above zero."""
    total = float(np.abs(look).sum())
    return float(look.clip(0).sum()) / total if total else 0.5


def _half(look: Maps) -> int:
    """How many patches, the strongest first, make half of what is above zero; 0 if nothing is."""
    strongest = np.sort(look.clip(0).ravel().astype(float))[::-1].cumsum()
    return int(np.searchsorted(strongest, strongest[-1] / 2) + 1) if strongest[-1] > 0 else 0
