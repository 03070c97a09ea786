"""The three perspectives' layer-to-layer change side by side, and their rank correlations (sections 3.3 to
3.5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from vitpeel.errors import VitpeelError
from vitpeel.plots import style
from vitpeel.plots.fig3 import metric_name

_SIZE = (10.0, 5.625)  # inches, a slide
_COLOURS = {"data flow": style.GREEN, "heatmap": style.RED, "language": style.BLUE}
_UNITS = {"data flow": "length of update", "heatmap": "L1 of map change", "language": "1 − likeness"}


def read(path: Path) -> pd.DataFrame:
    """Read either table behind the figure from its CSV."""
    return pd.read_csv(path)


def finding(correlations: pd.DataFrame, metric: str) -> str:
    """What the three pairs say, in a sentence: the figure's title. metric: language's measure."""
    rows = _pairs(correlations, metric)
    rows = rows[rows["level"] == "mean"]
    if rows["pictures"].min() < 2:
        return "A single picture: whether the three perspectives agree cannot be told"
    alike = rows["low"] > 0
    span = f"rank correlations {_signed(rows['rho'].min())} to {_signed(rows['rho'].max())}"
    if alike.all():
        return f"The three perspectives see the same layers change: {span}"
    if not alike.any():
        return f"No two of the perspectives see the same layers change: {span}"
    agree, others = (
        ", ".join(f"{row['pair']} ({_signed(row['rho'])})" for _, row in rows[chosen].iterrows())
        for chosen in (alike, ~alike)
    )
    return f"{agree[0].upper()}{agree[1:]} agree on which layers change most; {others} do not"


def draw(curves: pd.DataFrame, correlations: pd.DataFrame, source: style.Source, metric: str) -> Figure:
    """Draw the tables of `perspectives.curves` and `.correlations`; metric: language's measure.

    Language's other measures are thin lines, and points of their own. Raises VitpeelError where a measure
    is not in the tables.
    """
    known = curves["measure"].unique()
    for measure in ("update", "map", metric):
        if measure not in known:
            raise VitpeelError(f"perspectives: no {measure} in the table. There are: {', '.join(known)}.")
    depth = int(curves["layer"].max()) + 1
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(correlations, metric), _SIZE[0] - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _SIZE[0], 1 - 0.13 / _SIZE[1], title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        for place, (name, measure) in enumerate(
            (("data flow", "update"), ("heatmap", "map"), ("language", metric))
        ):
            axes = figure.add_axes((0.075, 0.655 - 0.245 * place, 0.46, 0.175))
            _curve(axes, curves, name, measure, depth, labels=place == 0)
            axes.set_xlabel("layer" if place == 2 else "")
            axes.tick_params(labelbottom=place == 2)
        _forest(figure.add_axes((0.735, 0.165, 0.25, 0.665)), correlations, metric)
        style.foot(figure, source, _note(curves))
    return figure


def _note(curves: pd.DataFrame) -> str:
    said = "Language: likeness of a layer's caption to the one before; grey: its other measures."
    if curves["pictures"].min() < 2:
        return said
    return f"{said} Bands, bars: {curves['confidence'].iloc[0] * 100:g} % bootstrap intervals over pictures."


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _curve(axes: Axes, curves: pd.DataFrame, name: str, measure: str, depth: int, labels: bool) -> None:
    style.shade_bands(axes, depth, labels)
    own = curves[curves["measure"] == measure].sort_values("layer")
    if name == "language":
        rest = curves[(curves["perspective"] == name) & (curves["measure"] != measure)]
        for _, other in rest.groupby("measure"):
            axes.plot(other["layer"], other["mean"], color=style.MUTED, linewidth=0.6, alpha=0.7)
    axes.fill_between(own["layer"], own["low"], own["high"], color=_COLOURS[name], alpha=0.25, linewidth=0)
    axes.plot(own["layer"], own["mean"], color=_COLOURS[name], linewidth=1.5, marker="o", markersize=2)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MultipleLocator(5 if depth > 12 else 1))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylabel(_UNITS[name], fontsize=style.SMALL)
    words = f"{name}: {metric_name(measure)}" if name == "language" else name
    pad = 15 if labels else 4
    axes.set_title(words, loc="left", fontsize=style.BODY, fontweight="bold", color=_COLOURS[name], pad=pad)


def _pairs(correlations: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The three pairs of perspectives, first the mean curves' then the pictures'; with the name of each."""
    names = {"update": "data flow", "map": "heatmap", metric: "language"}
    rows = correlations[correlations["first"].isin(names) & correlations["second"].isin(names)]
    return rows.assign(pair=rows["first"].map(names) + " and " + rows["second"].map(names))


def _forest(axes: Axes, correlations: pd.DataFrame, metric: str) -> None:
    """Bars: low to high. Filled: of the mean curves; open: the mean of the pictures' own."""
    language = [m for m in pd.unique(correlations["second"]) if m not in ("update", "map", metric)]
    lines: list[tuple[str, str, str, bool]] = [("update", "map", "data flow, heatmap", True)]
    for first, name in (("update", "data flow"), ("map", "heatmap")):
        lines += [(first, metric, f"{name}, language", True)]
        lines += [(first, other, metric_name(other), False) for other in language]
    keyed = correlations.set_index(["first", "second", "level"])
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    for place, (first, second, _, main) in enumerate(lines):
        for level, shift, face in (("mean", -0.14, style.INK), ("picture", 0.16, "white")):
            row = keyed.loc[(first, second, level), :]
            if not np.isfinite(row["rho"]):
                continue
            colour = style.INK if main else style.MUTED
            fill = colour if level == "mean" else face
            axes.plot([row["low"], row["high"]], [place + shift] * 2, color=colour, linewidth=1.2, zorder=2)
            axes.plot(row["rho"], place + shift, "o", color=colour, markerfacecolor=fill, markersize=4)
    axes.set_yticks(range(len(lines)), [name for _, _, name, _ in lines])
    for label, (_, _, _, main) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set(fontweight="bold" if main else "normal", color=style.INK if main else style.MUTED)
    axes.set(xlim=(-1, 1), ylim=(len(lines) - 0.5, -0.5), xlabel="Spearman's ρ over layers")
    axes.xaxis.set_major_locator(MultipleLocator(0.5))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("● mean curves   ○ within pictures", fontsize=style.SMALL, color=style.MUTED, pad=6)
