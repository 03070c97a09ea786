"""Figure 1: one picture, where each layer looks, and what each layer says. One page a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.plots import style

Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 10.0, 5.625  # inches, a slide
_EDGE = 0.15
_LONGEST = 512  # pixels of a picture's longer side on the page
_LABEL, _LINE, _CAPTION_LINES = 0.36, 0.157, 3  # inches above and below a panel, inches a caption line
_NARROWEST = 1.0  # inches of a panel: a name must fit above it
_HEAT = colormaps["YlOrRd"]


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
    last = _quoted(captions[-1])
    if settled == 0:
        return f"Every layer says {last}"
    start = f"Layer\xa0{layers[early]}: {_quoted(captions[early])}"
    if settled == len(layers) - 1:
        return f"{start}; only the last layer: {last}"
    return f"{start}; from layer\xa0{layers[settled]} on: {last}"


def draw(
    rows: pd.DataFrame,
    heatmaps: pd.DataFrame,
    picture: Image.Image,
    references: Sequence[str],
    source: style.Source,
) -> Figure:
    """Draw the page of one picture.

    rows, heatmaps: its rows of the two tables (`figure_tables`). picture: RGB. references: what people wrote,
    may be empty. Raises VitpeelError where a shown layer has no heatmap.
    """
    shown = rows[rows["shown"]]
    maps = {layer: _grid(heatmaps[heatmaps["layer"] == layer]) for layer in heatmaps["layer"].unique()}
    for layer in shown["layer"]:
        if layer not in maps:
            raise VitpeelError(f"fig1: picture {rows['image_id'].iloc[0]} has no heatmap of layer {layer}.")
    most = max(2.0, float(np.quantile(np.concatenate([maps[n].ravel() for n in shown["layer"]]), 0.995)))
    norm = LogNorm(1.0, most)
    with style.theme():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        title = style.wrap(finding(rows), _WIDTH - 2 * _EDGE, style.TITLE + 2, 2, bold=True)
        _write(figure, (_EDGE, _HEIGHT - 0.14), title, style.TITLE + 2, weight="bold")
        top = 4.9 if "\n" in title else 5.12
        _original(figure, top, picture, rows["image_id"].iloc[0], references)
        _panels(figure, top, shown, maps, norm, picture, rows["caption"].iloc[-1])
        _scale(figure, norm)
        _ribbon(figure, rows)
        style.foot(
            figure,
            source,
            "Each caption is decoded from that layer's output alone. Blue: the last layer's words.",
        )
    return figure


def _quoted(caption: str) -> str:
    text = " ".join(caption.split())
    return f"“{text if len(text) <= 60 else text[:59].rstrip() + '…'}”" if text else "nothing"


def _grid(heatmap: pd.DataFrame) -> Floats:
    """One layer's rows of the heatmap table as an array [rows, columns]."""
    return heatmap.pivot(index="row", columns="column", values="attention").to_numpy(dtype=float)


def _write(
    figure: Figure, at: tuple[float, float], text: str, points: float = style.BODY, **look: Any
) -> None:
    """Write text whose upper left corner is `at`, in inches, its lines at an even pitch."""
    for number, line in enumerate(text.split("\n")):
        baseline = at[1] - points / 72 * (0.9 + 1.25 * number)
        figure.text(at[0] / _WIDTH, baseline / _HEIGHT, line, fontsize=points, va="baseline", **look)


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    return figure.add_axes((left / _WIDTH, bottom / _HEIGHT, width / _WIDTH, height / _HEIGHT))


