"""The tables behind Table 1: scores of the pruned models, and what pruning changes, beside random pruning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel import convergence
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import InputError
from vitpeel.pruning import BEST, PRUNED, PRUNED_ONLY, RANDOM, SCALED_ONLY
from vitpeel.scores import bleu, bootstrap, references

Floats = NDArray[np.float64]

UNEDITED = "unedited"
ROWS = (UNEDITED, PRUNED, PRUNED_ONLY, SCALED_ONLY, RANDOM, BEST)
LESS_IS_BETTER = frozenset({convergence.METRIC})


def score(
    captions: pd.DataFrame,
    pictures: Sequence[Picture],
    metrics: Sequence[str],
    rule: Literal["final", "bertscore"] = "final",
    threshold: float = 1.0,
    bertscore: Mapping[str, Any] = MappingProxyType({}),
) -> pd.DataFrame:
    """Every score in Table 1 of every picture and variant, a `scores` table at the last layer.

    captions: of `pruning.completed`; pictures: these and perhaps more, with their references; metrics:
    against them, CIDEr always, which knows the references of the captioned pictures only. rule: whether a
    caption has converged if it equals the last one, or also if its BERTScore with it, of these settings, is
    at least `threshold`.
    """
    final = captions[captions["layer"] == captions["layer"].max()]
    written = {picture.image_id: picture.references for picture in pictures}
    worth = references.score(final, written, tuple(dict.fromkeys(["cider", *metrics])))
    if rule == "final":
        return pd.concat([worth, convergence.score(captions)], ignore_index=True)
    from vitpeel.scores import bertscore as scorer  # here: it takes torch

    likeness = partial(scorer.score, **bertscore, against=convergence.last)
    return pd.concat([worth, convergence.score(captions, likeness, threshold)], ignore_index=True)


def heads(
    plan: pd.DataFrame, scores: pd.DataFrame, resamples: int, confidence: float, seed: int
) -> pd.DataFrame:
    """A plan of `pruning.prune` with the bootstrap interval [low, high] of every head's score.

    scores: those that it was made from.
    """
    found = bootstrap.estimate(scores, scores["metric"].iloc[0], resamples, seed)
    low, high = bootstrap.interval(found.draws, confidence)
    keys = found.readings[["layer", "head"]].assign(low=low, high=high, pictures=len(found.pictures))
    return plan.merge(keys.astype({"head": "int16"}), on=["layer", "head"], validate="one_to_one")


def parameters_of_head(checkpoint: Path) -> int:
    """Weights that go with a head: its slices of W_Q, W_K, W_V and W_O, as the checkpoint's config.json has
    them."""
    path = checkpoint / "config.json"
    try:
        vision = json.loads(path.read_text())["vision_config"]
        width, heads = int(vision["hidden_size"]), int(vision["num_attention_heads"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: does not say the vision model's hidden_size and num_attention_heads ({error!r}). Copy "
            "the checkpoint again."
        ) from error
    return 4 * width * (width // heads)


def table1(
    scores: pd.DataFrame,
    plan: pd.DataFrame,
    parameters: int,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """A row for every metric of every pruning, CIDEr and convergence layer first.

    scores: of the pictures that were not sampled, at the last layer, of the unedited model and all of
    `pruning.variants`. parameters: of a head. Columns: metric, pruning ("random" is the mean of the draws,
    which follow as "random 0" ...), value with the bootstrap interval [low, high], change against unedited
    with that of the paired difference, the draws' range [draws_low, draws_high], as_good: how many of the
    `draws` do at least as well, p: (1 + as_good) / (1 + draws), one-sided; heads pruned of heads_of in the
    planned layers, and the parameters that go with them.
    """
    names = [convergence.METRIC, *scores["metric"].unique()]
    known = [metric for metric in dict.fromkeys(["cider", *names]) if metric not in bleu.COUNTS]
    parts = [_of_metric(scores, metric, resamples, confidence, seed) for metric in known]
    gone = int(plan["pruned"].sum())
    table = pd.concat(parts, ignore_index=True)
    heads = np.where(table["pruning"].isin([UNEDITED, SCALED_ONLY]), 0, gone)
    return table.assign(heads=heads, heads_of=len(plan), parameters=heads * parameters, confidence=confidence)


def _of_metric(
    scores: pd.DataFrame, metric: str, resamples: int, confidence: float, seed: int
) -> pd.DataFrame:
    found = bootstrap.estimate(scores, metric, resamples, seed)
    place = {name: at for at, name in enumerate(found.readings["variant"])}
    drawn = sorted(
        (name for name in place if name.startswith(f"{RANDOM} ")), key=lambda name: int(name.split()[1])
    )
    random = [place[name] for name in drawn]
    order = [name for name in ROWS if name in place or name == RANDOM] + drawn
    columns = [random if name == RANDOM else [place[name]] for name in order]
    point = np.array([found.point[own].mean() for own in columns])
    draws = np.stack([found.draws[:, own].mean(axis=1) for own in columns], axis=1)
    start = order.index(UNEDITED)
    low, high = bootstrap.interval(draws, confidence)
    change_low, change_high = bootstrap.interval(draws - draws[:, [start]], confidence)
    sign = -1 if metric in LESS_IS_BETTER else 1
    chance = found.point[random]
    as_good = np.array([(sign * chance >= sign * value).sum() for value in point])
    table = pd.DataFrame(
        {
            "metric": metric,
            "pruning": order,
            "value": point,
            "low": low,
            "high": high,
            "change": point - point[start],
            "change_low": change_low,
            "change_high": change_high,
            "draws": len(random),
        }
    )
    ranked, mean = table["pruning"].isin([PRUNED, BEST]), table["pruning"] == RANDOM
    return table.assign(
        draws_low=np.where(mean, chance.min(), np.nan),
        draws_high=np.where(mean, chance.max(), np.nan),
        as_good=np.where(ranked, as_good, np.nan),
        p=np.where(ranked, (1 + as_good) / (1 + len(random)), np.nan),
        pictures=len(found.pictures),
    )
