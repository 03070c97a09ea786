"""Pages about one picture: the picture, attention over it, and words, all placed in inches."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from numpy.typing import NDArray
from PIL import Image

from vitpeel.plots import style

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

EDGE = 0.15  # inches around a page
_LONGEST = 512  # pixels of a picture's longer side on the page
_HEAT = colormaps["YlOrRd"]


def quoted(caption: str) -> str:
    """A caption as part of a sentence."""
    text = " ".join(caption.split())
    return f"“{text if len(text) <= 60 else text[:59].rstrip() + '…'}”" if text else "nothing"


def said(caption: str, width: float, lines: int) -> str:
    """A caption in lines of at most `width` inches."""
    return style.wrap(" ".join(caption.split()) or "(empty caption)", width, style.BODY, lines)


def grid(heatmap: pd.DataFrame) -> Floats:
    """One map's rows of a heatmap table as an array [rows, columns]."""
    return heatmap.pivot(index="row", columns="column", values="attention").to_numpy(dtype=float)


def heat_norm(maps: Sequence[Floats]) -> LogNorm:
    """The scale of a page's heatmaps, from an equal share of the attention to nearly the most in any."""
    most = max(2.0, float(np.quantile(np.concatenate([heat.ravel() for heat in maps]), 0.995)))
    return LogNorm(1.0, most)


def write(
    figure: Figure, at: tuple[float, float], text: str, points: float = style.BODY, **look: Any
) -> None:
    """Write text whose upper left corner is `at`, in inches, its lines at an even pitch."""
    width, height = figure.get_size_inches()
    for number, line in enumerate(text.split("\n")):
        baseline = at[1] - points / 72 * (0.9 + 1.25 * number)
        figure.text(at[0] / width, baseline / height, line, fontsize=points, va="baseline", **look)


def write_words(
    figure: Figure,
    at: tuple[float, float],
    words: Sequence[tuple[str, bool]],
    width: float,
    lines: int,
    colour: str,
) -> int:
    """Write words from the upper left corner `at` in lines of at most `width` inches; return how many lines.

    words: each with whether it is marked, in bold and in `colour`.
    """
    broken = style.wrap(" ".join(word for word, _ in words), width, style.BODY, lines, bold=True).split("\n")
    marks = iter(mark for _, mark in words)
    for number, line in enumerate(broken):
        left, top = at[0], at[1] - 1.25 * style.BODY / 72 * number
        for word, mark in zip(line.split(), marks, strict=False):
            marked: dict[str, Any] = {"weight": "bold", "color": colour} if mark else {}
            write(figure, (left, top), word, **marked)
            left += _length(f"{word} i", mark) - _length("i", mark)
    return len(broken)


def changed(before: str, after: str) -> list[tuple[str, bool]]:
    """The words of `after`, each with whether it is not in its place in `before`."""
    old, new = before.split(), after.split()
    steps = SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes()
    return [(word, step != "equal") for step, _, _, first, last in steps for word in new[first:last]]


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    wide, tall = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))


def show(figure: Figure, pixels: Pixels, left: float, top: float, width: float, height: float) -> float:
    """Show pixels in a box, as large as fits, at its upper left corner; return the lower edge, all in
    inches."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    wide, tall = pixels.shape[1] * scale, pixels.shape[0] * scale
    axes = axes_at(figure, left, top - tall, wide, tall)
    axes.imshow(pixels, aspect="auto", interpolation="antialiased")
    axes.set_axis_off()
    return float(top - tall)


def original(
    figure: Figure,
    at: tuple[float, float],
    width: float,
    picture: Image.Image,
    image_id: str,
    references: Sequence[str],
) -> float:
    """Show the picture under its name and over at most four lines of its references, from the upper left
    corner `at`; return the lower edge, all in inches."""
    left, top = at
    name = style.wrap(f"Picture {image_id}", width, style.BODY, 1, bold=True)
    write(figure, (left, top), name, weight="bold")
    low = show(figure, np.asarray(fit(picture)), left, top - 0.2, width, width) - 0.1
    if not references:
        return low
    write(figure, (left, low), "References", style.SMALL, color=style.MUTED)
    lines: list[str] = []
    for text in references:
        own = style.wrap(" ".join(text.split()), width, style.SMALL, 2).split("\n")
        if len(lines) + len(own) <= 4:
            lines += own
    write(figure, (left, low - 0.15), "\n".join(lines), style.SMALL)
    return low - 0.15 - 1.25 * style.SMALL / 72 * len(lines)


def fit(picture: Image.Image) -> Image.Image:
    """The picture, no larger than a page shows; a small one is left as it is."""
    scale = min(1.0, _LONGEST / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def overlay(picture: Image.Image, heatmap: Floats, norm: LogNorm) -> Pixels:
    """The picture in pale grey, coloured where a patch gets more than an equal share of the attention."""
    base = fit(picture)
    smooth = Image.fromarray(heatmap.astype("float32")).resize(base.size, Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(norm(np.maximum(np.asarray(smooth), 1.0))), 0.0, 1.0)
    grey = 60 + 0.75 * np.asarray(base.convert("L"), dtype=float)[..., None]
    return tint(np.repeat(grey, 3, axis=2), heat)


def tint(grey: Floats, heat: Floats) -> Pixels:
    """Colour over grey.  grey: [..., 3], 0 to 255; heat: [...], 0 to 1; returned: [..., 3]."""
    opacity = (0.85 * heat**0.6)[..., None]
    colour = 255 * _HEAT(0.15 + 0.85 * heat)[..., :3]
    return np.asarray(np.clip((1 - opacity) * grey + opacity * colour, 0, 255), dtype=np.uint8)


def heat_scale(figure: Figure, norm: LogNorm, left: float, bottom: float, width: float) -> None:
    """The key to the heatmaps' colours, its lower left corner and width in inches."""
    height = 0.11
    words = "CLS attention (1 is an equal share)"
    write(figure, (left, bottom + height + 0.19), words, style.SMALL, color=style.MUTED)
    most = float(norm.inverse(1.0))
    axes = axes_at(figure, left, bottom, width, height)
    heat = np.linspace(0, 1, 256)[None]
    axes.imshow(tint(np.full((1, 256, 3), 190.0), heat), aspect="auto", extent=(0, 1, 0, 1))
    ticks = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= most]
    axes.set_xticks([float(norm(n)) for n in ticks], [str(n) if n > 1 else "≤ 1" for n in ticks])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=2, pad=2)
    axes.get_xticklabels()[0].set(ha="left")


def _length(text: str, bold: bool) -> float:
    """Inches of a line of body text."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(style.BODY, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0]) / 64 / 72