def _show(
    figure: Figure, pixels: NDArray[np.uint8], left: float, top: float, width: float, height: float
) -> float:
    """Show pixels in a box, as large as fits, at its upper left corner; return the lower edge, all in
    inches."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    wide, tall = pixels.shape[1] * scale, pixels.shape[0] * scale
    axes = _axes(figure, left, top - tall, wide, tall)
    axes.imshow(pixels, aspect="auto", interpolation="antialiased")
    axes.set_axis_off()
    return float(top - tall)


def _original(
    figure: Figure, top: float, picture: Image.Image, image_id: str, references: Sequence[str]
) -> None:
    left, width = _EDGE, 2.4
    name = style.wrap(f"Picture {image_id}", width, style.BODY, 1, bold=True)
    _write(figure, (left, top), name, weight="bold")
    low = _show(figure, np.asarray(_fit(picture)), left, top - 0.2, width, width) - 0.1
    if not references:
        return
    _write(figure, (left, low), "References", style.SMALL, color=style.MUTED)
    lines: list[str] = []
    for text in references:
        own = style.wrap(" ".join(text.split()), width, style.SMALL, 2).split("\n")
        if len(lines) + len(own) <= 4:
            lines += own
    _write(figure, (left, low - 0.15), "\n".join(lines), style.SMALL)


def _fit(picture: Image.Image) -> Image.Image:
    """The picture, no larger than the page shows; a small one is left as it is."""
    scale = min(1.0, _LONGEST / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _overlay(picture: Image.Image, heatmap: Floats, norm: LogNorm) -> NDArray[np.uint8]:
    """The picture in pale grey, coloured where a patch gets more than an equal share of the attention."""
    base = _fit(picture)
    smooth = Image.fromarray(heatmap.astype("float32")).resize(base.size, Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(norm(np.maximum(np.asarray(smooth), 1.0))), 0.0, 1.0)
    grey = 60 + 0.75 * np.asarray(base.convert("L"), dtype=float)[..., None]
    return _tint(np.repeat(grey, 3, axis=2), heat)


def _tint(grey: Floats, heat: Floats) -> NDArray[np.uint8]:
    opacity = (0.85 * heat**0.6)[..., None]
    colour = 255 * _HEAT(0.15 + 0.85 * heat)[..., :3]
    return np.asarray(np.clip((1 - opacity) * grey + opacity * colour, 0, 255), dtype=np.uint8)


def _panels(
    figure: Figure,
    top: float,
    shown: pd.DataFrame,
    maps: Mapping[int, Floats],
    norm: LogNorm,
    picture: Image.Image,
    final: str,
) -> None:
    left, right, bottom, gap = 2.85, _WIDTH - _EDGE, 1.04, 0.16
    columns, rows = _arrange(len(shown), right - left, top - bottom, gap, picture.width / picture.height)
    width, height = (right - left + gap) / columns - gap, (top - bottom) / rows
    said = [_said(caption, width) for caption in shown["caption"]]
    tall = height - _LABEL - _LINE * max(words.count("\n") + 1 for words in said)
    for index, (row, words) in enumerate(zip(shown.to_dict("records"), said, strict=True)):
        x = left + (index % columns) * (width + gap)
        y = top - (index // columns) * height
        colour = style.BLUE if row["caption"] == final else style.INK
        name = f"Layer {row['layer']}" + (" (cut)" if row["truncated"] else "")
        _write(figure, (x, y), name, weight="bold", color=colour)
        low = _show(figure, _overlay(picture, maps[row["layer"]], norm), x, y - 0.2, width, tall)
        _write(figure, (x, low - 0.06), words, color=colour)


def _arrange(count: int, width: float, height: float, gap: float, aspect: float) -> tuple[int, int]:
    """Return the columns and rows that show `count` pictures largest, names and captions included."""

    def size(rows: int) -> float:
        wide = (width + gap) / ceil(count / rows) - gap
        tall = height / rows - _LABEL - _LINE * _CAPTION_LINES
        return min(wide, tall * aspect) if wide >= _NARROWEST else 0.0

    rows = max((1, 2, 3), key=size)
    if not size(rows):
        raise VitpeelError(f"figures.fig1.layers: {count} layers do not fit on a page. Give at most 18.")
    return ceil(count / rows), rows


def _said(caption: str, width: float) -> str:
    words = " ".join(caption.split()) or "(empty caption)"
    return style.wrap(words, width, style.BODY, _CAPTION_LINES)


def _scale(figure: Figure, norm: LogNorm) -> None:
    left, bottom, width, height = _EDGE, 1.12, 2.4, 0.11
    _write(
        figure,
        (left, bottom + height + 0.19),
        "CLS attention (1 is an equal share)",
        style.SMALL,
        color=style.MUTED,
    )
    most = float(norm.inverse(1.0))
    axes = _axes(figure, left, bottom, width, height)
    heat = np.linspace(0, 1, 256)[None]
    axes.imshow(_tint(np.full((1, 256, 3), 190.0), heat), aspect="auto", extent=(0, 1, 0, 1))
    ticks = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= most]
    axes.set_xticks([float(norm(n)) for n in ticks], [str(n) if n > 1 else "≤ 1" for n in ticks])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2, pad=2)
    axes.get_xticklabels()[0].set(ha="left")


def _ribbon(figure: Figure, rows: pd.DataFrame) -> None:
    """A cell a layer: blue where the caption is the last layer's; a gap where the caption changes."""
    left, right, bottom, height = 2.85, _WIDTH - _EDGE, 0.6, 0.14
    axes = _axes(figure, left, bottom, right - left, height)
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
    _write(figure, (_EDGE, bottom + height + 0.04), words, style.SMALL, color=style.MUTED)
