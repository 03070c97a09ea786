"""The three perspectives' layer-to-layer change side by side, and their rank correlations (sections 3.3 to
3.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from vitpeel.errors import VitpeelError
from vitpeel.perspectives import HEATMAPS, RELATIVE, UPDATE, perspective, token_name
from vitpeel.plots import style
from vitpeel.scores.ranges import MOST

_SIZE = (10.0, 6.4)  # inches, a slide's width
_COLOURS = {"data flow": style.GREEN, "heatmap": style.RED, "language": style.BLUE}
# Of a heatmap measure: what its panel shows, and the unit.
_HEAT = {
    "map": ("L1 between maps", "of all attention"),
    "literal": ("attention to all patches", "of all attention"),
    "rollout": ("L1 between rollouts", "of CLS"),
}


def read(path: Path) -> pd.DataFrame:
    """Read either table behind the figure from its CSV."""
    return pd.read_csv(path)


def finding(correlations: pd.DataFrame, metric: str) -> str:
    """What the three pairs say, in a sentence: the figure's title. metric: language's measure."""
    rows = _pairs(correlations, metric)
    rows = rows[rows["level"] == "mean"]
    if rows["pictures"].min() < 2:
        return "A single picture: whether the three perspectives agree cannot be told"
    told, still = rows.dropna(subset="rho"), rows[rows["rho"].isna()]["pair"].tolist()
    if told.empty:
        return "Nothing changes: whether the three perspectives agree cannot be told"
    unknown = f"; {', '.join(still)} cannot be told, for nothing changes" if still else ""
    alike = told["low"] > 0
    span = f"rank correlations {_signed(told['rho'].min())} to {_signed(told['rho'].max())}"
    if len(told) == 1:
        span = f"rank correlation {_signed(told['rho'].iloc[0])}"
    if alike.all() and not still:
        return f"The three perspectives see the same layers change: {span}"
    if not alike.any():
        return f"No two of the perspectives see the same layers change: {span}{unknown}"
    agree, others = (
        [f"{row['pair']} ({_signed(row['rho'])})" for _, row in told[chosen].iterrows()]
        for chosen in (alike, ~alike)
    )
    first = f"{agree[0][0].upper()}{', '.join(agree)[1:]} agree on which layers change most"
    return first + (f"; {', '.join(others)} do not" if others else "") + unknown


def draw(
    curves: pd.DataFrame, correlations: pd.DataFrame, source: style.Source, metric: str, token: int = 0
) -> Figure:
    """Draw the tables of `perspectives.curves` and `.correlations`; metric: language's measure.

    token: whose update the data flow is. Language's other measures are thin lines, and points of their own.
    Raises VitpeelError where a measure is not in the tables.
    """
    known = curves["measure"].unique()
    heat = next((measure for measure in HEATMAPS if measure in known), HEATMAPS[0])
    for measure in (UPDATE, RELATIVE, heat, metric):
        if measure not in known:
            raise VitpeelError(f"perspectives: no {measure} in the table. There are: {', '.join(known)}.")
    depth = int(curves["layer"].max()) + 1
    panels = (
        ("data flow", UPDATE, f"length of {token_name(token)}'s update", "length"),
        ("data flow", RELATIVE, f"the same, relative to {token_name(token)} before it", "ratio"),
        ("heatmap", heat, *_HEAT[heat]),
        ("language", metric, f"unlikeness of captions, 1 − {_likeness(metric)}", "change"),
    )
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(correlations, metric), _SIZE[0] - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _SIZE[0], 1 - 0.13 / _SIZE[1], title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        for place, (name, measure, shown, unit) in enumerate(panels):
            axes = figure.add_axes((0.075, 0.715 - 0.187 * place, 0.46, 0.128))
            _curve(axes, curves, name, measure, depth, labels=place == 0)
            look: dict[str, Any] = {"fontsize": style.BODY, "fontweight": "bold", "color": _COLOURS[name]}
            axes.set_title(f"{name}: {shown}", loc="left", pad=15 if place == 0 else 4, **look)
            axes.set_ylabel(unit, fontsize=style.SMALL)
            axes.set_xlabel("layer, against the one before it" if place == 3 else "")
            axes.tick_params(labelbottom=place == 3)
        _forest(figure.add_axes((0.755, 0.154, 0.225, 0.69)), correlations, heat, metric)
        style.foot(figure, source, _note(curves))
    return figure


def _note(curves: pd.DataFrame) -> str:
    said = "Grey lines: the other measures of language."
    if curves["pictures"].min() < 2:
        return said
    return f"{said} Bands, bars: {curves['confidence'].iloc[0] * 100:g} % bootstrap intervals over pictures."


def _likeness(metric: str) -> str:
    """The metric, as a part of the most it gives."""
    return style.metric_name(metric) + (f" / {MOST[metric]:g}" if MOST[metric] != 1 else "")


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
    axes.yaxis.set_major_locator(MaxNLocator(3))


def _pairs(correlations: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The three pairs of perspectives, first the mean curves' then the pictures'; with the name of each."""
    names = {name: perspective(name) for name in (UPDATE, *HEATMAPS, metric)}
    rows = correlations[correlations["first"].isin(names) & correlations["second"].isin(names)]
    return rows.assign(pair=rows["first"].map(names) + " and " + rows["second"].map(names))


def _forest(axes: Axes, correlations: pd.DataFrame, heat: str, metric: str) -> None:
    """Bars: low to high. Filled: of the mean curves; open: the mean of the pictures' own."""
    others = [m for m in pd.unique(correlations["second"]) if m not in (UPDATE, RELATIVE, heat, metric)]
    lines: list[tuple[str, str, str, bool]] = [(UPDATE, heat, "data flow, heatmap", True)]
    for first, name in ((UPDATE, "data flow"), (heat, "heatmap")):
        lines += [(first, metric, f"{name}, language", True)]
        lines += [(first, other, style.metric_name(other), False) for other in others]
    lines += [
        (RELATIVE, heat, "relative flow, heatmap", False),
        (RELATIVE, metric, "relative flow, language", False),
    ]
    lines += [(RELATIVE, other, style.metric_name(other), False) for other in others]
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
