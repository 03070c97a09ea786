"""Figure 5 (section 4.4): the judge's scores over the middle layers, and beside them over all it judged."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator

from vitpeel.errors import VitpeelError
from vitpeel.plots import pages, style

Row = Mapping[Hashable, Any]

_SIZE = (7.2, 4.9)  # inches, a page's text width
_MEAN = "judge_mean"
_CURVES = {
    "judge_entities": ("entities", style.PURPLE),
    "judge_specificity": ("specificity", style.GREEN),
    "judge_information": ("information", style.BLUE),
    "judge_correspondence": ("correspondence", style.RED),
    _MEAN: ("mean", style.BLACK),
}
_MARK = "#F5D58A"  # behind the steepest step


def read(path: Path) -> pd.DataFrame:
    """Read either table behind the figure from its CSV; what is not there is nan."""
    return pd.read_csv(path)


def finding(trends: pd.DataFrame, layers: tuple[int, int]) -> str:
    """What the table of trends says about these layers, in a sentence: the figure's title."""
    rows = _inside(trends, layers)
    own = {metric: _row(rows, metric) for metric in _CURVES}
    mean = own[_MEAN]
    where = f"from layer {layers[0]} to {layers[1]}"
    if mean["pictures"] < 2:
        return f"The judge's scores of a single picture {where}: no interval can be given"
    parts = [
        f"{name}\xa0{_signed(own[metric]['change'])}"
        for metric, (name, _) in _CURVES.items()
        if metric != _MEAN and _measurable(own[metric])
    ]
    single = f": {', '.join(parts)}" if parts else ""
    if not _measurable(mean):
        return f"The judge's mean score does not measurably change {where}{single}"
    verb = "rises" if mean["change"] > 0 else "falls"
    return f"The judge's mean score {verb} by {abs(mean['change']):.2f} {where}{single}"


def draw(curves: pd.DataFrame, trends: pd.DataFrame, layers: tuple[int, int], source: style.Source) -> Figure:
    """Draw the tables of `judge_tables.fig5` and `.trends`; layers: first and last of the left panel.

    Raises VitpeelError if the tables do not hold these layers.
    """
    middle = curves[curves["layer"].between(*layers)]
    every = (int(curves["layer"].min()), int(curves["layer"].max()))
    if middle["layer"].nunique() < layers[1] - layers[0] + 1 or _inside(trends, layers).empty:
        raise VitpeelError(
            f"figures.fig5.layers: layers {layers[0]} to {layers[1]} are not all in the table, which has "
            f"{every[0]} to {every[1]}. Delete it and run `snakemake` again."
        )
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(trends, layers), _SIZE[0] - 0.3, style.TITLE, 2, bold=True)
        pages.write(figure, (pages.EDGE, _SIZE[1] - 0.13), title, style.TITLE, weight="bold")
        who = style.wrap(_who(curves), _SIZE[0] - 0.3, style.BODY, 1, bold=True)
        top = _SIZE[1] - (0.62 if "\n" in title else 0.42)
        pages.write(figure, (pages.EDGE, top), who, color=style.RED, weight="bold")
        tall = top - 2.02
        left = pages.axes_at(figure, 0.58, 0.98, 2.45, tall)
        right = pages.axes_at(figure, 4.2, 0.98, 2.85, tall)
        _middle_panel(left, middle, _inside(trends, layers), layers)
        _all_panel(right, curves, _inside(trends, every), every, (*left.get_xlim(), *left.get_ylim()))
        for column, at, words in ((0.58, layers, "Layers"), (4.2, every, "All judged layers,")):
            _heading(figure, (column, top - 0.26), f"{words} {at[0]} to {at[1]}", _inside(trends, at))
        style.foot(figure, source, _note(curves))
    return figure


def _inside(trends: pd.DataFrame, layers: tuple[int, int]) -> pd.DataFrame:
    return trends[(trends["first"] == layers[0]) & (trends["last"] == layers[1])]


def _row(trends: pd.DataFrame, metric: str) -> Row:
    """A metric's row of the trends of one range of layers."""
    return trends[trends["metric"] == metric].iloc[0].to_dict()


def _measurable(row: Row) -> bool:
    return bool(row["change_low"] > 0 or row["change_high"] < 0)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _between(row: Row, name: str) -> str:
    """A value with its interval; without one where there is a single picture."""
    if row["pictures"] < 2:
        return _signed(row[name])
    return f"{_signed(row[name])} [{_signed(row[f'{name}_low'])}, {_signed(row[f'{name}_high'])}]"


