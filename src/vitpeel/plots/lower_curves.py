"""The curves of section 4.2 over the lower layers, as Figure 2 and appendix A draw them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from vitpeel.plots import style

Range = tuple[int, int]  # first and last layer

_PITCH = 0.155  # inches a line of a name
# The palette's yellow and purple are too pale for text.
INK = {style.YELLOW: "#7A6A00", style.PURPLE: "#9C4F7B"}


@dataclass(frozen=True)
class End:
    """A name beside the right end of a curve: the height of that end, in data; the name; its colour."""

    height: float
    name: str
    ink: str


@dataclass(frozen=True)
class Line:
    """A curve: its name, its rows of a table of points, its colour."""

    name: str
    rows: pd.DataFrame
    colour: str

    @property
    def ink(self) -> str:
        """The colour of its name."""
        return INK.get(self.colour, self.colour)

    @property
    def together(self) -> bool:
        """Whether it is one point that stands for a range of layers."""
        return str(self.rows["curve"].iloc[0]).endswith("together")

    @property
    def over(self) -> bool:
        """Whether it is drawn upon another that it may hide: another set's average upon the own one."""
        return str(self.rows["curve"].iloc[0]).startswith("other")


def read(path: Path) -> pd.DataFrame:
    """Read a table from its CSV; an empty number is missing, ids and captions stay text."""
    empty = {name: [""] for name in ("first", "last", "chance")}
    texts = {"image_id": "str", "caption": "str"}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=empty)


def spans(rows: pd.DataFrame) -> tuple[Range, Range]:
    """First and last of the lower layers, and of those after them."""
    first = int(rows.loc[rows["curve"] == "confusion", "first"].min())
    middle = rows[rows["curve"] == "average together"].iloc[0]
    return (first, int(middle["first"]) - 1), (int(middle["first"]), int(middle["last"]))


def span(layers: Range) -> str:
    """How a name gives a range of layers."""
    return f"{layers[0]}–{layers[1]}" if layers[0] < layers[1] else f"{layers[0]}"


def _one_of(layers: Range) -> str:
    return f"one of {span(layers)}" if layers[0] < layers[1] else f"layer {layers[0]}"


def lines(rows: pd.DataFrame, other: str | None) -> list[Line]:
    """The curves of one metric, that of the lower layers first.  other: name of the other set of pictures."""
    lower, middle = spans(rows)
    average = rows[rows["curve"] == "average"]
    found = [
        Line(f"{_one_of(lower)} averaged", average[average["first"] <= lower[1]], style.RED),
        Line(f"{_one_of(middle)} averaged", average[average["first"] >= middle[0]], style.YELLOW),
    ]
    places = {
        "other average": (f"one, average of {other}", style.GREEN),
        "average together": (f"all of {span(middle)} averaged", style.BLUE),
        "other average together": (f"all, average of {other}", style.GREEN),
        "confusion": ("any one confused", style.PURPLE),
    }
    for curve, (name, colour) in places.items():
        own = rows[rows["curve"] == curve]
        if len(own):
            found.append(Line(name, own, colour))
    return found


def frame(axes: Axes, rows: pd.DataFrame) -> None:
    """An axis of layers with both ranges shaded."""
    (first, _), (middle, last) = spans(rows)
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.axvspan(first - 0.5, middle - 0.5, color="#F2F2F2", linewidth=0, zorder=0)
    axes.axvspan(middle - 0.5, last + 0.5, color="#E7E7E7", linewidth=0, zorder=0)
    axes.xaxis.set_major_locator(MultipleLocator(5 if last - first > 12 else 1))


def curve(
    axes: Axes, line: Line, columns: Sequence[str] = ("mean", "low", "high"), opacity: float = 0.25
) -> None:
    """Draw a curve and its band.  columns: of the mean and both ends; opacity: of the band."""
    rows = line.rows
    if line.together:
        x = np.array([rows["first"].iloc[0] - 0.4, rows["last"].iloc[0] + 0.4], dtype=float)
        mean, low, high = (np.repeat(rows[name].to_numpy(dtype=float), 2) for name in columns)
    else:
        x, mean, low, high = (rows[name].to_numpy(dtype=float) for name in ("first", *columns))
    look: dict[str, Any] = {"linewidth": 1.0 if line.over and not line.together else 1.6}
    look |= {"marker": "" if line.together else "o", "markersize": 1.6 if line.over else 2.8}
    if line.over and line.together:
        look["linestyle"] = (0, (4, 2))
    if line.colour == style.YELLOW:
        look |= {"linewidth": 2.4, "path_effects": [withStroke(linewidth=3.4, foreground=line.ink)]}
    if len(x) == 1:  # a band has no width there
        axes.vlines(x, low, high, color=line.colour, alpha=2 * opacity, linewidth=3, zorder=2)
    axes.fill_between(x, low, high, color=line.colour, alpha=opacity, linewidth=0, zorder=2)
    axes.plot(x, mean, color=line.colour, zorder=4 if line.over else 3, **look)


def labelled(line: Line, column: str = "mean", say: Callable[[float], str] = "{:.3f}".format) -> End:
    """The curve's end with its mean over layers and its name."""
    values = line.rows[column]
    return End(float(values.iloc[-1]), f"{say(float(values.mean()))} {line.name}", line.ink)


def above(axes: Axes, end: End) -> None:
    """Write the name of a curve that does not reach the right edge above the axes."""
    style.above(axes, 0, end.name, ha="left")
    axes.texts[-1].set_color(end.ink)


def beside(axes: Axes, ends: Sequence[End], inches: tuple[float, float], room: float) -> None:
    """Write names to the right of the axes, moved apart where they would meet.

    inches: width and height of the axes; room: width for the names.
    """
    (wide, tall), (bottom, top) = inches, axes.get_ylim()
    ordered = sorted(ends, key=lambda end: -end.height)
    wrapped = [style.wrap(end.name, room - 0.4, style.SMALL, 2) for end in ordered]
    heights = np.array([_PITCH * (words.count("\n") + 1) + 0.03 for words in wrapped])
    wanted = np.array([(end.height - bottom) / (top - bottom) * tall for end in ordered])
    for end, words, at in zip(ordered, wrapped, apart(wanted, heights, tall), strict=True):
        axes.plot(
            (1.0, 1 + 0.2 / wide),
            ((end.height - bottom) / (top - bottom), at / tall),
            transform=axes.transAxes,
            color=end.ink,
            linewidth=0.7,
            clip_on=False,
        )
        axes.text(
            1 + 0.24 / wide,
            at / tall,
            words,
            transform=axes.transAxes,
            va="center",
            fontsize=style.SMALL,
            color=end.ink,
        )


def apart(wanted: NDArray[np.float64], heights: NDArray[np.float64], tall: float) -> list[float]:
    """Centres of names, from the top down, as near to where they are wanted as they fit without meeting.

    All in inches from the lower edge of axes that are `tall`.
    """
    centres: list[float] = []
    for at, height in zip(wanted, heights, strict=True):
        free = centres[-1] - heights[len(centres) - 1] / 2 - height / 2 if centres else tall + 0.1
        centres.append(min(float(at), free))
    low = float(heights[-1]) / 2 - 0.1
    for index in reversed(range(len(centres))):
        centres[index] = max(centres[index], low)
        low = centres[index] + (heights[index] + heights[index - 1]) / 2
    return centres
