"""Captions of an edited model with known scores, for tables and figures of section 4.2."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vitpeel import lower, lower_tables, tables
from vitpeel.lower import Point, Range
from vitpeel.scores.bootstrap import summarise
from vitpeel.scores.lower import Baseline, is_colourless

SPANS: tuple[Range, Range] = ((0, 10), (11, 20))
PLAIN = "a {} on a snowy mountain"
ANIMALS = ("giraffe", "zebra", "horse", "dog", "cat", "bear", "mouse", "bird", "duck", "owl")
# What of the captions stays under each curve.
KEPT = {
    "unedited": 1.0,
    "average": 0.9,
    "average together": 0.5,
    "other average": 0.88,
    "other average together": 0.4,
    "confusion": 0.0,
}


def edited(
    spans: tuple[Range, Range] = SPANS,
    other: bool = True,
    pictures: int = 40,
    kept: dict[str, float] | None = None,
    drained: str = "",
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Point, ...]]:
    """Captions, scores and points.

    kept: the chance that a caption stays as it is, by curve. drained: a curve whose changed captions speak of
    black and white photos. A changed caption scores 0.3. Picture p00's unedited caption is colourless.
    """
    chosen, rng, rows = lower.points(*spans, other=other), np.random.default_rng(0), []
    names = [("unedited", "unedited"), *((point.name, point.curve) for point in chosen)]
    for number in range(pictures):
        plain = PLAIN.format(ANIMALS[number % len(ANIMALS)])
        plain = f"a black and white photo of {plain}" if number == 0 else plain
        for variant, curve in names:
            same = rng.random() < {**KEPT, **(kept or {})}[curve]
            said = "a black and white photo" if curve == drained else "a bicycle on a sand dune"
            rows.append((f"p{number:02d}", variant, 38, None, plain if same else said, 5, False, same))
    table = pd.DataFrame(rows, columns=[*tables.CAPTIONS.names, "same"]).astype({"head": "Int16"})
    reading = table[["image_id", "variant", "layer", "head"]]
    values = {
        "bertscore": table["same"] * 0.7 + 0.3,
        "exact": table["same"] * 1.0,
        "colourless": table["caption"].map(is_colourless) * 1.0,
    }
    scores = pd.concat([reading.assign(metric=m, value=value) for m, value in values.items()])
    return table.drop(columns="same"), scores.reset_index(drop=True), chosen


def fig2_tables(
    spans: tuple[Range, Range] = SPANS,
    other: bool = True,
    pictures: int = 40,
    kept: dict[str, float] | None = None,
    base: Baseline = Baseline(chance=0.35, pairs=400),  # noqa: B008
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables behind Figure 2."""
    captions, scores, chosen = edited(spans, other, pictures, kept)
    summary = summarise(scores, captions, "whoops", resamples=200)
    rows = lower_tables.figure_table(summary, captions, chosen).assign(confidence=0.95)
    contrasts = lower_tables.contrasts(scores, chosen, *spans, resamples=200)
    return rows.merge(base.frame(), how="cross"), contrasts


def appendix_tables(
    spans: tuple[Range, Range] = SPANS,
    other: bool = True,
    pictures: int = 40,
    kept: dict[str, float] | None = None,
    drained: str = "",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables behind appendix A, with cases of p00 and p03."""
    captions, scores, chosen = edited(spans, other, pictures, kept, drained)
    images = ["p03", "p00"] if pictures > 3 else ["p00"]
    cases = lower_tables.cases(captions, scores, lower_tables.telling(chosen, *spans), images)
    references = {"p00": ("a black and white photo of a dog",), "p01": ("a red dog",)}
    words = lower_tables.wording(scores, references, chosen, resamples=200)
    return cases, words.assign(confidence=0.95)
