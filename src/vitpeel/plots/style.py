"""How every figure looks and is saved: colours, type, the bands of layers, the line at the foot, files
without dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from PIL import Image

from vitpeel.atomic import atomic

# Okabe and Ito: told apart with any colour vision
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, MUTED, RULE = "#1A1A1A", "#595959", "#BFBFBF"
PNG_DPI = 200
SMALL, BODY, TITLE = 8.0, 9.0, 12.0  # points at printed size

_RC: Any = {
    "font.family": "DejaVu Sans",  # the one font that comes with matplotlib: the same everywhere
    "font.size": BODY,
    "axes.labelsize": BODY,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a caption may hold a dollar sign
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "pdf.fonttype": 42,
    "pdf.compression": 9,
    "figure.dpi": PNG_DPI,
    "image.composite_image": False,
}


@dataclass(frozen=True)
class Band:
    """A group of layers as the paper names them, first and last included."""

    name: str
    first: int
    last: int


# section 4: layer 20 belongs to two of them
BANDS = (Band("lower", 0, 10), Band("lower-middle", 11, 20), Band("middle", 20, 30), Band("upper", 31, 38))
BANDED_DEPTH = 39


@dataclass(frozen=True)
class Source:
    """What a figure was made from. checkpoint: as the reader should see it; embedded: the project's own demo
    model."""

    run: str
    checkpoint: str
    pictures: int
    embedded: bool

    def line(self) -> str:
        """The line at the foot of a figure."""
        count = f"{self.pictures:,} picture{'s' if self.pictures != 1 else ''}"
        parts = [f"run {self.run}", f"checkpoint {self.checkpoint}", count]
        return " · ".join(parts)


def metric_name(metric: str) -> str:
    """How a figure names a metric."""
    names = {
        "cider": "CIDEr",
        "bleu4": "BLEU-4",
        "bleu4_sentence": "sentence BLEU-4",
        "rougeL": "ROUGE-L",
        "meteor": "METEOR",
        "bertscore": "BERTScore F1",
    }
    return names.get(metric, metric)


@contextmanager
def theme() -> Iterator[None]:
    """Matplotlib's settings inside are the project's, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def foot(figure: Figure, source: Source, note: str = "", margin: float = 0.15) -> None:
    """Write the foot line, `margin` inches from the left and bottom edges; `note` goes on a line above it."""
    width, height = figure.get_size_inches()
    at: dict[str, Any] = {"ha": "left", "va": "bottom", "fontsize": SMALL}
    left, low = margin / width, 0.11 / height
    text = figure.text(left, low, source.line(), color=MUTED, **at)
    if source.embedded:
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        right = text.get_window_extent(renderer).x1 / (width * figure.dpi)
        mark = "embedded demo model, not the paper's checkpoint"
        figure.text(right, low, f" · {mark}", color=RED, fontweight="bold", **at)
    if note:
        figure.text(left, low + 0.16 / height, note, color=MUTED, **at)


def shade_bands(axes: Axes, depth: int, labels: bool = True) -> None:
    """Shade the paper's bands behind a plot over layers; a model of another depth has none."""
    axes.set_xlim(-0.5, depth - 0.5)
    if depth != BANDED_DEPTH:
        return
    for index, band in enumerate(BANDS):
        # neighbours meet half-way between their layers; the shared layer 20 is cut through
        left = (band.first + BANDS[index - 1].last) / 2 if index else -0.5
        right = (band.last + BANDS[index + 1].first) / 2 if band is not BANDS[-1] else depth - 0.5
        axes.axvspan(left, right, color=("#F1F1F1", "#E2E2E2")[index % 2], linewidth=0, zorder=0)
        if labels:
            above(axes, (left + right - axes.get_xlim()[0] * 2) / (2 * depth), band.name, ha="center")


def above(axes: Axes, at: float, text: str, ha: Literal["left", "center", "right"]) -> None:
    """Write a small line just above the axes; at: 0 (left edge) to 1."""
    axes.text(at, 1.015, text, transform=axes.transAxes, ha=ha, va="bottom", fontsize=SMALL, color=MUTED)


def wrap(text: str, inches: float, points: float, lines: int, bold: bool = False) -> str:
    """Break `text` into lines of at most `inches` at a type size, measured, as even as they can be.

    Lines break at plain spaces only. What does not fit into `lines` lines ends in "…"; so does a word wider
    than a line.
    """
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(points, 72)

    def width(part: str) -> float:
        font.set_text(part, 0.0, flags=LoadFlags.NO_HINTING)
        return float(font.get_width_height()[0]) / 64 / 72

    def broken(limit: float) -> list[str]:
        done = [""]
        for word in words:
            joined = f"{done[-1]} {word}".strip()
            if width(joined) <= limit:
                done[-1] = joined
            else:
                done.append(word)
        return [line for line in done if line]

    def cut(part: str) -> str:
        while part and width(f"{part}…") > inches:
            part = part[:-1].rstrip()
        return f"{part}…"

    words = [word if width(word) <= inches else cut(word) for word in text.split(" ") if word]
    done = broken(inches)
    if len(done) > lines:
        return "\n".join([*done[: lines - 1], cut(" ".join(done[lines - 1 : lines + 1]))])
    narrowest = max(map(width, words), default=0.0)
    for limit in np.linspace(narrowest, inches, 24):
        even = broken(float(limit))
        if len(even) == len(done):
            return "\n".join(even)
    return "\n".join(done)


def save(pages: Sequence[Figure], pdf: Path, png: Path) -> None:
    """Write a PDF of these pages and a PNG of all of them, one below the other, at 200 dpi; equal pages,
    equal bytes.

    Raises VitpeelError, naming the file, where it cannot be written.
    """
    with theme():
        undated = {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None}
        with atomic(pdf) as partial, PdfPages(partial, metadata=undated) as book:
            for page in pages:
                book.savefig(page, dpi=PNG_DPI)
        images = []
        for page in pages:
            page.set_dpi(PNG_DPI)
            canvas = FigureCanvasAgg(page)
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
            images.append(pixels[..., :3])
        with atomic(png) as partial:
            Image.fromarray(np.concatenate(images)).save(partial, dpi=(PNG_DPI, PNG_DPI), optimize=True)
