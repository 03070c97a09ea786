"""Figure 3 (section 4.3): a score over the upper layers, and beside it over all of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator

from vitpeel.errors import VitpeelError
from vitpeel.plots import style

_SIZE = (7.2, 3.5)  # inches, a page's text width


def metric_name(metric: str) -> str:
    """How a figure names a metric."""
    names = {
        "cider": "CIDEr",
        "bleu4": "BLEU-4",
        "bleu4_sentence": "sentence BLEU-4",
        "rougeL": "ROUGE-L",
        "bertscore": "BERTScore F1",
    }
    return names.get(metric, metric)


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the figure from its CSV."""
    return pd.read_csv(path, keep_default_na=False)


def finding(rows: pd.DataFrame, layers: tuple[int, int]) -> str:
    """What the table says about the upper layers, in a sentence: the figure's title."""
    name, digits = metric_name(rows["metric"].iloc[0]), _digits(rows)
    last = int(rows["layer"].max())
    first = max(layers[0], int(rows["layer"].min()))
    start = rows[rows["layer"] == first].iloc[0]
    if start["pictures"] < 2:
        return f"{name} of a single picture over layers {first} to {last}: no interval can be given"
    gain = f"{abs(start['gain']):.{digits}f}"
    if start["gain_low"] > 0:
        change = f"{name} still rises by {gain} from layer {first} to layer {last}"
    elif start["gain_high"] < 0:
        change = f"{name} falls by {gain} from layer {first} to layer {last}"
    else:
        return f"{name} does not measurably change from layer {first} to layer {last}"
    upper = rows[(rows["layer"] >= first) & (rows["layer"] < last)]
    apart = upper[(upper["gain_low"] > 0) | (upper["gain_high"] < 0)]["layer"].max()
    if apart + 1 < last:
        return f"{change}; from layer {apart + 1} on no difference to the last is measurable"
    return change


def draw(rows: pd.DataFrame, layers: tuple[int, int], source: style.Source) -> Figure:
    """Draw the table; layers: first and last of the left panel, both included. Raises VitpeelError if none
    is there."""
    upper = rows[rows["layer"].between(*layers)]
    if upper.empty:
        raise VitpeelError(
            f"figures.fig3.layers: none of layers {layers[0]} to {layers[1]} is in the table, "
            f"which has {rows['layer'].min()} to {rows['layer'].max()}."
        )
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(rows, layers), _SIZE[0] - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _SIZE[0], 1 - 0.13 / _SIZE[1], title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        tall = 0.49 if "\n" in title else 0.545
        left = figure.add_axes((0.105, 0.25, 0.33, tall))
        right = figure.add_axes((0.535, 0.25, 0.455, tall))
        _upper_panel(left, upper)
        _all_panel(right, rows, (*left.get_xlim(), *left.get_ylim()))
        style.foot(figure, source, _note(rows))
    return figure


def _digits(rows: pd.DataFrame) -> int:
    return 2 if rows["metric"].iloc[0] == "cider" else 3


def _axis_label(rows: pd.DataFrame) -> str:
    metric = rows["metric"].iloc[0]
    if metric == "bleu4":
        return "corpus BLEU-4"
    return f"{metric_name(metric)}, mean"


def _interval(rows: pd.DataFrame) -> str:
    if rows["pictures"].min() < 2:
        return "a single picture, so no interval"
    return f"band: {rows['confidence'].iloc[0] * 100:g} % bootstrap interval over pictures"


def _note(rows: pd.DataFrame) -> str:
    worst = rows.iloc[int(rows["empty"].argmax())]
    parts = []
    if rows["metric"].iloc[0] == "bertscore":
        parts.append("Against the last layer's caption, not the references.")
    if worst["empty"]:
        most = f"at most {worst['empty']} of {worst['pictures']:,} (layer {worst['layer']})"
        parts.append(f"Empty captions score 0: {most}.")
    return " ".join(parts)


def _curve(axes: Axes, rows: pd.DataFrame, marker: float) -> None:
    axes.fill_between(rows["layer"], rows["low"], rows["high"], color=style.SKY, alpha=0.45, linewidth=0)
    axes.plot(rows["layer"], rows["mean"], color=style.BLUE, linewidth=1.5, marker="o", markersize=marker)
    axes.set_xlabel("layer")


def _upper_panel(axes: Axes, upper: pd.DataFrame) -> None:
    _curve(axes, upper, 4)
    first, last = int(upper["layer"].min()), int(upper["layer"].max())
    axes.set_title(f"Layers {first} to {last}", loc="left", fontsize=style.BODY, pad=16)
    style.above(axes, 0, _interval(upper), ha="left")
    axes.set_ylabel(_axis_label(upper))
    axes.set_xlim(first - 0.6, last + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    lowest, highest = float(upper["low"].min()), float(upper["high"].max())
    room = (highest - lowest) or 0.1
    axes.set_ylim(lowest - 0.32 * room, highest + 0.2 * room)  # numbers go above and below the band
    axes.grid(axis="y", color=style.RULE, linewidth=0.5, alpha=0.6)
    digits, start, end = _digits(upper), upper.iloc[0], upper.iloc[-1]
    several = start["pictures"] > 1
    if several:
        between = (
            f"{start['gain']:+.{digits}f} [{start['gain_low']:+.{digits}f}, {start['gain_high']:+.{digits}f}]"
        )
        words = f"layer {first} to the last, paired:\n{between}".replace("-", "\N{MINUS SIGN}")
        axes.text(0.98, 0.03, words, transform=axes.transAxes, ha="right", va="bottom", fontsize=style.SMALL)
    below = not several and start["mean"] < end["mean"]  # a rising line without a band would run through it
    for row, side, inwards in ((start, "left", -5), (end, "right", 5)):
        under = below and row is start
        axes.annotate(
            f"{row['mean']:.{digits}f}",
            (row["layer"], row["high"]),
            xytext=(inwards, -5 if under else 4),
            textcoords="offset points",
            ha=side,
            va="top" if under else "bottom",
            fontsize=style.SMALL,
            fontweight="bold",
            color=style.BLUE,
        )


def _all_panel(axes: Axes, rows: pd.DataFrame, window: tuple[float, float, float, float]) -> None:
    """window: x0, x1, y0, y1 of the left panel, framed."""
    depth = int(rows["layer"].max()) + 1
    style.shade_bands(axes, depth)
    _curve(axes, rows, 1.8)
    axes.set_ylabel(_axis_label(rows))
    axes.set_title(f"All {len(rows)} layers", loc="left", fontsize=style.BODY, pad=16)
    axes.set_ylim(min(0.0, float(rows["low"].min())), 1.12 * float(rows["high"].max()) or 1.0)
    axes.xaxis.set_major_locator(MultipleLocator(5 if depth > 12 else 1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    x0, x1, y0, y1 = window
    x1 = min(x1, depth - 0.6)
    frame = Rectangle(
        (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=style.INK, linewidth=0.8, linestyle="--"
    )
    axes.add_patch(frame)
