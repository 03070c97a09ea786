"""From scores of single pictures to a layer's figure with its percentile bootstrap interval over pictures.

Pictures are drawn with replacement; every layer, head, variant and metric sees the same draws, so
differences between layers are paired. What is held fixed: the model, the references, and CIDEr's document
frequencies, which stay those of the whole set of pictures (the frequencies define the measure; drawing them
anew would give pictures drawn twice less weight a word). Corpus BLEU-4 is recomputed from the summed counts
of each draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.errors import VitpeelError
from vitpeel.scores import bleu

Floats = NDArray[np.float64]

READING = ["variant", "layer", "head"]
_CELLS = 4_000_000  # numbers of drawn counts held at once: 32 MB


@dataclass(frozen=True)
class Estimates:
    """A metric of every reading and its bootstrap distribution.

    readings: C rows of (variant, layer, head), sorted. pictures: P sorted image ids. point: [C]. draws:
    [resamples, C].
    """

    readings: pd.DataFrame
    pictures: tuple[str, ...]
    point: Floats
    draws: Floats


def estimate(scores: pd.DataFrame, metric: str, resamples: int, seed: int) -> Estimates:
    """Compute `metric` of every (variant, layer, head) in a `scores` table, on all pictures and on each
    resample.

    "bleu4" is corpus BLEU-4, "bleu4_sentence" the mean of the sentence values, everything else a mean over
    pictures. Raises VitpeelError where the metric is missing, or a picture lacks a score that others have.
    """
    columns = {"bleu4": bleu.COUNTS, "bleu4_sentence": ("bleu4",)}.get(metric, (metric,))
    pictures, readings, values = _cube(scores, columns)

    def statistic(totals: Floats) -> Floats:
        return bleu.corpus(totals) if metric == "bleu4" else totals[..., 0] / len(pictures)

    flat = values.reshape(len(pictures), -1)
    rng = np.random.default_rng(seed)
    chance = np.full(len(pictures), 1 / len(pictures))
    step = max(1, _CELLS // len(pictures))
    draws = []
    for start in range(0, resamples, step):
        # how often each picture is drawn; rows come one after the other from one stream, whatever the step
        times = rng.multinomial(len(pictures), chance, size=min(step, resamples - start))
        draws.append(statistic((times @ flat).reshape(len(times), *values.shape[1:])))
    point = statistic(values.sum(axis=0))
    return Estimates(readings, pictures, point, np.concatenate(draws))


def summarise(
    scores: pd.DataFrame,
    captions: pd.DataFrame,
    dataset: str,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a `summary` table: every metric of every reading with its interval.

    scores, captions: tables of those schemas; captions tell how many of the scored pictures' captions were
    empty (they score 0). With a single picture the interval has no width. Errors as `estimate`.
    """
    parts = []
    for metric in _metrics(scores):
        found = estimate(scores, metric, resamples, seed)
        low, high = interval(found.draws, confidence)
        counts = _empty(captions, found)
        parts.append(
            found.readings.assign(
                dataset=dataset,
                metric=metric,
                mean=found.point,
                low=low,
                high=high,
                pictures=np.int32(len(found.pictures)),
                empty=counts,
            )
        )
    columns = ["dataset", *READING, "metric", "mean", "low", "high", "pictures", "empty"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


def gain_to_last(
    scores: pd.DataFrame, metric: str, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """What the layers after each layer still add: last layer minus this one, paired over pictures, with its
    interval.

    Returns variant, layer, head, gain, gain_low, gain_high; the last layer is that of the same variant and
    head.
    """
    found = estimate(scores, metric, resamples, seed)
    keys = found.readings.assign(head=found.readings["head"].fillna(-1))
    last = keys.groupby(["variant", "head"])["layer"].transform("idxmax").to_numpy()
    low, high = interval(found.draws[:, last] - found.draws, confidence)
    return found.readings.assign(gain=found.point[last] - found.point, gain_low=low, gain_high=high)


def _metrics(scores: pd.DataFrame) -> list[str]:
    present = [metric for metric in scores["metric"].unique() if metric not in bleu.COUNTS]
    return sorted([*present, *(["bleu4_sentence"] if "bleu4" in present else [])])


def _cube(scores: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[str, ...], pd.DataFrame, Floats]:
    """Sort a long table into [pictures, readings, columns] and refuse holes and doubles."""
    rows = scores[scores["metric"].isin(columns)]
    absent = set(columns) - set(rows["metric"].unique())
    if absent:
        known = ", ".join(_metrics(scores)) or "none"
        raise VitpeelError(f"{min(absent)}: no such metric in the scores. There are: {known}.")
    pictures, picture = np.unique(rows["image_id"].to_numpy(dtype=str), return_inverse=True)
    keys = rows[READING].astype({"head": "Int16"})
    readings = keys.drop_duplicates().sort_values(READING, ignore_index=True, na_position="first")
    code = pd.Series(range(len(readings)), index=pd.MultiIndex.from_frame(readings.fillna({"head": -1})))
    reading = code.reindex(pd.MultiIndex.from_frame(keys.fillna({"head": -1}))).to_numpy()
    column = rows["metric"].map({name: index for index, name in enumerate(columns)}).to_numpy()
    cube = np.full((len(pictures), len(readings), len(columns)), np.nan)
    cube[picture, reading, column] = rows["value"].to_numpy()
    holes = np.argwhere(np.isnan(cube))
    if len(holes) or len(rows) != cube.size:
        fault = "a picture and layer have more than one score"
        if len(holes):
            fault = f"picture {pictures[holes[0][0]]} has no score at layer {readings['layer'][holes[0][1]]}"
        raise VitpeelError(f"{columns[0]}: {fault}. Delete the scores and run `snakemake` again.")
    return tuple(pictures.tolist()), readings, cube


def interval(draws: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Percentile interval of each column. draws: [resamples, C]; returned: [C] twice, low and high."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def _empty(captions: pd.DataFrame, found: Estimates) -> NDArray[np.int32]:
    blank = captions["image_id"].isin(found.pictures) & (captions["caption"].str.strip() == "")
    keys = captions.loc[blank, READING].astype({"head": "Int16"}).fillna({"head": -1})
    counts = keys.value_counts()
    wanted = pd.MultiIndex.from_frame(found.readings.fillna({"head": -1}))
    return np.asarray(counts.reindex(wanted, fill_value=0), dtype=np.int32)
