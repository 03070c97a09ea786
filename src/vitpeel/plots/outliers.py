"""Heatmaps as they are and with their outlier tokens handled, and how many each layer has (section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Outliers
from vitpeel.plots import style

_WIDTH, _MAP, _GAP = 7.2, 0.9, 0.045  # inches
_LEFT, _TOP, _PLOT = 1.38, 1.0, 1.55  # inches left of the maps, above the first row, of the plot below
_FOOT, _MOST = 0.95, 6  # inches below the plot; panels a row
_HEAT = colormaps["YlOrRd"]


def read(path: Path) -> pd.DataFrame:
    """Read either table behind the figure from its CSV; picture ids stay text."""
    return pd.read_csv(path, dtype={"image_id": "str"})


def finding(shares: pd.DataFrame) -> str:
    """What the table of shares says, in a sentence: the figure's title."""
    patches, attention = shares["patches"].mean(), shares["attention"].mean()
    if not patches:
        return "No patch is an outlier in any layer"
    none = shares[shares["patches"] == 0]["layer"]
    worst = shares.iloc[int(shares["attention"].argmax())]
    bare = f"; {len(none)} of {len(shares)} layers have none" if len(none) else ""
    return (
        f"{100 * patches:.1f} % of the patches are outliers and get {100 * attention:.1f} % "
        f"of CLS's attention to patches, at most {100 * worst['attention']:.1f} % in "
        f"layer {worst['layer']:.0f}{bare}"
    )


def draw(
    shares: pd.DataFrame,
    maps: pd.DataFrame,
    pictures: Mapping[str, Image.Image],
    source: style.Source,
    how: Outliers,
) -> Figure:
    """Draw the tables of `perspective_tables.outlier_shares` and `.outlier_maps`.

    pictures: image_id -> RGB, in the order shown. how: outliers were found and handled. Raises
    VitpeelError for more layers than fit or a picture without maps.
    """
    layers = maps["layer"].unique().tolist()
    if len(layers) > _MOST:
        raise VitpeelError(
            f"figures.outliers.layers: {len(layers)} layers do not fit on a page. Give at most {_MOST}."
        )
    for image in pictures:
        if image not in set(maps["image_id"]):
            raise VitpeelError(
                f"figures.outliers.images: no map of picture {image} in the table. Choose another picture."
            )
    row = 2 * (_MAP + 0.05) + 0.2
    height = _TOP + len(pictures) * row + 0.35 + _PLOT + _FOOT
    shown = maps[maps["image_id"].isin(pictures)]
    norm = LogNorm(1.0, max(2.0, float(np.quantile(shown["attention"], 0.995))))
    with style.theme():
        figure = Figure(figsize=(_WIDTH, height))
        title = style.wrap(finding(shares), _WIDTH - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _WIDTH, 1 - 0.13 / height, title, va="top", fontsize=style.TITLE, fontweight="bold"
        )

        def box(left: float, top: float, width: float, tall: float) -> Axes:
            return figure.add_axes((left / _WIDTH, 1 - (top + tall) / height, width / _WIDTH, tall / height))

        for number, (image, picture) in enumerate(pictures.items()):
            top = _TOP + number * row
            own = shown[shown["image_id"] == image]
            axes = box(0.15, top, _MAP, _MAP)
            axes.imshow(np.asarray(picture.convert("RGB").resize((192, 192))), aspect="auto")
            axes.set_axis_off()
            name = style.wrap(image, _MAP, style.SMALL, 2)
            low = 1 - (top + _MAP + 0.06) / height
            figure.text(0.15 / _WIDTH, low, name, va="top", fontsize=style.SMALL, color=style.MUTED)
            for place, layer in enumerate(layers):
                rows = own[own["layer"] == layer]
                left = _LEFT + place * (_MAP + _GAP)
                for turn, column in enumerate(("attention", "handled")):
                    panel = box(left, top + turn * (_MAP + 0.05), _MAP, _MAP)
                    _map(panel, rows, column, norm)
                    if number == 0 and turn == 0:
                        panel.set_title(f"layer {layer}", fontsize=style.SMALL, pad=3)
                    if place == 0:
                        panel.set_ylabel(("as it is", "handled")[turn], fontsize=style.SMALL)
        _shares(box(0.7, _TOP + len(pictures) * row + 0.35, _WIDTH - 0.85, _PLOT), shares)
        said = f"Dark: CLS attention. Blue: outliers, {how.found}; {how.done}."
        if how.rule == "off":
            said = "Dark: CLS attention. Outliers are not looked for (perspectives.outliers.rule: off)."
        if shares["pictures"].min() > 1:
            said += f" Bands: {shares['confidence'].iloc[0] * 100:g} % intervals."
        style.foot(figure, source, said)
    return figure


def _map(axes: Axes, rows: pd.DataFrame, column: str, norm: LogNorm) -> None:
    grid = rows.pivot(index="row", columns="column", values=column).to_numpy(dtype=float)
    axes.imshow(np.maximum(grid, 1.0), cmap=_HEAT, norm=norm, aspect="auto", interpolation="nearest")
    for down, across in rows.loc[rows["outlier"].astype(bool), ["row", "column"]].to_numpy(dtype=float):
        frame = Rectangle((across - 0.5, down - 0.5), 1, 1, fill=False, edgecolor=style.BLUE, linewidth=1.4)
        axes.add_patch(frame)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _shares(axes: Axes, shares: pd.DataFrame) -> None:
    depth = int(shares["layer"].max()) + 1
    style.shade_bands(axes, depth)
    named = (
        ("attention", "share of CLS's attention to patches", style.RED),
        ("patches", "share of patches", style.BLUE),
    )
    for place, (column, name, colour) in enumerate(named):
        low, high = shares[f"{column}_low"], shares[f"{column}_high"]
        axes.fill_between(shares["layer"], low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(shares["layer"], shares[column], color=colour, linewidth=1.5, marker="o", markersize=2)
        at = 0.97 - 0.13 * place
        axes.text(
            0.99, at, name, transform=axes.transAxes, ha="right", va="top", color=colour, fontsize=style.SMALL
        )
    top = 1.15 * float(shares[["patches_high", "attention_high"]].to_numpy(dtype=float).max()) or 0.01
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top > 0.2 else 1))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MultipleLocator(5 if depth > 12 else 1))
    axes.set(xlabel="layer", ylabel="outliers")
