"""The demo captioner's progress while it was trained, on the unusual scenes."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from vitpeel.plots import style

LINES = (
    ("right_objects", "exactly the right objects", style.BLUE),
    ("exact", "the exact caption", style.RED),
)
_SIZE = (7.2, 3.4)  # inches


def draw(curve: pd.DataFrame) -> Figure:
    """Draw the table that training writes: images, depth, loss, right_objects, exact, seconds."""
    last = curve.iloc[-1]
    with style.theme():
        figure = Figure(figsize=_SIZE)
        axes = figure.add_axes((0.10, 0.17, 0.62, 0.68))
        for column, label, colour in LINES:
            axes.plot(curve["images"], curve[column], color=colour, linewidth=1.6)
            axes.annotate(
                f"{last[column]:.0%} {label}",
                (last["images"], last[column]),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=colour,
            )
        for images, depth in _growths(curve):
            axes.axvline(images, color=style.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.annotate(
                f"grown to {depth} blocks",
                (images, 1),
                xytext=(4, -10),
                textcoords="offset points",
                fontsize=style.SMALL,
                color=style.MUTED,
            )
        axes.set(ylim=(0, 1), xlim=(0, float(last["images"])))
        axes.set_xlabel("training pictures seen (thousands)")
        axes.set_ylabel("share of the unusual pictures")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:,.0f}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        finding = f"After {last['images']:,.0f} pictures the demo captioner names exactly the right objects"
        title = f"{finding} in {last['right_objects']:.0%}"
        figure.text(0.02, 0.93, title, fontsize=style.BODY + 1, fontweight="bold")
    return figure


def _growths(curve: pd.DataFrame) -> list[tuple[float, int]]:
    """Where training went on with more blocks: (pictures seen, blocks)."""
    deeper = curve.index[curve["depth"].diff() > 0]
    return [(float(curve["images"][k - 1]), int(curve["depth"][k])) for k in deeper]
