"""Figure 2 (section 4.2): what is left of the caption when lower layers are averaged or confused."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vitpeel.plots import lower_curves, style
from vitpeel.plots.lower_curves import End

_WIDTH, _HEIGHT = 7.2, 6.7  # inches, a page's text width
_LEFT, _RIGHT = 0.8, 2.05  # inches beside the panels: the axis, the curves' names
_PANELS = {"bertscore": (3.52, 2.35), "exact": (1.25, 1.7)}  # lower edge and height, inches


@dataclass(frozen=True)
class Meaning:
    """What the curves stand for.

    place, vector, confusion, means_from: as in the configuration's section `lower`; main, other: names of the
    sets of pictures, other None where there is no second one.
    """

    place: str
    vector: str
    confusion: str
    means_from: str
    main: str
    other: str | None

    def note(self) -> str:
        """What is averaged, over which pictures, and what confusion is."""
        place = {
            "input": "what a layer's attention reads, before its norm",
            "normed": "what a layer's attention reads, after its norm",
            "output": "what a layer's attention adds",
        }[self.place]
        vector = ", one vector for all positions" if self.vector == "one" else ""
        pictures = {
            "all": f"over {self.main} itself, so a picture is part of its own average",
            "half": f"over another half of {self.main} than the one captioned",
        }[self.means_from]
        confusion = {"skip": "the skip", "stream": "the skip and what attention reads"}[self.confusion]
        return f"Averaged: {place}{vector}, {pictures}. Confused: the average takes the place of {confusion}."


def finding(rows: pd.DataFrame, contrasts: pd.DataFrame) -> str:
    """What the tables say, the costliest edit first: the figure's title."""
    f1 = rows[rows["metric"] == "bertscore"]
    mildest = float(f1.loc[f1["curve"] == "confusion", "mean"].max())
    worst = float(f1.loc[f1["curve"] == "average", "mean"].min())
    said = [
        (1 - mildest, f"at least {_cost(mildest)} by confusing any one layer"),
        (1 - worst, f"at most {_cost(worst)} by averaging any one"),
    ]
    first, last = lower_curves.spans(rows)[1]
    if last > first:
        paired = contrasts[(contrasts["metric"] == "bertscore") & (contrasts["minus"] == "unedited")]
        lost = paired[paired["what"] == f"average together {first}-{last}"].iloc[0]
        clear = lost["high"] < 0 or rows["pictures"].iloc[0] < 2
        amount = _cost(1 + float(lost["mean"])) if clear else "nothing measurable"
        said.append((-float(lost["mean"]), f"{amount} by averaging all of {first}–{last}"))
    ordered = [words for _, words in sorted(said, key=lambda clause: -clause[0])]
    name = "BERTScore F1" if rows["rule"].iloc[0] == "none" else "Rescaled BERTScore F1"
    return f"{name} lost: {', '.join(ordered)}"


def _cost(f1: float) -> str:
    lost = 1 - f1
    return "0" if lost <= 0 else f"{max(lost, 0.01):.2f}"


def draw(rows: pd.DataFrame, contrasts: pd.DataFrame, meaning: Meaning, source: style.Source) -> Figure:
    """Draw the tables: `lower_tables.figure_table` with its baseline, and `lower_tables.contrasts`."""
    with style.theme():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        title = style.wrap(finding(rows, contrasts), _WIDTH - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _WIDTH, 1 - 0.13 / _HEIGHT, title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        for metric in _PANELS:
            _panel(figure, metric, rows, meaning.other)
        note = f"{_numbers(rows)} {meaning.note()} {_confused(rows)}"
        style.foot(figure, source, style.wrap(note, _WIDTH - 0.3, style.SMALL, 4))
    return figure


def _numbers(rows: pd.DataFrame) -> str:
    if rows["pictures"].min() < 2:
        return "Numbers: mean over layers; a single picture, so no interval."
    level = rows["confidence"].iloc[0] * 100
    return f"Numbers: mean over layers; bands: {level:g} % bootstrap intervals over pictures."


def _confused(rows: pd.DataFrame) -> str:
    """How many different captions are left under confusion."""
    counts = rows.loc[rows["curve"] == "confusion", "distinct"]
    low, high, plain = counts.min(), counts.max(), rows.loc[rows["curve"] == "unedited", "distinct"].iloc[0]
    some = f"{low}" if low == high else f"{low} to {high}"
    return f"Different captions left then: {some}; unedited {plain}."


def _panel(figure: Figure, metric: str, rows: pd.DataFrame, other: str | None) -> None:
    low, tall = _PANELS[metric]
    wide = _WIDTH - _LEFT - _RIGHT
    axes = figure.add_axes((_LEFT / _WIDTH, low / _HEIGHT, wide / _WIDTH, tall / _HEIGHT))
    own = rows[rows["metric"] == metric]
    lower_curves.frame(axes, own)
    lower, *named = lower_curves.lines(own, other)
    for line in (lower, *named):
        lower_curves.curve(axes, line)
    lower_curves.above(axes, lower_curves.labelled(lower))
    ends = [lower_curves.labelled(line) for line in named]
    if metric == "bertscore":
        ends += _chance(axes, own)
    lowest = min(float(own["low"].min()), *(end.height for end in ends))
    room = 1.0 - min(lowest, 0.95)
    axes.set_ylim(1.0 - 1.06 * room, 1.0 + 0.05 * room)
    lower_curves.beside(axes, ends, (wide, tall), _RIGHT)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel(_axis_label(metric, rows))
    if metric == "exact":
        axes.set_xlabel("layer")


def _axis_label(metric: str, rows: pd.DataFrame) -> str:
    if metric == "exact":
        return "share of captions that\nstay word for word"
    rescaled = "" if rows["rule"].iloc[0] == "none" else ", rescaled"
    return f"BERTScore F1 with the\nunedited caption{rescaled}"


def _chance(axes: Axes, own: pd.DataFrame) -> list[End]:
    """A line where the caption of another picture would be; its name."""
    row = own.iloc[0]
    if pd.isna(row["chance"]):
        return []
    level = float(row["chance"])
    if row["rule"] != "none":
        level = (level - float(row["value"])) / (1 - float(row["value"]))
    axes.axhline(level, color=style.MUTED, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
    return [End(level, f"{level:.3f} caption of another picture", style.MUTED)]
