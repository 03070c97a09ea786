"""Appendix C: what chosen layers say about a picture, and the judge's scores for it. One page a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from vitpeel.plots import pages, style

_WIDTH, _LEAST = 10.0, 5.625  # inches; a page grows with its rows
_LEFT, _CAPTION, _CELL = 2.85, 3.35, 0.6  # inches: of the table's left edge, of its columns
_LAYER, _MEAN_GAP = 0.55, 0.12
_LINE, _LINES = 0.157, 3  # inches a line of a caption, lines at most
_PADS = (0.12, 0.22)  # inches between rows, least and most
_COLUMNS = {
    "judge_entities": "entities",
    "judge_specificity": "speci-\nficity",
    "judge_information": "infor-\nmation",
    "judge_correspondence": "corres-\npondence",
    "judge_mean": "mean",
}
_SHADES = colormaps["GnBu"]


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the pages from its CSV; captions and picture ids stay text."""
    text = {"image_id": "str", "caption": "str", "judge": "str", "about": "str"}
    rows = pd.read_csv(path, dtype=text, keep_default_na=False)
    return rows.assign(**{metric: pd.to_numeric(rows[metric], errors="coerce") for metric in _COLUMNS})


def finding(rows: pd.DataFrame) -> str:
    """What one picture's rows say, in a sentence: the page's title."""
    first, last = rows.iloc[0], rows.iloc[-1]
    start, end = (f"Layer\xa0{row['layer']}: {pages.quoted(row['caption'])}" for row in (first, last))
    if rows["judge_mean"].isna().any():
        return f"{start}; {end[0].lower()}{end[1:]}; the judge gave no scores"
    if len(rows) == 1:
        return f"{start} scores {first['judge_mean']:.1f}"
    if first["caption"] == last["caption"]:
        scores = f"{first['judge_mean']:.1f} and {last['judge_mean']:.1f}"
        both = f"Layers\xa0{first['layer']} and\xa0{last['layer']}"
        return f"{both} say {pages.quoted(first['caption'])}: {scores}"
    end = f"{end[0].lower()}{end[1:]} {last['judge_mean']:.1f}"
    return f"{start} scores {first['judge_mean']:.1f}; {end}"


def draw(rows: pd.DataFrame, picture: Image.Image, references: Sequence[str], source: style.Source) -> Figure:
    """Draw the page of one picture. rows: its part of the table of `judge_tables.appendix_c`; picture: RGB;
    references: what people wrote, may be empty."""
    said = [pages.said(caption, _CAPTION - 0.15, _LINES) for caption in rows["caption"]]
    tall = [_LINE * (words.count("\n") + 1) for words in said]
    with style.theme():
        title = style.wrap(finding(rows), _WIDTH - 2 * pages.EDGE, style.TITLE + 2, 2, bold=True)
        above = 0.73 if "\n" in title else 0.51
        around = above + 1.1
        height = max(_LEAST, around + sum(tall) + len(rows) * _PADS[0])
        pad = min(max((height - around - sum(tall)) / len(rows), _PADS[0]), _PADS[1])
        figure = Figure(figsize=(_WIDTH, height))
        pages.write(figure, (pages.EDGE, height - 0.14), title, style.TITLE + 2, weight="bold")
        top = height - above
        pages.original(figure, (pages.EDGE, top), 2.4, picture, rows["image_id"].iloc[0], references)
        who = f"Judge: {rows['judge'].iloc[0]}, {rows['about'].iloc[0]}"
        who = style.wrap(who, _LAYER + _CAPTION - 0.3, style.BODY, 2, bold=True)
        pages.write(figure, (_LEFT, top), who, color=style.RED, weight="bold")
        axes = pages.axes_at(figure, 0, 0, _WIDTH, height)
        axes.set(xlim=(0, _WIDTH), ylim=(0, height))
        axes.set_axis_off()
        _header(figure, top)
        low = top - 0.4
        for row, words, own in zip(rows.to_dict("records"), said, tall, strict=True):
            colour = style.MUTED if row["repeated"] else style.INK
            upper, own = low - pad / 2, own + pad
            pages.write(figure, (_LEFT, upper), f"Layer {row['layer']}", weight="bold")
            pages.write(figure, (_LEFT + _LAYER + 0.1, upper), words, color=colour)
            for place, metric in enumerate(_COLUMNS):
                _cell(axes, (_left_of(place), low - own, own), row[metric], metric == "judge_mean")
            low -= own
        note = "Grey words: as in the row above. Scores: 1 few or poor, 3 medium, 5 many or good."
        style.foot(figure, source, note)
    return figure


def _left_of(place: int) -> float:
    """The left edge of a column of scores, in inches."""
    gap = _MEAN_GAP if place == len(_COLUMNS) - 1 else 0.0
    return _LEFT + _LAYER + _CAPTION + place * _CELL + gap - 0.1


def _header(figure: Figure, top: float) -> None:
    for place, name in enumerate(_COLUMNS.values()):
        middle = _left_of(place) + _CELL / 2
        lower = top if "\n" in name else top - 1.25 * style.SMALL / 72
        weight = "bold" if place == len(_COLUMNS) - 1 else "normal"
        pages.write(figure, (middle, lower), name, style.SMALL, ha="center", weight=weight)


def _cell(axes: Axes, at: tuple[float, float, float], score: float, mean: bool) -> None:
    """at: left and lower edge and height of the cell, in inches."""
    left, low, tall = at
    middle = (left + _CELL / 2, low + tall / 2)
    known = not pd.isna(score)
    shade = _SHADES(0.05 + 0.85 * (score - 1) / 4) if known else "#F1F1F1"
    axes.add_patch(Rectangle((left, low), _CELL, tall, facecolor=shade, edgecolor="white", linewidth=1.5))
    words = f"{score:.{int(mean)}f}" if known else "–"
    dark = known and score > 3.6
    axes.text(
        *middle,
        words,
        ha="center",
        va="center",
        color="white" if dark else style.INK,
        fontweight="bold" if mean else "normal",
    )
