"""Equation 8 as maps: where CLS looks in one layer, in the next, and what has changed. Page two of the
perspectives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.perspectives import HEATMAPS
from vitpeel.plots import style

_WIDTH, _MAP, _GAP = 10.0, 1.0, 0.06  # inches; the width is that of the page before
_LEFT, _TOP, _FOOT, _PICTURE = 2.35, 0.85, 0.55, 1.55
_MOST = 6  # layers a row
_LOOK, _CHANGE = colormaps["YlOrRd"], colormaps["PuOr_r"]
_ROWS = ("before", "after", "change")


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the page from its CSV; picture ids stay text."""
    return pd.read_csv(path, dtype={"image_id": "str"})


def finding(curves: pd.DataFrame) -> str:
    """Which layers move CLS's attention most and least, in a sentence: the page's title."""
    own = curves[curves["measure"].isin(HEATMAPS)]
    most, least = (own.iloc[int(at)] for at in (own["mean"].argmax(), own["mean"].argmin()))
    if most["mean"] == 0:
        return "No layer looks anywhere else than the one before"
    if len(own) == 1:
        return f"Layer {most['layer']} moves CLS's attention: change {most['mean']:.2g}"
    what = (
        "amount of CLS's attention to patches" if most["measure"] == "literal" else "map of CLS's attention"
    )
    return (
        f"The {what} changes most in layer {most['layer']} ({_of(most)}), least in layer {least['layer']} "
        f"({_of(least)})"
    )


def draw(
    deltas: pd.DataFrame, curves: pd.DataFrame, pictures: Mapping[str, Image.Image], source: style.Source
) -> Figure:
    """Draw the table of `perspective_tables.delta_maps`, under a title from `perspectives.curves`.

    pictures: image_id -> RGB, of at least those in the table. Raises VitpeelError for more layers than fit.
    """
    layers, images = deltas["layer"].unique().tolist(), deltas["image_id"].unique().tolist()
    if len(layers) > _MOST:
        raise VitpeelError(
            f"figures.outliers.layers: {len(layers)} layers do not fit on a page. Give at most {_MOST}."
        )
    block = 3 * (_MAP + _GAP) + 0.6
    height = _TOP + len(images) * block + _FOOT
    looks = deltas[["before", "after"]].to_numpy(dtype=float)
    reach = max(float(np.quantile(deltas["change"].abs(), 0.995)), 1e-6)
    norms = {
        "before": Normalize(0, float(np.quantile(looks, 0.995)) or 1.0),
        "change": Normalize(-reach, reach),
    }
    norms["after"] = norms["before"]
    with style.theme():
        figure = Figure(figsize=(_WIDTH, height))

        def box(left: float, top: float, width: float, tall: float) -> Axes:
            return figure.add_axes((left / _WIDTH, 1 - (top + tall) / height, width / _WIDTH, tall / height))

        title = style.wrap(finding(curves), _WIDTH - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _WIDTH, 1 - 0.13 / height, title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        for number, image in enumerate(images):
            top = _TOP + number * block
            _picture(box(0.15, top, _PICTURE, _PICTURE), pictures[image], image)
            own = deltas[deltas["image_id"] == image]
            for place, layer in enumerate(layers):
                rows = own[own["layer"] == layer]
                for turn, column in enumerate(_ROWS):
                    at = top + turn * (_MAP + _GAP) + (0.22 if turn else 0)
                    panel = box(_LEFT + place * (_MAP + _GAP), at, _MAP, _MAP)
                    _show(panel, _grid(rows, column), norms[column], _CHANGE if turn == 2 else _LOOK)
                    if turn == 0:
                        panel.set_title(f"layer {layer - 1}", fontsize=style.SMALL, pad=3)
                    elif turn == 1:
                        panel.set_title(f"layer {layer}", fontsize=style.SMALL, pad=3)
                    else:
                        panel.set_xlabel(f"L1 {rows['l1'].iloc[0]:.2f}", fontsize=style.SMALL, labelpad=2)
                    if place == 0:
                        panel.set_ylabel(column, fontsize=style.SMALL)
        right = _LEFT + _MOST * (_MAP + _GAP) + 0.2
        _scale(figure, box(right, _TOP, 0.11, 1.6), norms["after"], _LOOK, "attention")
        _scale(
            figure,
            box(right, _TOP + 2 * (_MAP + _GAP) + 0.22, 0.11, _MAP),
            norms["change"],
            _CHANGE,
            "change",
        )
        said = "Attention of CLS to each patch; 1 is an equal share of all its attention. L1: sum of |change|"
        style.foot(figure, source, f"{said} over the map, as a part of all.")
    return figure


def _of(row: pd.Series) -> str:
    return f"{'' if row['measure'] == 'literal' else 'L1 '}{row['mean']:.2g}"


def _picture(axes: Axes, picture: Image.Image, name: str) -> None:
    axes.imshow(np.asarray(picture.convert("RGB").resize((384, 384))), aspect="auto")
    axes.set_axis_off()
    words = style.wrap(name, _PICTURE, style.SMALL, 2)
    axes.text(0, -0.04, words, transform=axes.transAxes, va="top", fontsize=style.SMALL, color=style.MUTED)


def _grid(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return rows.pivot(index="row", columns="column", values=column).to_numpy(dtype=float)


def _show(axes: Axes, grid: NDArray[np.float64], norm: Normalize, colours: Colormap) -> None:
    axes.imshow(grid, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=style.RULE, linewidth=0.5)


def _scale(figure: Figure, axes: Axes, norm: Normalize, colours: Colormap, name: str) -> None:
    bar = figure.colorbar(ScalarMappable(norm, colours), cax=axes)
    low, high = axes.get_ylim()
    bar.set_ticks([tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)
    bar.ax.set_title(name, fontsize=style.SMALL, loc="left", pad=6)
