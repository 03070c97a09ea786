"""Appendix A (section 4.2): what the edited model says, a page a picture; and wording without colours."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from vitpeel.plots import lower_curves, pages, style

_WIDTH, _HEIGHT = 10.0, 5.625  # inches, a slide
_PICTURE = 2.6  # inches
_NAMES, _SAYS, _SCORES = 2.95, 5.05, 9.85  # inches: where the columns of a page begin, the last where it ends
_TOP, _BOTTOM = 4.95, 0.52  # of the rows
_COLOURS = {
    "unedited": style.INK,
    "average together": style.BLUE,
    "other average together": style.GREEN,
    "confusion": style.PURPLE,
}


def finding(rows: pd.DataFrame) -> str:
    """What one picture's captions say: the page's title.  rows: its cases, the unedited first."""
    plain = pages.quoted(rows["caption"].iloc[0])
    averaged = rows[rows["curve"].str.contains("average")]
    confused = rows[rows["curve"] == "confusion"].iloc[-1]
    same = int(averaged["exact"].sum())
    left = {len(averaged): "All", 0: "None"}.get(same, f"{same}")
    layer = f"layer\xa0{int(confused['first'])} confused"
    after = (
        f"{layer} changes nothing" if confused["exact"] else f"{layer}: {pages.quoted(confused['caption'])}"
    )
    return f"{left} of {len(averaged)} averages keep {plain}; {after}"


def wording_finding(rows: pd.DataFrame) -> str:
    """What the table of wording says about confusion, in a sentence."""
    plain, confused = rows.iloc[0], rows[rows["curve"] == "confusion"]
    count, unedited = int(plain["pictures"]), round(plain["share"] * plain["pictures"])
    most = confused.iloc[int(confused["difference"].argmax())]
    said = round(most["share"] * count)
    few = f"at most {said:,}" if said else "none"
    if count > 1 and most["difference_low"] > 0:
        return (
            f"Confusing layer {int(most['first'])} makes wording without colours more frequent: {said:,} of "
            f"{count:,} captions, unedited {unedited:,}"
        )
    if count > 1 and (confused["difference_high"] < 0).all():
        return (
            f"Confusion brings no wording without colours, it takes it away: {few} of {count:,} captions, "
            f"unedited {unedited:,}"
        )
    return (
        "Confusing a layer does not measurably bring wording without colours: "
        f"{few} of {count:,} captions, unedited {unedited:,}"
    )


def draw(
    rows: pd.DataFrame,
    picture: Image.Image,
    references: Sequence[str],
    other: str | None,
    source: style.Source,
) -> Figure:
    """Draw the page of one picture.

    rows: its cases (`lower_tables.cases`), the unedited first. picture: RGB. references: may be empty. other:
    name of the other set of pictures.
    """
    with style.theme():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        title = style.wrap(finding(rows), _WIDTH - 2 * pages.EDGE, style.TITLE, 2, bold=True)
        pages.write(figure, (pages.EDGE, _HEIGHT - 0.14), title, style.TITLE, weight="bold")
        name = rows["image_id"].iloc[0]
        pages.original(figure, (pages.EDGE, _TOP), _PICTURE, picture, name, references)
        _rows(figure, rows, other)
        style.foot(
            figure, source, "Red: words that the unedited caption does not have there. F1: BERTScore with it."
        )
    return figure


def draw_wording(rows: pd.DataFrame, other: str | None, source: style.Source) -> Figure:
    """Draw the page of `lower_tables.wording`: how often captions say that there are no colours."""
    with style.theme():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        title = style.wrap(wording_finding(rows), _WIDTH - 2 * pages.EDGE, style.TITLE, 2, bold=True)
        pages.write(figure, (pages.EDGE, _HEIGHT - 0.14), title, style.TITLE, weight="bold")
        low, tall, wide = 1.28, 3.15, 3.25
        left, right = (
            figure.add_axes((x / _WIDTH, low / _HEIGHT, wide / _WIDTH, tall / _HEIGHT)) for x in (0.75, 4.75)
        )
        plain, lower, *named = rows.iloc[0], *lower_curves.lines(rows, other)
        intervals = {"share": ("low", "high"), "difference": ("difference_low", "difference_high")}
        for axes, (column, interval) in zip((left, right), intervals.items(), strict=True):
            lower_curves.frame(axes, rows)
            for line in (lower, *named):
                lower_curves.curve(axes, line, (column, *interval), opacity=0.13)
            axes.set_xlabel("layer")
            axes.yaxis.set_major_locator(MaxNLocator(5))
        left.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        right.yaxis.set_major_formatter(lambda value, _: _points(value))
        _plain(left, rows, plain)
        right.axhline(0, color=style.MUTED, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
        for axes, words in (
            (left, "Captions worded without colours"),
            (right, "The same minus the unedited ones, paired, in points"),
        ):
            axes.set_title(words, loc="left", fontsize=style.BODY, pad=18)
        lower_curves.above(right, lower_curves.labelled(lower, "difference", _points))
        ends = [lower_curves.labelled(line, "difference", _points) for line in named]
        lower_curves.beside(right, ends, (wide, tall), 2.0)
        style.foot(figure, source, style.wrap(_wording_note(rows), _WIDTH - 0.3, style.SMALL, 3))
    return figure


def _points(share: float) -> str:
    """Percentage points."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}") if abs(share) >= 5e-4 else "0"


