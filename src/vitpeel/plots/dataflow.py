"""What each layer is made of over depth (section 3.3): the shares of attention, MLP and bias in a token's
update, every head's share, and how long the update is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter

from vitpeel.plots import style

_SIZE = (7.2, 6.4)  # inches, a page's text width
_GROUPS = {"attention": ("all heads", style.BLUE), "mlp": ("MLP", style.RED), "bias": ("bias", style.BLACK)}


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the figure from its CSV."""
    return pd.read_csv(path, keep_default_na=False)


def finding(rows: pd.DataFrame, token: str = "CLS") -> str:
    """What the table says, in a sentence: the figure's title. token: the name of the one taken apart."""
    attention, mlp = (_of(rows, name) for name in ("attention", "mlp"))
    depth = len(attention)
    if rows["pictures"].min() < 2:
        return f"What each layer adds to {token} of a single picture: no interval can be given"
    heads = attention["layer"][attention["low"] > mlp["high"]].tolist()
    dense = attention["layer"][mlp["low"] > attention["high"]].tolist()
    if not heads and not dense:
        return f"Heads and MLP update {token} about equally in every layer"
    lead, other = (("the heads", heads), ("the MLP", dense))[:: 1 if len(heads) >= len(dense) else -1]
    more = f"more of {token}'s update than {other[0]} in {len(lead[1])} of {depth} layers{_runs(lead[1])}"
    makes = "The heads make" if lead[0] == "the heads" else "The MLP makes"
    return f"{makes} {more}" + (f", less in {len(other[1])}{_runs(other[1])}" if other[1] else "")


def draw(rows: pd.DataFrame, source: style.Source, token: str = "CLS") -> Figure:
    """Draw the table of `perspective_tables.dataflow`; token: the name of the one taken apart."""
    depth = int(rows["layer"].max()) + 1
    with style.theme():
        figure = Figure(figsize=_SIZE)
        title = style.wrap(finding(rows, token), _SIZE[0] - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _SIZE[0], 1 - 0.13 / _SIZE[1], title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        _shares(figure.add_axes((0.105, 0.585, 0.79, 0.26)), rows, depth)
        _heads(figure, figure.add_axes((0.105, 0.31, 0.79, 0.21)), rows, depth)
        _lengths(figure.add_axes((0.105, 0.145, 0.79, 0.12)), rows, depth)
        style.foot(figure, source, _note(rows))
    return figure


def _of(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    return rows[rows["quantity"] == quantity].sort_values("layer", ignore_index=True)


def _runs(layers: list[int]) -> str:
    """The layers as ranges in brackets; nothing where there are more than three."""
    starts = [n for n in layers if n - 1 not in layers]
    ends = [n for n in layers if n + 1 not in layers]
    ranges = [f"{a}–{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True)]
    return f" ({', '.join(ranges)})" if len(ranges) <= 3 else ""


def _note(rows: pd.DataFrame) -> str:
    said = "Share: projection on the update, so shares sum to 100 %; below 0 works against it."
    if rows["pictures"].min() < 2:
        return f"{said} A single picture: no interval."
    return f"{said} Bands: {rows['confidence'].iloc[0] * 100:g} % intervals."


def _shares(axes: Axes, rows: pd.DataFrame, depth: int) -> None:
    style.shade_bands(axes, depth)
    axes.axhline(0, color=style.MUTED, linewidth=0.6)
    ends = []
    for quantity, (name, colour) in _GROUPS.items():
        own = _of(rows, quantity)
        if own.empty:
            continue
        axes.fill_between(own["layer"], own["low"], own["high"], color=colour, alpha=0.25, linewidth=0)
        axes.plot(own["layer"], own["mean"], color=colour, linewidth=1.5, marker="o", markersize=2)
        ends.append((float(own["mean"].iloc[-1]), name, colour))
    low, high = axes.get_ylim()
    apart, last = 0.085 * (high - low), -np.inf
    for end, name, colour in sorted(ends):
        last = max(end, last + apart)
        axes.annotate(
            name, (1.01, last), xycoords=("axes fraction", "data"), va="center", color=colour, fontsize=8
        )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("share of the update")
    _layers(axes, depth, False)


def _heads(figure: Figure, axes: Axes, rows: pd.DataFrame, depth: int) -> None:
    own = rows[rows["quantity"].str.startswith("head ")]
    numbers = own["quantity"].str.removeprefix("head ").astype(int)
    grid = own.assign(number=numbers).pivot(index="number", columns="layer", values="mean").to_numpy()
    most = max(float(np.abs(grid).max()), 1e-6)
    extent = (-0.5, depth - 0.5, len(grid) - 0.5, -0.5)
    norm = TwoSlopeNorm(0.0, -most, most)
    image = axes.imshow(grid, aspect="auto", cmap="PuOr_r", norm=norm, extent=extent, interpolation="nearest")
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_ylabel("head")
    _layers(axes, depth, False)
    bar = figure.colorbar(image, cax=figure.add_axes((0.91, 0.31, 0.014, 0.21)))
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    bar.set_ticks([-most, 0, most])
    bar.ax.tick_params(length=2)


def _lengths(axes: Axes, rows: pd.DataFrame, depth: int) -> None:
    style.shade_bands(axes, depth, labels=False)
    own = _of(rows, "update")
    axes.fill_between(own["layer"], own["low"], own["high"], color=style.GREEN, alpha=0.25, linewidth=0)
    axes.plot(own["layer"], own["mean"], color=style.GREEN, linewidth=1.5, marker="o", markersize=2)
    axes.set_ylim(0, 1.1 * float(own["high"].max()) or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.set_ylabel("length of\nthe update")
    _layers(axes, depth, True)


def _layers(axes: Axes, depth: int, named: bool) -> None:
    axes.set_xlim(-0.5, depth - 0.5)
    axes.xaxis.set_major_locator(MultipleLocator(5 if depth > 12 else 1))
    if named:
        axes.set_xlabel("layer")
    else:
        axes.tick_params(labelbottom=False)