def _heading(figure: Figure, at: tuple[float, float], name: str, trends: pd.DataFrame) -> None:
    """A panel's name, and in small print the steepest rise of the mean score and its trend."""
    row = _row(trends, _MEAN)
    lines = ["no layer's mean is above that of the one before", ""]
    if row["rise"] > 0:
        share = f", in {100 * row['stable']:.0f} % of resamples" if row["pictures"] > 1 else ""
        step = f"steepest rise of the mean: layer {row['step_from']:.0f} to {row['step_to']:.0f},"
        lines = [step, f"{_between(row, 'rise')}{share}"]
    rho = "none, it is constant" if np.isnan(row["rho"]) else _between(row, "rho")
    pages.write(figure, at, name)
    words = "\n".join([*lines, f"rank correlation: {rho}"])
    pages.write(figure, (at[0], at[1] - 0.17), words, style.SMALL, color=style.MUTED)


def _who(curves: pd.DataFrame) -> str:
    judged, captioned = int(curves["pictures"].max()), int(curves["captioned"].max())
    count = f"; {judged:,} of {captioned:,} pictures judged" if judged < captioned else ""
    return f"Judge: {curves['judge'].iloc[0]}, {curves['about'].iloc[0]}{count}"


def _note(curves: pd.DataFrame) -> str:
    band = f"Bands: {curves['confidence'].iloc[0] * 100:g} % intervals over pictures."
    levels = "1 few or poor, 3 medium, 5 many or good."
    first = f"Layer {curves['layer'].min()}'s information counts as 3."
    return f"{levels} {first} {'A single picture: no interval.' if curves['pictures'].max() < 2 else band}"


def _draw_curves(axes: Axes, rows: pd.DataFrame, markers: tuple[float, float]) -> None:
    for metric, (_, colour) in _CURVES.items():
        own = rows[rows["metric"] == metric]
        thick = metric == _MEAN
        axes.fill_between(own["layer"], own["low"], own["high"], color=colour, alpha=0.18, linewidth=0)
        axes.plot(
            own["layer"],
            own["mean"],
            color=colour,
            linewidth=2.2 if thick else 0.9,
            marker="o",
            markersize=markers[0 if thick else 1],
        )
    axes.set_xlabel("layer")


def _mark(axes: Axes, trends: pd.DataFrame) -> None:
    row = _row(trends, _MEAN)
    if row["rise"] > 0:
        axes.axvspan(row["step_from"], row["step_to"], color=_MARK, alpha=0.8, linewidth=0, zorder=0.5)


def _middle_panel(axes: Axes, middle: pd.DataFrame, trends: pd.DataFrame, layers: tuple[int, int]) -> None:
    _draw_curves(axes, middle, (4, 2.2))
    _mark(axes, trends)
    axes.set_ylabel("score")
    axes.set_xlim(layers[0] - 0.5, layers[1] + 0.5)
    low, high = float(middle["low"].min()), float(middle["high"].max())
    room = max(high - low, 0.3)
    axes.set_ylim(max(low - 0.08 * room, 0.9), min(high + 0.08 * room, 5.1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=style.RULE, linewidth=0.5, alpha=0.6)
    last = middle[middle["layer"] == layers[1]]
    ends = dict(zip(last["metric"].astype(str), last["mean"].astype(float), strict=True))
    bottom, top = axes.get_ylim()
    places = _apart(ends, 0.14 / (axes.get_position().height * _SIZE[1]) * (top - bottom), top)
    for metric, place in places.items():
        name, colour = _CURVES[metric]
        axes.annotate(
            name,
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=style.SMALL,
            color=colour,
            fontweight="bold" if metric == _MEAN else "normal",
        )


def _apart(ends: dict[str, float], least: float, top: float) -> dict[str, float]:
    """Places for labels at least so far apart, near where their curves end, none above `top`."""
    places: dict[str, float] = {}
    last = top + least / 2
    for metric, end in sorted(ends.items(), key=lambda item: -item[1]):
        last = min(end, last - least)
        places[metric] = last
    return places


def _all_panel(
    axes: Axes,
    curves: pd.DataFrame,
    trends: pd.DataFrame,
    every: tuple[int, int],
    window: tuple[float, float, float, float],
) -> None:
    """window: x0, x1, y0, y1 of the left panel, framed."""
    if every[0] == 0:
        style.shade_bands(axes, every[1] + 1)
    _draw_curves(axes, curves, (1.8, 0))
    _mark(axes, trends)
    axes.set_ylim(0.9, 5.15)
    axes.set_xlim(every[0] - 0.5, every[1] + 0.5)
    axes.xaxis.set_major_locator(MultipleLocator(5 if every[1] - every[0] > 12 else 1))
    axes.yaxis.set_major_locator(MultipleLocator(1))
    x0, x1, y0, y1 = window
    axes.add_patch(
        Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=style.INK, linewidth=0.8, linestyle="--")
    )