def _plain(axes: Axes, rows: pd.DataFrame, plain: Any) -> None:
    """The unedited share, across all layers, and room above the highest band for its name."""
    axes.axhspan(plain["low"], plain["high"], color=style.INK, alpha=0.1, linewidth=0, zorder=1)
    axes.axhline(plain["share"], color=style.INK, linewidth=1.0, linestyle=(0, (4, 2)), zorder=5)
    axes.set_ylim(-0.03 * max(0.02, rows["high"].max()), 1.25 * max(0.02, rows["high"].max()))
    words = f"dashed: unedited, {round(plain['share'] * plain['pictures'])} of {plain['pictures']:,}"
    style.above(axes, 0, words, ha="left")


def _wording_note(rows: pd.DataFrame) -> str:
    edited, plain = rows.iloc[1:], rows.iloc[0]
    true = (
        f"{plain['colourless']:,} of the {plain['pictures']:,} pictures are called so by a reference: they "
        "are without colours."
        if plain["colourless"]
        else "No reference calls a picture so."
    )
    level = f"{100 * plain['confidence']:g} %"
    return (
        "“Black and white”, greyscale, sepia and the like. "
        f"{true} Newly so worded under an edit: at most {edited['gained'].max()}; no longer: at most "
        f"{edited['lost'].max()}. Bands: {level} Wilson intervals left, bootstrap over pictures right; "
        "numbers: mean over layers."
    )


def _rows(figure: Figure, rows: pd.DataFrame, other: str | None) -> None:
    """The page's table: edit, caption, F1 a row."""
    middle = lower_curves.spans(rows)[1][0]
    pitch, plain = (_TOP - _BOTTOM) / len(rows), rows["caption"].iloc[0]
    for index, row in enumerate(rows.to_dict("records")):
        y = _TOP - index * pitch
        name = style.wrap(_name(row, other), _SAYS - _NAMES - 0.1, style.BODY, 1, bold=True)
        pages.write(figure, (_NAMES, y), name, style.BODY, weight="bold", color=_colour(row, middle))
        words = pages.changed(plain, row["caption"]) or [("(empty", True), ("caption)", True)]
        pages.write_words(figure, (_SAYS, y), words, _SCORES - _SAYS - 0.75, 2, style.RED)
        if not index:
            continue
        rule = Line2D((_NAMES / _WIDTH, _SCORES / _WIDTH), [(y + 0.055) / _HEIGHT] * 2, linewidth=0.5)
        rule.set_color(style.RULE)
        figure.add_artist(rule)
        score = "the same" if row["exact"] else f"F1 {row['bertscore']:.2f}".replace("-", "\N{MINUS SIGN}")
        pages.write(figure, (_SCORES, y), score, style.SMALL, ha="right", color=style.MUTED)


def _name(row: dict[Hashable, Any], other: str | None) -> str:
    if row["curve"] == "unedited":
        return "unedited"
    layers = lower_curves.span((int(row["first"]), int(row["last"])))
    return {
        "average": f"layer {layers} averaged",
        "average together": f"layers {layers} averaged",
        "other average together": f"{layers}, avg. of {other}",
        "confusion": f"layer {layers} confused",
    }[row["curve"]]


def _colour(row: dict[Hashable, Any], middle: int) -> str:
    """As the curves of Figure 2."""
    if row["curve"] == "average":
        return lower_curves.INK[style.YELLOW] if row["first"] >= middle else style.RED
    return lower_curves.INK.get(_COLOURS[row["curve"]], _COLOURS[row["curve"]])
