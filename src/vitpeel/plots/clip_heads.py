"""What the heads of a CLIP are labelled: a cell a head, its label and the text that explains most of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vitpeel.clip.interpretability import LEAST
from vitpeel.clip.lexicon import NONE
from vitpeel.clip.synonyms import spelled
from vitpeel.plots import style

_CELL = (2.3, 0.52)  # inches
_LEFT, _TOP, _BOTTOM = 0.75, 0.85, 0.8  # inches around the cells
_LEAST_WIDTH = 9.0
# Labels of several heads, the most frequent first; a label of its own has no colour.
_COLOURS = (style.SKY, style.ORANGE, style.GREEN, style.PURPLE, style.YELLOW, style.BLUE, style.RED)
_TINT = 0.42  # of the colour, the rest is white: black text stays readable
_WHO = {"lexicon": "lexicon, no language model", "openai": "a language model", "human": "a person"}


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the page from its CSV; a label may be the word "none"."""
    return pd.read_csv(path, keep_default_na=False, na_values={"matches": [""]})


def finding(rows: pd.DataFrame) -> str:
    """What the labels say together, in a sentence: the page's title."""
    times = _times(rows)
    model, heads = rows["model"].iloc[0], len(rows)
    if not times:
        return f"{model}: none of {heads} heads has texts with a property in common"
    (name, count), *_ = times.most_common()
    shown = _shown(rows, name)
    different = f"{len(times)} labels" if len(times) > 1 else "one label"
    rest = heads - times.total()
    said = f"{model}: {heads - rest} of {heads} heads have {different}"
    return f"{said}, {shown} most often ({count} heads)" if count > 1 else f"{said}, all of them different"


def draw(rows: pd.DataFrame, source: style.Source) -> Figure:
    """Draw the table of `labels.grid` for one model."""
    layers, heads = sorted(rows["layer"].unique()), sorted(rows["head"].unique())
    width = max(_LEFT + _CELL[0] * len(layers) + 0.15, _LEAST_WIDTH)
    height = _TOP + _CELL[1] * len(heads) + _BOTTOM
    colours = _coloured(rows)
    with style.theme():
        figure = Figure(figsize=(width, height))
        title = style.wrap(finding(rows), width - 0.3, style.TITLE, 2, bold=True)
        figure.text(0.15 / width, 1 - 0.13 / height, title, va="top", fontsize=style.TITLE, fontweight="bold")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height))
        axes.axis("off")
        small: dict[str, Any] = {"fontsize": style.SMALL, "color": style.MUTED, "va": "center"}
        for place, layer in enumerate(layers):
            axes.text(
                _LEFT + _CELL[0] * (place + 0.5), height - _TOP + 0.14, f"layer {layer}", ha="center", **small
            )
        for place, head in enumerate(heads):
            axes.text(0.15, height - _TOP - _CELL[1] * (place + 0.5), f"head {head}", **small)
        for row in rows.to_dict("records"):
            left = _LEFT + _CELL[0] * layers.index(row["layer"])
            top = height - _TOP - _CELL[1] * heads.index(row["head"])
            name = spelled(row["label"])
            axes.add_patch(
                Rectangle(
                    (left, top - _CELL[1]),
                    *_CELL,
                    facecolor=colours.get(name, "white"),
                    edgecolor="#D9D9D9",
                    linewidth=0.8,
                )
            )
            fits = name != NONE and (pd.isna(row["matches"]) or row["matches"] >= LEAST)
            ink, weight = (style.INK, "bold") if fits else (style.MUTED, "normal")
            at: dict[str, Any] = {"va": "top", "fontsize": style.SMALL}
            label = style.wrap(row["label"], _CELL[0] - 0.7, style.SMALL, 1, bold=True)
            axes.text(left + 0.07, top - 0.05, label, fontweight=weight, color=ink, **at)
            matches = "" if pd.isna(row["matches"]) else f"{int(row['matches'])}/{int(row['texts'])}"
            axes.text(left + _CELL[0] - 0.07, top - 0.05, matches, ha="right", color=style.MUTED, **at)
            text = style.wrap(row["text"], _CELL[0] - 0.14, style.SMALL, 2)
            axes.text(left + 0.07, top - 0.2, text, linespacing=1.1, color=style.INK, **at)
        style.foot(figure, source, _note(rows))
    return figure


def _times(rows: pd.DataFrame) -> Counter[str]:
    return Counter(name for name in map(spelled, rows["label"]) if name != NONE)


def _shown(rows: pd.DataFrame, name: str) -> str:
    return next(str(label) for label in rows["label"] if spelled(label) == name)


def _coloured(rows: pd.DataFrame) -> dict[str, str]:
    """A tint for each of the most frequent labels of several heads."""
    several = [name for name, count in _times(rows).most_common(len(_COLOURS)) if count > 1]
    tints = (1 - _TINT * (1 - np.array(to_rgb(colour))) for colour in _COLOURS)
    return {name: to_hex(tuple(tint)) for name, tint in zip(several, tints, strict=False)}


def _note(rows: pd.DataFrame) -> str:
    who = " and ".join(_WHO.get(name, name) for name in sorted(rows["source"].unique()))
    return (
        "In each cell: the label, how many texts match it, and the text that explains most. "
        f"Labels by {who}.\nColoured: the labels of most heads. Grey letters: fewer than {LEAST} texts match."
    )
