"""Figure 1 and appendix B: a picture, where each layer looks, and what it says. One page a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Outliers
from vitpeel.plots import pages, style
from vitpeel.plots.pages import Floats

_WIDTH, _HEIGHT = 10.0, 5.625  # inches, a slide
_LABEL, _LINE, _CAPTION_LINES = 0.36, 0.157, 3  # inches above and below a panel, inches a caption line
_NARROWEST = 1.0  # inches of a panel: a name must fit above it


def read(path: Path) -> pd.DataFrame:
    """Read either table from its CSV; captions and picture ids stay text, whatever they look like."""
    return pd.read_csv(path, dtype={"image_id": "str", "caption": "str"}, keep_default_na=False)


def settled_at(captions: Sequence[str]) -> int:
    """The index from which on every caption equals the last one."""
    return next(n for n in range(len(captions)) if all(later == captions[-1] for later in captions[n:]))


def finding(rows: pd.DataFrame) -> str:
    """What one picture's captions say, in a sentence: the page's title. rows: its layers, in order."""
    layers, captions = rows["layer"].tolist(), rows["caption"].tolist()
    settled = settled_at(captions)
    early = next((n for n, shown in enumerate(rows["shown"]) if shown and n < settled), 0)
    last = pages.quoted(captions[-1])
    if settled == 0:
        return f"Every layer says {last}"
    start = f"Layer\xa0{layers[early]}: {pages.quoted(captions[early])}"
    if settled == len(layers) - 1:
        return f"{start}; only the last layer: {last}"
    return f"{start}; from layer\xa0{layers[settled]} on: {last}"


def draw(
    rows: pd.DataFrame,
    heatmaps: pd.DataFrame,
    picture: Image.Image,
    references: Sequence[str],
    source: style.Source,
    how: Outliers,
    key: str = "figures.fig1",
) -> Figure:
    """Draw the page of one picture.

    rows, heatmaps: its rows of the two tables (`figure_tables`). picture: RGB. references: what people wrote,
    may be empty. how: outlier tokens were taken off the heatmaps. key: of the configuration. Raises
    VitpeelError where a shown layer has no heatmap, or more are shown than fit.
    """
    shown = rows[rows["shown"]]
    maps = {layer: pages.grid(heatmaps[heatmaps["layer"] == layer]) for layer in heatmaps["layer"].unique()}
    for layer in shown["layer"]:
        if layer not in maps:
            raise VitpeelError(f"{key}: picture {rows['image_id'].iloc[0]} has no heatmap of layer {layer}.")
    norm = pages.heat_norm([maps[layer] for layer in shown["layer"]])
    with style.theme():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        title = style.wrap(finding(rows), _WIDTH - 2 * pages.EDGE, style.TITLE + 2, 2, bold=True)
        pages.write(figure, (pages.EDGE, _HEIGHT - 0.14), title, style.TITLE + 2, weight="bold")
        top = 4.9 if "\n" in title else 5.12
        pages.original(figure, (pages.EDGE, top), 2.4, picture, rows["image_id"].iloc[0], references)
        _panels(figure, top, shown, maps, norm, picture, rows["caption"].iloc[-1], key)
        pages.heat_scale(figure, norm, pages.EDGE, 1.12, 2.4)
        _ribbon(figure, rows)
        style.foot(
            figure,
            source,
            "Each caption is decoded from that layer's output alone. Blue: the last layer's words."
            + (f" Heatmaps: outliers ({how.found}) {how.fill}." if how.found else ""),
        )
    return figure


def _panels(
    figure: Figure,
    top: float,
    shown: pd.DataFrame,
    maps: Mapping[int, Floats],
    norm: LogNorm,
    picture: Image.Image,
    final: str,
    key: str,
) -> None:
    left, right, bottom, gap = 2.85, _WIDTH - pages.EDGE, 1.04, 0.16
    columns, rows = _arrange(len(shown), right - left, top - bottom, gap, picture.width / picture.height, key)
    width, height = (right - left + gap) / columns - gap, (top - bottom) / rows
    said = [pages.said(caption, width, _CAPTION_LINES) for caption in shown["caption"]]
    tall = height - _LABEL - _LINE * max(words.count("\n") + 1 for words in said)
    for index, (row, words) in enumerate(zip(shown.to_dict("records"), said, strict=True)):
        x = left + (index % columns) * (width + gap)
        y = top - (index // columns) * height
        colour = style.BLUE if row["caption"] == final else style.INK
        name = f"Layer {row['layer']}" + (" (cut)" if row["truncated"] else "")
        pages.write(figure, (x, y), name, weight="bold", color=colour)
        low = pages.show(figure, pages.overlay(picture, maps[row["layer"]], norm), x, y - 0.2, width, tall)
        pages.write(figure, (x, low - 0.06), words, color=colour)


def _arrange(count: int, width: float, height: float, gap: float, aspect: float, key: str) -> tuple[int, int]:
    """Return the columns and rows that show `count` pictures largest, names and captions included."""

    def size(rows: int) -> float:
        wide = (width + gap) / ceil(count / rows) - gap
        tall = height / rows - _LABEL - _LINE * _CAPTION_LINES
        return min(wide, tall * aspect) if wide >= _NARROWEST else 0.0

    rows = max((1, 2, 3), key=size)
    if not size(rows):
        raise VitpeelError(f"{key}.layers: {count} layers do not fit on a page. Give at most 18.")
    return ceil(count / rows), rows


def _ribbon(figure: Figure, rows: pd.DataFrame) -> None:
    """A cell a layer: blue where the caption is the last layer's; a gap where the caption changes."""
    left, right, bottom, height = 2.85, _WIDTH - pages.EDGE, 0.6, 0.14
    axes = pages.axes_at(figure, left, bottom, right - left, height)
    captions, layers = rows["caption"].tolist(), rows["layer"].tolist()
    for index, caption in enumerate(captions):
        start = index - 0.5 + (0.1 if index and captions[index - 1] != caption else 0.0)
        colour = style.BLUE if caption == captions[-1] else "#C4C4C4"
        axes.axvspan(start, index + 0.5, color=colour, linewidth=0)
    axes.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, 1), yticks=[])
    axes.spines[:].set_visible(False)
    ticks = [index for index, shown in enumerate(rows["shown"]) if shown]
    axes.set_xticks(ticks, [str(layers[index]) for index in ticks])
    axes.tick_params(length=2, pad=1)
    if len(rows) == style.BANDED_DEPTH:
        for band in style.BANDS:
            style.above(axes, ((band.first + band.last) / 2 + 0.5) / len(rows), band.name, ha="center")
    count = captions.count(captions[-1])
    words = style.wrap(f"{count} of {len(rows)} layers say the same as the last one", 2.4, style.SMALL, 2)
    pages.write(figure, (pages.EDGE, bottom + height + 0.04), words, style.SMALL, color=style.MUTED)
