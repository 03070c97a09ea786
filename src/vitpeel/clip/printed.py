"""The printed Tables 1 and 2 of CLIP-InterpreT, what counts of heads they can be, and ours beside them.

What is printed as "entanglement score" stands beside the share of heads whose label no other head has,
because that is what it is: docs/clip-scores.md.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

import pandas as pd
import yaml

FILE = "printed.yaml"
Cut = Literal["truncated", "rounded"]
_PLACES = 1000  # three decimals; trailing zeros are not printed
TABLES: Mapping[str, int] = {"shared": 1, "unique": 1, "associated": 2}  # measure -> table


@dataclass(frozen=True)
class Printed:
    """A model's row in both tables. shown: its short name; heads: of the last four layers; unique,
    associated: as printed."""

    model: str
    shown: str
    weights: str
    heads: int
    unique: str
    associated: str


@cache
def printed() -> tuple[Printed, ...]:
    """The six models, in the paper's order."""
    text = importlib.resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return tuple(Printed(**row) for row in yaml.safe_load(text))


def counts(value: str, of: int, cut: Cut) -> tuple[int, ...]:
    """Every k of which k / of prints as `value`, by exact arithmetic.

    cut: how three decimals are made. A tie is taken to round either way.
    """
    low, step = Fraction(value), Fraction(1, _PLACES)

    def fits(share: Fraction) -> bool:
        if cut == "truncated":
            return low <= share < low + step
        return abs(share - low) <= step / 2

    return tuple(k for k in range(of + 1) if fits(Fraction(k, of)))


def denominators(values: Sequence[str], most: int, cut: Cut) -> tuple[int, ...]:
    """Every number up to `most` of which all these values can be shares."""
    return tuple(of for of in range(1, most + 1) if all(counts(value, of, cut) for value in values))


def fits() -> str:
    """A table in Markdown: of each printed value the count that it is, truncated and rounded."""

    def cell(value: str, of: int, cut: Cut) -> str:
        return ", ".join(f"{k}/{of}" for k in counts(value, of, cut)) or "none"

    lines = [
        "| model | Table 1 | truncated | rounded | Table 2 | truncated | rounded |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in printed():
        cells = [row.shown]
        for value in (row.unique, row.associated):
            cells += [value, cell(value, row.heads, "truncated"), cell(value, row.heads, "rounded")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def beside(scores: pd.DataFrame) -> pd.DataFrame:
    """Both tables as one: the rows of `interpretability.scores`, and the paper's models.

    Adds table (1 or 2), shown (a short name of the model), printed (as text, "" for none), printed_count and
    printed_of. A model of the paper that is not in `scores` has a row a table, without values of ours.
    """
    known = {row.model: row for row in printed()}
    rows: list[dict[str, object]] = []
    for own in scores.to_dict("records"):
        row = known.get(str(own["model"]))
        shown = row.shown if row else str(own["model"])
        said = row if row and not own["folded"] else None
        rows.append(
            {
                "table": TABLES[str(own["measure"])],
                **_named(own),
                "shown": shown,
                **_said(said, own["measure"]),
            }
        )
    for row in printed():
        if row.model not in set(scores["model"]):
            for measure in ("unique", "associated"):
                empty = {"model": row.model, "measure": measure, "folded": False, "shown": row.shown}
                rows.append({"table": TABLES[measure], **empty, **_said(row, measure)})
    table = pd.DataFrame(rows).astype({"printed_count": "Int64", "printed_of": "Int64"})
    return table.sort_values("table", kind="stable", ignore_index=True)


def _named(row: Mapping[object, object]) -> dict[str, object]:
    return {str(name): value for name, value in row.items()}


def _said(row: Printed | None, measure: object) -> dict[str, object]:
    value = getattr(row, str(measure), "") if row else ""
    if row is None or not value:
        return {"printed": "", "printed_count": pd.NA, "printed_of": pd.NA}
    (count,) = counts(value, row.heads, "truncated")
    return {"printed": value, "printed_count": count, "printed_of": row.heads}
