"""Tables 1 and 2 of CLIP-InterpreT: entanglement and association of our models, beside the printed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitpeel.errors import VitpeelError
from vitpeel.plots import style

Row = Mapping[Any, Any]

_WIDTH = 10.0  # inches
_LINE, _SPACE = 0.17, 0.14  # inches that a line takes, and between models
_TOP, _BOTTOM = 1.4, 1.0  # inches above and below the lines
_LOOKS = {False: (style.BLUE, "as labelled"), True: (style.SKY, "synonyms folded")}
_PRINTED, _LOT = style.RED, "#D9D9D9"
_PANELS = {  # table -> measure, its head, the left edge and width of its axes in inches, with its numbers
    1: (
        ("shared", "share their label with another head", 1.75, 1.6),
        ("unique", "have a label of their own", 5.75, 1.6),
    ),
    2: (("associated", "at least {least} texts match the label", 2.2, 3.6),),
}
_ABOUT = {
    1: "Table 1 prints the second of these, under the name of the first (docs/clip-scores.md).",
    2: "A text matches a label when it shows the property; who counted is who labelled.",
}
_WHO = {
    "lexicon": "lexicon, lists of words and no language model",
    "openai": "a language model through OpenAI's API",
    "human": "a person",
}


def read(path: Path) -> pd.DataFrame:
    """Read the table behind both pages from its CSV."""
    return pd.read_csv(path, dtype={"printed": "str"}).fillna({"printed": ""})


def finding(rows: pd.DataFrame, table: int) -> str:
    """What our models' rows say, in a sentence: the page's title."""
    measure = "shared" if table == 1 else "associated"
    own = rows[(rows["measure"] == measure) & (rows["folded"] == False) & rows["share"].notna()]  # noqa: E712
    if own.empty:
        return "No head of any model was counted"
    what = {
        1: "of {} heads share their label with another",
        2: f"of {{}} heads have at least {int(own['least'].max())} texts that match their label",
    }[table]
    whose = f"{own['shown'].iloc[0]}’s" if len(own) == 1 else "a model’s"
    said = f"{_between(own['share'])} {what.format(whose)}"
    if own["chance"].notna().all():
        return f"{said}; with texts by lot {_between(own['chance'])}"
    return said


def draw(rows: pd.DataFrame, table: int, source: style.Source) -> Figure:
    """Draw a table of `printed.beside`.  table: 1, entanglement; 2, association."""
    own = rows[rows["table"] == table]
    if own.empty:
        raise VitpeelError(f"clip: table {table} has no rows. Delete it and run `snakemake` again.")
    models = list(dict.fromkeys(own["shown"]))
    most = max(
        len(_lines(own[own["shown"] == name], measure)) for name in models for measure, *_ in _PANELS[table]
    )
    step = _LINE * max(most, 2) + _SPACE
    height = _TOP + _BOTTOM + step * len(models)
    with style.theme():
        figure = Figure(figsize=(_WIDTH, height))
        title = style.wrap(finding(rows, table), _WIDTH - 0.3, style.TITLE, 2, bold=True)
        figure.text(
            0.15 / _WIDTH, 1 - 0.13 / height, title, va="top", fontsize=style.TITLE, fontweight="bold"
        )
        _marks(figure, own, height)
        about: dict[str, Any] = {"va": "center", "fontsize": style.SMALL, "color": style.MUTED}
        figure.text(0.15 / _WIDTH, 1 - 0.92 / height, _ABOUT[table], **about)
        _names(figure, own, models, step)
        for measure, head, left, width in _PANELS[table]:
            box = (left / _WIDTH, _BOTTOM / height, width / _WIDTH, step * len(models) / height)
            least = int(own["least"].max()) if own["least"].notna().any() else 3
            axes = figure.add_axes(box)
            for place, name in enumerate(models):
                _model(axes, place, _lines(own[own["shown"] == name], measure), _LINE / step)
            _frame(axes, len(models), head.format(least=least))
        style.foot(figure, source, _note(own))
    return figure


def _between(shares: pd.Series) -> str:
    """ "54 %", or "46 % to 54 %"."""
    low, high = _percent(shares.min()), _percent(shares.max())
    return low if low == high else f"{low} to {high}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _names(figure: Figure, own: pd.DataFrame, models: Sequence[str], step: float) -> None:
    """Our models in bold, with how many labels their heads have."""
    height = figure.get_size_inches()[1]
    for place, name in enumerate(models):
        some = own[(own["shown"] == name) & own["share"].notna()]
        up = (_BOTTOM + step * (len(models) - place - 0.5)) / height
        if some.empty:
            figure.text(0.15 / _WIDTH, up, name, va="center", fontsize=style.BODY)
            continue
        figure.text(0.15 / _WIDTH, up, name, va="bottom", fontsize=style.BODY, fontweight="bold")
        plain = some[~some["folded"].astype(bool)].iloc[0]
        said = f"{int(plain['of'])} heads, {int(plain['labels'])} labels"
        at = (0.15 / _WIDTH, up - 0.02 / height)
        figure.text(*at, said, va="top", fontsize=style.SMALL, color=style.MUTED)


def _lines(own: pd.DataFrame, measure: str) -> list[tuple[str, Row]]:
    """What stands under a model: ours, ours with synonyms folded, printed."""
    rows = own[own["measure"] == measure].to_dict("records")
    ours = [("folded" if row["folded"] else "plain", row) for row in rows if row["share"] == row["share"]]
    return [*ours, *(("printed", row) for row in rows if row["printed"])]


def _model(axes: Axes, place: int, lines: Sequence[tuple[str, Row]], apart: float) -> None:
    """A model's lines, evenly around its place: a mark, its interval, its numbers on the right."""
    beside: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "va": "center",
        "fontsize": style.SMALL,
    }
    for number, (kind, row) in enumerate(lines):
        at = place + (number - (len(lines) - 1) / 2) * apart
        if kind == "printed":
            axes.plot(float(row["printed"]), at, "D", color=_PRINTED, markersize=4.5, zorder=4, clip_on=False)
            count = f"{int(row['printed_count'])}/{int(row['printed_of'])}"
            axes.text(1.04, at, f"{count}  printed as {row['printed']}", color=_PRINTED, **beside)
            continue
        colour, _ = _LOOKS[kind == "folded"]
        if row["chance"] == row["chance"]:
            lot = [row["chance_low"], row["chance_high"]]
            axes.plot(lot, [at, at], color=_LOT, linewidth=7, solid_capstyle="butt", zorder=1)
        axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=1.6, zorder=2)
        axes.plot(row["share"], at, "o", color=colour, markersize=5, zorder=3, clip_on=False)
        axes.text(1.04, at, _numbers(row), **beside)


