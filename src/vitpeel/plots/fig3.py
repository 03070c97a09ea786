"""Figure 3 (section 4.3): a score over the upper layers, and beside it over all; where its plateau begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter

from vitpeel.errors import VitpeelError
from vitpeel.plots import style

PAPER_PLATEAU = 35  # "starting from layer 35, the increase in CIDEr begins to be stable", of 39 layers

_SIZE = (7.2, 4.1)  # inches, a page's text width
_LINE = 0.17  # inches, of a row below the panels


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the figure from its CSV."""
    return pd.read_csv(path, keep_default_na=False)


def read_plateau(path: Path) -> pd.DataFrame:
    """Read the table of the plateau test from its CSV; what a single picture does not have is NaN."""
    return pd.read_csv(path)


def finding(rows: pd.DataFrame, plateau: pd.DataFrame, layers: tuple[int, int]) -> str:
    """What the tables say about the upper layers, in a sentence: the figure's title."""
    name, digits = style.metric_name(rows["metric"].iloc[0]), _digits(rows)
    last = int(rows["layer"].max())
    first = max(layers[0], int(rows["layer"].min()))
    start = rows[rows["layer"] == first].iloc[0]
    if start["pictures"] < 2:
        return f"{name} of a single picture over layers {first} to {last}: no interval can be given"
    gain = f"{abs(start['gain']):.{digits}f}"
    if start["gain_low"] > 0:
        change = f"{name} rises by {gain} from layer {first} to layer {last}"
    elif start["gain_high"] < 0:
        change = f"{name} falls by {gain} from layer {first} to layer {last}"
    else:
        change = f"{name} does not measurably change from layer {first} to layer {last}"
    found = plateau[plateau["plateau"]].iloc[0]
    at = int(found["layer"])
    if at == last:
        return f"{change}, where no plateau is reached"
    if found["worse"]:
        count = int(found["worse"])
        some = (
            f"{count} of the later layers {'is' if count == 1 else 'are'} significantly worse than layer {at}"
        )
        return f"{change}; {some}, none better"
    paper = f" (the paper's: {PAPER_PLATEAU})" if _paper(rows) and name == "CIDEr" else ""
    most = f"at most {found['most']:.{digits}f}" if found["most"] > 0 else "nothing"
    return f"{change}; its plateau begins at layer {at}{paper}, later layers add {most}"


def draw(rows: pd.DataFrame, plateau: pd.DataFrame, layers: tuple[int, int], source: style.Source) -> Figure:
    """Draw the tables; layers: first and last of the left panel, both included. Raises VitpeelError if none
    is there."""
    upper = rows[rows["layer"].between(*layers)]
    if upper.empty:
        raise VitpeelError(
            f"figures.fig3.layers: none of layers {layers[0]} to {layers[1]} is in the table, "
            f"which has {rows['layer'].min()} to {rows['layer'].max()}."
        )
    width, height = _SIZE
    marks = _marks(rows, plateau)
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(rows, plateau, layers), width - 0.3, style.TITLE, 2, bold=True)
        figure.text(0.15 / width, 1 - 0.13 / height, title, va="top", fontsize=style.TITLE, fontweight="bold")
        note = _note(rows, upper, marks)
        low = 0.78 + 0.135 * len(note.splitlines()) + (_LINE * len(marks) + 0.05 if marks else 0.0)
        high = height - (0.98 if "\n" in title else 0.78)
        inside = (low / height, (high - low) / height)
        left = figure.add_axes((0.125, inside[0], 0.315, inside[1]))
        right = figure.add_axes((0.56, inside[0], 0.43, inside[1]))
        _upper_panel(left, upper)
        _all_panel(right, rows, (*left.get_xlim(), *left.get_ylim()))
        for panel in (left, right) if marks else ():
            _strip(figure, panel, marks, rows)
        style.foot(figure, source, note)
    return figure


@dataclass(frozen=True)
class _Mark:
    """A layer marked below the panels: its name there, where, from where to where, in which colour."""

    name: str
    layer: int | None
    low: int
    high: int
    colour: str
    marker: str


def _paper(rows: pd.DataFrame) -> bool:
    """Whether what the paper says of its plateau can be set beside this: as many layers, references."""
    return len(rows) == style.BANDED_DEPTH and rows["metric"].iloc[0] != "bertscore"


def _marks(rows: pd.DataFrame, plateau: pd.DataFrame) -> list[_Mark]:
    marks = []
    if plateau["plateau"].any():
        found = plateau[plateau["plateau"]].iloc[0]
        at, low, high = (int(found[name]) for name in ("layer", "plateau_low", "plateau_high"))
        name = f"peak: {at}" if found["worse"] else f"plateau: {at}"
        reached = at < plateau["layer"].max()
        marks.append(
            _Mark(name if reached else "no plateau", at if reached else None, low, high, style.RED, "o")
        )
    if _paper(rows):
        at = PAPER_PLATEAU
        marks.append(_Mark(f"paper: {at}", at, at, at, style.MUTED, "D"))
    return marks


