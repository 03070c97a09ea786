"""Appendix D: heads masked together, and what is said without them, on pages of one picture each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

from vitpeel.plots import pages, style
from vitpeel.plots.pages import EDGE

_WIDTH, _TALLEST = 10.0, 8.5  # inches of a page, and of all masks on one
_PICTURE, _MATRIX, _MARGIN = 2.1, 1.6, 0.6  # inches; the margin is left of a matrix, for its layers
_GAP, _LINE, _LABEL, _PAUSE = 0.25, 0.157, 0.17, 0.2  # inches between parts, of a line, and around a mask
_CAPTION_LINES = 4
_CELL, _CELLS = 0.17, 1.7  # inches of a matrix's row; of all of them, if that is less
_BOTTOM = 0.55  # inches of the foot
_COLOURS = ListedColormap(["#D6E4EF", style.INK])
_CAPTION = (_WIDTH - 2 * EDGE - _PICTURE - _MARGIN - _MATRIX - 3 * _GAP) / 2


@dataclass(frozen=True)
class _Mask:
    """One combination. cells: its matrix, layers x heads; readings: the table's rows, a layer read each."""

    number: int
    cells: pd.DataFrame
    readings: pd.DataFrame

    @property
    def tall(self) -> float:
        """Inches of the matrix."""
        return min(_CELL * len(self.cells), _CELLS)

    @property
    def height(self) -> float:
        """Inches of the matrix or the captions, whichever are taller, and the pause after."""
        captions = max(_before(row) + _LABEL + _LINE * _lines(row["edited"]) for row in _rows(self.readings))
        return max(_LABEL + self.tall + 0.25, captions) + _PAUSE


def read(path: Path) -> pd.DataFrame:
    """Read either table from its CSV; captions and picture ids stay text, whatever they look like."""
    kinds = {"image_id": "str", "unedited": "str", "edited": "str"}
    return pd.read_csv(path, dtype=kinds, keep_default_na=False)


def finding(rows: pd.DataFrame, image_id: str) -> str:
    """How often masking changes what is said of a picture, and of all, in a sentence: its pages' title."""
    own, every, pictures = (
        _counts(rows[rows["image_id"] == image_id]),
        _counts(rows),
        rows["image_id"].nunique(),
    )
    same = rows["last"].all()
    words = f"Masked heads change {own.last} of {own.masks} captions at the last layer"
    if not same:
        words += f" and {own.masked} of {own.masks} where they are masked"
    if pictures == 1:
        return words
    both = f"{every.last}" if same else f"{every.last} and {every.masked}"
    return f"{words}; over {pictures} pictures {both} of {every.masks}"


def draw(
    rows: pd.DataFrame, cells: pd.DataFrame, image_id: str, picture: Image.Image, source: style.Source
) -> list[Figure]:
    """Draw the pages of one picture, as many as its masks need.

    rows, cells: the two tables (`vitpeel.heads`), of all pictures. picture: RGB.
    """
    own = rows[rows["image_id"] == image_id]
    masks = []
    for number in own["mask"].unique():
        matrix = cells[cells["mask"] == number].pivot(index="layer", columns="head", values="masked")
        masks.append(_Mask(int(number), matrix, own[own["mask"] == number]))
    with style.theme():
        return [_page(some, finding(rows, image_id), image_id, picture, source) for some in _paged(masks)]


@dataclass(frozen=True)
class _Counts:
    masks: int
    last: int
    masked: int


def _counts(rows: pd.DataFrame) -> _Counts:
    """Of how many masks the caption is another one at the last layer, and where they mask last."""
    at_mask = rows.groupby(["image_id", "mask"])["changed"].first()
    return _Counts(len(at_mask), int(rows.loc[rows["last"], "changed"].sum()), int(at_mask.sum()))


def _rows(table: pd.DataFrame) -> Iterator[pd.Series[Any]]:
    return (row for _, row in table.iterrows())


def _lines(caption: str) -> int:
    return style.wrap(caption, _CAPTION, style.BODY, _CAPTION_LINES, bold=True).count("\n") + 1