def _frame(axes: Axes, models: int, head: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(models - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100"])
    axes.set_xlabel("% of heads")
    axes.spines["left"].set_visible(False)
    for edge in np.arange(0.5, models - 1):
        axes.axhline(edge, color="#E6E6E6", linewidth=0.6, zorder=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    at: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "xycoords": "axes fraction"}
    axes.annotate(head, (0, 1), va="bottom", fontsize=style.BODY, **at)


def _numbers(row: Row) -> str:
    """ "13/24  54 % [33, 75]", and what it would be at as many heads as the smallest model has."""
    count = f"{int(row['count'])}/{int(row['of'])}"
    said = f"{count}  {_percent(row['share'])} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
    if row["equal"] == row["equal"] and int(row["of"]) != int(row["equal_of"]):
        said += f"; at {int(row['equal_of'])} heads {_percent(row['equal'])}"
    return said


def _marks(figure: Figure, own: pd.DataFrame, height: float) -> None:
    """What the marks are, under the title."""
    ours = own[own["share"].notna()]
    marks = [
        ("o", *_LOOKS[folded]) for folded in (False, True) if (ours["folded"].astype(bool) == folded).any()
    ]
    marks += [("s", _LOT, "texts drawn by lot, 95 % of draws")] if ours["chance"].notna().any() else []
    marks += [("D", _PRINTED, "printed, by the paper’s labels")]
    across, up = 0.2, height - 0.72
    for shape, colour, said in marks:
        axes = figure.add_axes((across / _WIDTH, (up - 0.05) / height, 0.1 / _WIDTH, 0.1 / height))
        axes.plot(0.5, 0.5, shape, color=colour, markersize=5, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.axis("off")
        figure.text((across + 0.17) / _WIDTH, up / height, said, va="center", fontsize=style.SMALL)
        across += 0.45 + 0.066 * len(said)


def _note(own: pd.DataFrame) -> str:
    ours = own[own["share"].notna()]
    if ours.empty:
        return "No labels of ours."
    sources = sorted({name for names in ours["source"] for name in names.split(", ")})
    who = " and ".join(_WHO.get(name, name) for name in sources)
    interval = f"{100 * ours['confidence'].iloc[0]:g} % bootstrap intervals over heads"
    return f"Labels by {who}; {int(ours['texts'].max())} texts a head. Bars: {interval}."