def _strip(figure: Figure, panel: Axes, marks: Sequence[_Mark], rows: pd.DataFrame) -> None:
    """Mark layers in rows below a panel, on its scale of layers, and lead each up to the curve."""
    box, height = panel.get_position(), _LINE * len(marks) / figure.get_size_inches()[1]
    strip = figure.add_axes((box.x0, box.y0 - height - 0.05 / figure.get_size_inches()[1], box.width, height))
    strip.set_xlim(panel.get_xlim())
    strip.set_ylim(len(marks) - 0.5, -0.5)
    strip.set_yticks(range(len(marks)), [mark.name for mark in marks])
    strip.tick_params(axis="y", length=0)
    strip.spines["left"].set_visible(False)
    strip.xaxis.set_major_locator(_layers())
    strip.set_xlabel("layer")
    panel.xaxis.set_major_formatter(NullFormatter())
    panel.set_xlabel("")
    means = rows.set_index("layer")["mean"]
    for row, mark in enumerate(marks):
        strip.plot([mark.low, mark.high], [row, row], color=mark.colour, linewidth=2, solid_capstyle="butt")
        strip.get_yticklabels()[row].set_color(mark.colour)
        if mark.layer is not None:
            strip.plot(mark.layer, row, color=mark.colour, marker=mark.marker, markersize=5)
            top = means.loc[mark.layer]
            panel.vlines(mark.layer, panel.get_ylim()[0], top, color=mark.colour, linewidth=1, linestyle=":")


def _digits(rows: pd.DataFrame) -> int:
    return 2 if rows["metric"].iloc[0] == "cider" else 3


def _layers() -> MaxNLocator:
    return MaxNLocator(12, integer=True, steps=[1, 2, 5, 10])


def _axis_label(rows: pd.DataFrame) -> str:
    metric = rows["metric"].iloc[0]
    if metric == "bleu4":
        return "corpus BLEU-4"
    return f"{style.metric_name(metric)}, mean"


def _interval(rows: pd.DataFrame) -> str:
    if rows["pictures"].min() < 2:
        return "a single picture, so no interval"
    return f"band: {rows['confidence'].iloc[0] * 100:g} % bootstrap interval over pictures"


def _note(rows: pd.DataFrame, upper: pd.DataFrame, marks: Sequence[_Mark]) -> str:
    worst, start = rows.iloc[int(rows["empty"].argmax())], upper.iloc[0]
    several, digits, confidence = start["pictures"] > 1, _digits(rows), f"{start['confidence'] * 100:g} %"
    first: list[str] = []
    second: list[str] = []
    third: list[str] = []
    if several:
        gain, low, high = (f"{start[name]:+.{digits}f}" for name in ("gain", "gain_low", "gain_high"))
        between = f"{gain} [{low}, {high}]".replace("-", "\N{MINUS SIGN}")
        first.append(f"Layer {start['layer']} to the last, paired: {between}.")
    if worst["empty"]:
        most = f"at most {worst['empty']} of {worst['pictures']:,} (layer {worst['layer']})"
        first.append(f"Empty captions score 0: {most}.")
    if rows["metric"].iloc[0] == "bertscore":
        second.append("Against the last layer's caption, not the references.")
    elif _paper(rows) and rows["metric"].iloc[0] != "cider":
        second.append(f"The paper names layer {PAPER_PLATEAU} for CIDEr.")
    if several and marks:
        test = f"{confidence}, all pairs of layers at once"
        third.append(
            f"Dot: first layer that no later one is better than ({test}); bar: {confidence} of resamples."
        )
    return "\n".join(" ".join(parts) for parts in (first, second, third) if parts)


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
    axes.xaxis.set_major_locator(_layers())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    lowest, highest = float(upper["low"].min()), float(upper["high"].max())
    room = (highest - lowest) or 0.1
    axes.set_ylim(lowest - 0.2 * room, highest + 0.2 * room)  # numbers go above and below the band
    axes.grid(axis="y", color=style.RULE, linewidth=0.5, alpha=0.6)
    digits, start, end = _digits(upper), upper.iloc[0], upper.iloc[-1]
    several = start["pictures"] > 1
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
    axes.xaxis.set_major_locator(_layers())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    x0, x1, y0, y1 = window
    x1 = min(x1, depth - 0.6)
    frame = Rectangle(
        (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=style.INK, linewidth=0.8, linestyle="--"
    )
    axes.add_patch(frame)
