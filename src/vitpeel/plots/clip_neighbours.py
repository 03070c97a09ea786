"""The pictures nearest to what is asked, a row a query (Figures 2, 5 and 6 of CLIP-InterpreT).

One page shows one of the three analyses: neighbours of a picture by a property, by a head, or of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from vitpeel.clip.lexicon import NONE
from vitpeel.errors import VitpeelError
from vitpeel.plots import pages, style

Pictures = Mapping[str, Image.Image]

_WIDTH, _LARGEST, _GAP, _DOTS = 10.0, 1.78, 0.1, 0.3  # inches; the last is kept for the dotted line
_HEAD, _BELOW, _FOOT = 0.27, 0.52, 0.5  # inches over and under the pictures, and under the rows
_MEASURES = {"cosine": "cosine", "dot": "product"}
_ASKED = {
    "property": "what the heads with a label contribute to both pictures, added up",
    "picture": "what the head contributes to both pictures",
    "text": "what the head contributes to a picture and the text's embedding",
}


def read(path: Path) -> pd.DataFrame:
    """Read the table behind the page from its CSV; a text, a label and an id stay text, even "none"."""
    words = dict.fromkeys(("model", "analysis", "asked", "label", "heads", "measure", "image_id"), "str")
    return pd.read_csv(path, dtype=words, keep_default_na=False)


def finding(rows: pd.DataFrame) -> str:
    """How near the nearest are, in a sentence: the page's title."""
    first = rows[rows["rank"] == 1]
    best, worst = (first.iloc[int(at)] for at in (first["score"].argmax(), first["score"].argmin()))
    model, measure = best["model"], _MEASURES[best["measure"]]
    if len(first) == 1:
        what = f"{pages.quoted(best['asked'])} in" if best["analysis"] == "text" else f"{best['asked']} by"
        return f"{model}: nearest to {what} {_by(best)} is {best['image_id']} ({measure} {best['score']:.2g})"
    if best["analysis"] == "text":
        near, far = f"to {pages.quoted(best['asked'])}", f"to {pages.quoted(worst['asked'])}"
    else:
        near, far = f"by {_by(best)}", f"by {_by(worst)}"
    said = f"{model}: the nearest picture is at {measure} {best['score']:.2g} {near}"
    return f"{said}, at {worst['score']:.2g} {far}"


def draw(rows: pd.DataFrame, asked: Pictures, found: Pictures, source: style.Source) -> Figure:
    """Draw the rows of one analysis of a `tables.NEIGHBOURS` table.

    asked: image_id -> RGB of the pictures that were asked about, none for texts; found: of those that were
    found. They are two sets, in which one id may be two pictures. Raises VitpeelError for a table that holds
    no rows or those of several analyses.
    """
    if rows["analysis"].nunique() != 1:
        held = ", ".join(sorted(rows["analysis"].unique())) or "nothing"
        raise VitpeelError(f"clip.analyses: a page shows one analysis, but the table holds {held}.")
    queries = [own for _, own in rows.groupby("query", sort=True)]
    most = max(len(own) for own in queries)
    size = min(_LARGEST, (_WIDTH - 2 * pages.EDGE - _DOTS) / (most + 1) - _GAP)
    step = _HEAD + size + _BELOW
    title = style.wrap(finding(rows), _WIDTH - 2 * pages.EDGE, style.TITLE, 2, bold=True)
    top = 0.55 + 0.21 * title.count("\n")
    height = top + step * len(queries) + _FOOT
    with style.theme():
        figure = Figure(figsize=(_WIDTH, height))
        pages.write(figure, (pages.EDGE, height - 0.13), title, style.TITLE, weight="bold")
        for place, own in enumerate(queries):
            _row(figure, height - top - step * place, size, own.sort_values("rank"), asked, found)
        first = rows.iloc[0]
        measure = "Cosine" if first["measure"] == "cosine" else "Product"
        said = f"{measure} of {_ASKED[first['analysis']]}. Left of the dotted line: what is asked."
        style.foot(figure, source, said)
    return figure


def _row(
    figure: Figure, top: float, size: float, own: pd.DataFrame, asked: Pictures, found: Pictures
) -> None:
    """One query: its head line, what is asked, a dotted line, what was found."""
    first = own.iloc[0]
    words = [(word, True) for word in _by(first).split()]
    if first["analysis"] == "property":
        heads = first["heads"].split()
        many = f"{len(heads)} heads:" if len(heads) > 1 else "one head:"
        words += [(word, False) for word in (*many.split(), *heads)]
    pages.write_words(figure, (pages.EDGE, top), words, _WIDTH - 2 * pages.EDGE, 1, style.INK)
    top -= _HEAD
    if first["analysis"] == "text":
        text = style.wrap(first["asked"], size, style.BODY, max(2, int(size / 0.17)))
        middle = size / 2 - 1.25 * style.BODY / 72 * (text.count("\n") + 1) / 2
        pages.write(figure, (pages.EDGE, top - middle), text)
    else:
        _picture(figure, (pages.EDGE, top), size, asked[first["asked"]], first["asked"], "")
    wide, tall = figure.get_size_inches()
    at = pages.EDGE + size + _GAP / 2 + _DOTS / 2
    ends = np.array([top, top - size - 0.34]) / tall
    axes = figure.add_axes((0, 0, 1, 1), zorder=-1)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.plot([at / wide] * 2, ends, ":", color=style.MUTED, linewidth=1.2)
    for place, row in enumerate(own.to_dict("records")):
        left = pages.EDGE + size + _GAP + _DOTS + place * (size + _GAP)
        _picture(figure, (left, top), size, found[row["image_id"]], row["image_id"], _score(row))


def _picture(
    figure: Figure, at: tuple[float, float], size: float, picture: Image.Image, name: str, score: str
) -> None:
    """A picture in a square, its id and its score under the square."""
    pixels = np.asarray(pages.fit(picture))
    tall, wide = (size * edge / max(pixels.shape[:2]) for edge in pixels.shape[:2])
    corner = at[0] + (size - wide) / 2, at[1] - (size - tall) / 2
    pages.show(figure, pixels, *corner, wide, tall)
    low = at[1] - size - 0.04
    small: dict[str, Any] = {"points": style.SMALL}
    pages.write(figure, (at[0], low), style.wrap(name, size, style.SMALL, 1), **small)
    pages.write(figure, (at[0], low - 0.145), score, **small, color=style.MUTED)


def _by(row: pd.Series) -> str:
    """The property, or the head and its label."""
    if row["analysis"] == "property":
        return f"“{row['label']}”"
    labelled = "" if row["label"] == NONE else f" “{row['label']}”"
    return f"{row['heads']}{labelled}"


def _score(row: Mapping[Any, Any]) -> str:
    return f"{row['score']:.3f}" if row["measure"] == "cosine" else f"{row['score']:.3g}"
