"""Tables of a judge's scores, made from known curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vitpeel import judge_tables
from vitpeel.judge.criteria import CRITERIA, MEAN
from vitpeel.judge.judging import Who

RUBRIC = Who("offline rubric", "not a language model")
MODEL = Who("judge-2024-08-06", "asked through OpenAI's API")
RISING = {"entities": 0.02, "specificity": -0.02, "information": 0.09, "correspondence": 0.06}  # a layer
FLAT = dict.fromkeys(CRITERIA, 0.0)


def scores(slopes: dict[str, float], layers: range, pictures: int = 60) -> pd.DataFrame:
    """Scores of 1, 3 and 5 around 3 + slope * layer, and their mean."""
    rng = np.random.default_rng(2)
    levels = np.array([1.0, 3.0, 5.0])
    rows = []
    for picture in range(pictures):
        for layer in layers:
            four = []
            for criterion in CRITERIA:
                wanted = 2.4 + slopes[criterion] * (layer - layers[0]) + rng.normal(0, 0.8)
                four.append(float(levels[np.abs(levels - wanted).argmin()]))
                rows.append((f"p{picture:03d}", layer, f"judge_{criterion}", four[-1]))
            rows.append((f"p{picture:03d}", layer, MEAN, sum(four) / 4))
    table = pd.DataFrame(rows, columns=["image_id", "layer", "metric", "value"])
    head = pd.array([pd.NA] * len(table), dtype="Int16")
    return table.assign(variant="unedited", head=head).astype({"layer": "int16"})


def captions(layers: range, pictures: int = 60) -> pd.DataFrame:
    """Captions of those layers, long and short, some as in the layer before."""
    said = ["", "something outdoors", "a thing for $5 or $6", "a dog in a street " * 12]
    rows = [
        (f"p{picture:03d}", "unedited", layer, pd.NA, said[(picture + layer // 2) % 4], 5, False)
        for picture in range(pictures)
        for layer in layers
    ]
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "int16", "head": "Int16"})


def tables(
    slopes: dict[str, float],
    layers: range = range(39),
    middle: tuple[int, int] = (20, 30),
    pictures: int = 60,
    captioned: int = 60,
    who: Who = RUBRIC,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables behind Figure 5."""
    judged = scores(slopes, layers, pictures)
    curves = judge_tables.fig5(judged, captions(layers, captioned), who, resamples=200)
    return curves, judge_tables.trends(judged, [middle, (layers[0], layers[-1])], resamples=200)
