"""Table 1 (section 4.4): what attention pruning changes, beside random pruning, and the heads' scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vitpeel.errors import VitpeelError
from vitpeel.plots import style

Row = Mapping[Any, Any]  # of a table

_SIZE = (10.0, 6.8)  # inches
_METRICS = {"cider": "CIDEr \N{UPWARDS ARROW}", "convergence": "convergence\nlayer \N{DOWNWARDS ARROW}"}
_ROWS = {
    "unedited": ("unedited", style.INK),
    "pruned": ("Algorithm 1", style.BLUE),
    "pruned only": ("pruning without weights", style.SKY),
    "scaled only": ("weights without pruning", style.SKY),
    "random": ("random heads instead", style.MUTED),
    "best": ("best-scored heads instead", style.RED),
}
# The printed Table 1, for reading beside this one: another model, other pictures.
_PAPER = "BLIP2 FlanT5-XXL: CIDEr 1.2, pruned 1.24; convergence layer 35, pruned 34"
_HEAT = LinearSegmentedColormap.from_list("scores", colormaps["YlGnBu"](np.linspace(0.05, 0.8, 64)))
_NUMBERED = (0.55, 0.16)  # inches that a cell needs for its number


def read(path: Path) -> pd.DataFrame:
    """Read either table behind the page from its CSV."""
    return pd.read_csv(path)


def finding(rows: pd.DataFrame) -> str:
    """What the table says about Algorithm 1, in a sentence: the page's title."""
    pruned = _of(rows, "pruned")
    if rows["pictures"].min() < 2:
        return "Algorithm 1 on a single picture: what it changes cannot be told"
    cider, layer = pruned["cider"], pruned["convergence"]
    worth, depth = f"{abs(cider['change']):.2f}", f"{abs(layer['change']):.1f} layers"
    said = {
        1: f"raises CIDEr by {worth}",
        0: "does not measurably change CIDEr",
        -1: f"lowers CIDEr by {worth}",
    }[_sign(cider)]
    late = {
        1: f"captions settle {depth} later",
        0: "captions settle no earlier and no later",
        -1: f"captions settle {depth} earlier",
    }[_sign(layer)]
    return f"Algorithm 1 {said}, and {late}: {_verdict(cider, layer)}"


def draw(rows: pd.DataFrame, heads: pd.DataFrame, source: style.Source) -> Figure:
    """Draw the tables of `pruning_tables.table1` and `.heads`.

    Raises VitpeelError where CIDEr or the convergence layer is not in the table.
    """
    known = rows["metric"].unique()
    for metric in _METRICS:
        if metric not in known:
            raise VitpeelError(f"table1: no {metric} in the table. There are: {', '.join(known)}.")
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(rows), _SIZE[0] - 0.3, style.TITLE, 2, bold=True)
        figure.text(*_at(0.15, _SIZE[1] - 0.13), title, va="top", fontsize=style.TITLE, fontweight="bold")
        for metric, left in (("cider", 2.65), ("convergence", 6.65)):
            axes = figure.add_axes((*_at(left, 3.7), *_at(1.75, 2.15)))
            _forest(axes, rows[rows["metric"] == metric], metric, names=metric == "cider")
        _heads(figure, heads)
        _words(figure, rows, heads)
        style.foot(figure, source, _note(rows))
    return figure


def _at(across: float, up: float) -> tuple[float, float]:
    return across / _SIZE[0], up / _SIZE[1]


def _of(rows: pd.DataFrame, pruning: str) -> dict[str, Row]:
    """Its rows by metric."""
    return _keyed(rows[rows["pruning"] == pruning], "metric")


def _keyed(rows: pd.DataFrame, by: str) -> dict[str, Row]:
    return {str(row[by]): row for row in rows.to_dict("records")}


def _sign(row: Row) -> int:
    """Of the change, 0 where the interval does not tell."""
    return int(row["change_low"] > 0) - int(row["change_high"] < 0)


def _apart(row: Row) -> bool:
    """Whether random pruning is told from this."""
    return bool(row["p"] <= 1 - row["confidence"] + 1e-12)


def _verdict(cider: Row, layer: Row) -> str:
    draws = int(cider["draws"])
    if _apart(cider) and _apart(layer):
        return "in neither does random pruning do as well"
    if _apart(cider):
        return f"random pruning does as well in convergence ({layer['as_good']:.0f} of {draws}), not in CIDEr"
    if _apart(layer):
        return f"random pruning does as well in CIDEr ({cider['as_good']:.0f} of {draws}), not in convergence"
    as_good = f"{cider['as_good']:.0f} and {layer['as_good']:.0f} of {draws} random prunings do as well"
    if 1 / (1 + draws) > 1 - cider["confidence"] + 1e-12:
        return f"{as_good}, and {draws} are too few to tell"
    return f"{as_good}, so it is no result"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _note(rows: pd.DataFrame) -> str:
    several = rows["pictures"].min() > 1
    interval = f"{rows['confidence'].iloc[0] * 100:g} % bootstrap intervals of the paired difference"
    bars = f"Bars: {interval}" if several else "A single picture, so no intervals"
    return f"{bars}; dots: single random prunings. On the pictures on which no head was scored."