def _before(row: pd.Series[Any]) -> float:
    """Inches of a reading's unedited caption."""
    return _LABEL + _LINE * _lines(row["unedited"]) + 0.06


def _paged(masks: Sequence[_Mask]) -> list[list[_Mask]]:
    """As many on a page as fit."""
    done: list[list[_Mask]] = [[]]
    for mask in masks:
        if done[-1] and sum(own.height for own in done[-1]) + mask.height > _TALLEST:
            done.append([])
        done[-1].append(mask)
    return done


def _page(
    masks: Sequence[_Mask], title: str, image_id: str, picture: Image.Image, source: style.Source
) -> Figure:
    words = style.wrap(title, _WIDTH - 2 * EDGE, style.TITLE + 2, 2, bold=True)
    tall = max(sum(mask.height for mask in masks), _PICTURE + 0.4)
    figure = Figure(figsize=(_WIDTH, _BOTTOM + tall + 0.5 + 0.24 * words.count("\n")))
    pages.write(figure, (EDGE, figure.get_figheight() - 0.14), words, style.TITLE + 2, weight="bold")
    top = _BOTTOM + tall
    pages.original(figure, (EDGE, top), _PICTURE, picture, image_id, ())
    for mask in masks:
        left = EDGE + _PICTURE + _GAP
        _matrix(figure, mask, left, top)
        for column, row in enumerate(_rows(mask.readings)):
            at = left + _MARGIN + _MATRIX + _GAP + column * (_CAPTION + _GAP)
            _captions(figure, row, at, top)
        top -= mask.height
    note = "Dark: masked heads, which add nothing. Bold: words that differ. Counted: these pictures, not all."
    style.foot(figure, source, note)
    return figure


def _matrix(figure: Figure, mask: _Mask, left: float, top: float) -> None:
    """The masking matrix, a row a layer and a column a head."""
    pages.write(figure, (left, top), f"Mask {mask.number}", weight="bold")
    rows, heads = mask.cells.shape
    axes = pages.axes_at(figure, left + _MARGIN, top - _LABEL - 0.05 - mask.tall, _MATRIX, mask.tall)
    values = mask.cells.to_numpy(dtype=float)
    axes.pcolormesh(
        values, cmap=_COLOURS, vmin=0, vmax=1, edgecolor="white", linewidth=min(0.8, 10 * mask.tall / rows)
    )
    axes.set(xlim=(0, heads), ylim=(rows, 0))
    axes.spines[:].set_visible(False)
    down = ceil(rows * 0.15 / mask.tall)
    across = ceil(heads * (0.13 if heads <= 10 else 0.2) / _MATRIX)
    named = [f"layer {layer}" for layer in mask.cells.index[::down]]
    axes.set_yticks([row + 0.5 for row in range(0, rows, down)], named)
    numbered = [str(head) for head in mask.cells.columns[::across]]
    axes.set_xticks([head + 0.5 for head in range(0, heads, across)], numbered)
    axes.tick_params(length=0, pad=2)
    pages.write(figure, (left, top - _LABEL - 0.07 - mask.tall), "head", style.SMALL, color=style.INK)


def _captions(figure: Figure, row: pd.Series[Any], left: float, top: float) -> None:
    """What a layer says unedited, and below it what it says without the masked heads."""
    name, cut = f"Layer {row['layer']}", " (cut)" if row["truncated"] else ""
    pages.write(figure, (left, top), f"{name}, unedited{cut}", style.SMALL, color=style.MUTED)
    _said(figure, (left, top - _LABEL), row["edited"], row["unedited"], style.INK)
    low = top - _before(row)
    told = f"{name}, masked" if row["changed"] else f"{name}, masked: the same"
    pages.write(figure, (left, low), told, style.SMALL, color=style.MUTED)
    _said(figure, (left, low - _LABEL), row["unedited"], row["edited"], style.RED)


def _said(figure: Figure, at: tuple[float, float], other: str, caption: str, colour: str) -> None:
    """A caption whose words that the other one has not are marked."""
    words = pages.changed(other, caption) or [("(empty", False), ("caption)", False)]
    pages.write_words(figure, at, words, _CAPTION, _CAPTION_LINES, colour)