def _forest(axes: Axes, rows: pd.DataFrame, metric: str, names: bool) -> None:
    """Change against unedited, a line a row; its value on the left, the numbers on the right."""
    digits = 2 if metric == "cider" else 1
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
    keyed = _keyed(rows, "pruning")
    drawn = rows[rows["pruning"].str.startswith("random ")]["change"]
    shown = [name for name in _ROWS if name in keyed]
    axes.axvline(0, color=style.MUTED, linewidth=0.8, zorder=1)
    for place, name in enumerate(shown):
        row, (label, colour) = keyed[name], _ROWS[name]
        if names:
            weight = "bold" if name in ("unedited", "pruned") else "normal"
            axes.text(-1.43, place, label, fontsize=style.BODY, fontweight=weight, **beside)
        axes.text(-0.05, place, f"{row['value']:.{digits}f}", ha="right", fontsize=style.BODY, **beside)
        if name == "unedited":
            axes.text(1.04, place, "\N{EN DASH}", fontsize=style.SMALL, color=style.MUTED, **beside)
            continue
        if name == "random":
            spread = place + np.linspace(-0.22, 0.22, len(drawn))
            axes.plot(drawn, spread, "o", color=style.RULE, markersize=2.5, zorder=1.5, clip_on=False)
        axes.plot([row["change_low"], row["change_high"]], [place] * 2, color=colour, linewidth=1.6, zorder=2)
        axes.plot(row["change"], place, "o", color=colour, markersize=5, zorder=3)
        axes.text(1.04, place, _numbers(row, digits), fontsize=style.SMALL, linespacing=1.25, **beside)
    axes.set_yticks([])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.08)
    axes.set_xlabel("change, layers" if metric == "convergence" else "change")
    head: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom", "fontsize": style.SMALL}
    axes.text(-0.05, 1.03, _METRICS[metric], ha="right", **head)
    axes.text(1.04, 1.03, "change [interval]", ha="left", color=style.MUTED, **head)


def _numbers(row: Row, digits: int) -> str:
    text = _signed(row["change"], digits)
    if row["pictures"] > 1:
        text += f" [{_signed(row['change_low'], digits)}, {_signed(row['change_high'], digits)}]"
    if np.isfinite(row["p"]):
        text += f"\np = {row['p']:.{2 if row['p'] >= 0.1 else 3}f} among random"
    if np.isfinite(row["draws_low"]):
        text += f"\ndraws {row['draws_low']:.{digits}f} to {row['draws_high']:.{digits}f}"
    return text


def _heads(figure: Figure, heads: pd.DataFrame) -> None:
    """Scores, heads down, layers across; what is pruned has a frame and a cross."""
    layers, numbers = sorted(heads["layer"].unique()), sorted(heads["head"].unique())
    width, height = 4.45, 1.75
    axes = figure.add_axes((*_at(0.6, 0.98), *_at(width, height)))
    score = heads.pivot(index="head", columns="layer", values="score")
    image = axes.imshow(score, cmap=_HEAT, aspect="auto")
    dark = 0.28 * heads["score"].min() + 0.72 * heads["score"].max()
    numbered = width / len(layers) >= _NUMBERED[0] and height / len(numbers) >= _NUMBERED[1]
    for row in heads.to_dict("records"):
        across, down = layers.index(row["layer"]), numbers.index(row["head"])
        if numbered:
            ink = "white" if row["score"] > dark else style.INK
            weight, said = "normal", f"{row['score']:.3f}"
            if row["pruned"]:
                weight, said = "bold", f"\N{MULTIPLICATION SIGN} {said}"
            look: dict[str, Any] = {"fontsize": style.SMALL, "fontweight": weight, "color": ink}
            axes.text(across, down, said, ha="center", va="center", **look)
        elif row["pruned"]:
            axes.plot(across, down, "x", color=style.RED, markersize=4)
    axes.set(xlabel="layer", ylabel="head")
    for axis, labels in ((axes.xaxis, layers), (axes.yaxis, numbers)):
        step = max(1, -(-len(labels) // 10))
        axis.set_ticks(range(0, len(labels), step), [str(label) for label in labels[::step]])
        axis.set_tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, cax=figure.add_axes((*_at(0.6 + width + 0.1, 0.98), *_at(0.12, height))))
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    half = ((heads["high"] - heads["low"]) / 2).mean()
    title = "BERTScore of what a head says with what its layer says"
    figure.text(*_at(0.15, 2.98), title, fontsize=style.BODY, va="bottom")
    pictures = (
        f"mean of {heads['pictures'].max():,} sampled pictures, on average \N{PLUS-MINUS SIGN}{half:.3f}"
    )
    figure.text(
        *_at(0.15, 2.8),
        f"{pictures}; \N{MULTIPLICATION SIGN} pruned",
        fontsize=style.SMALL,
        color=style.MUTED,
    )


def _words(figure: Figure, rows: pd.DataFrame, heads: pd.DataFrame) -> None:
    """What a reader would ask next, and the paper's numbers, as the paper's."""
    pruned = _of(rows, "pruned")["cider"]
    share = f"{pruned['heads']:.0f} of {pruned['heads_of']:.0f} heads of these layers"
    weights = heads.loc[~heads["pruned"], "coefficient"]
    said = [
        (
            "Algorithm 1",
            f"removes {share}, {pruned['parameters']:,.0f} parameters of W_Q, W_K, W_V and W_O, and "
            f"multiplies the others by {weights.min():.3f} to {weights.max():.3f}.",
        ),
        (
            "Random pruning",
            f"{pruned['draws']:.0f} draws: as many heads of every layer, the same weights, dealt by lot; "
            "p is the share of prunings, this one counted in, that do at least as well. "
            "A result that random pruning also gives is no result.",
        ),
        ("The paper's Table 1", f"{_PAPER}. No intervals, no random pruning."),
    ]
    up = 2.98
    for title, text in said:
        figure.text(*_at(6.1, up), title, fontsize=style.BODY, fontweight="bold", va="bottom")
        body = style.wrap(text, 3.75, style.SMALL, 4)
        figure.text(*_at(6.1, up - 0.05), body, fontsize=style.SMALL, va="top", linespacing=1.3)
        up -= 0.38 + 0.15 * (body.count("\n") + 1)
