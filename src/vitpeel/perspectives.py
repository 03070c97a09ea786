"""The three perspectives side by side (sections 3.3 to 3.5): do they see the same layers change?

The paper calls Delta Z, Delta A and Delta S equivalent (Equations 8 and 9). Here each becomes a number a
picture and layer, and their agreement a rank correlation with an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import delta, l1
from vitpeel.scores import bootstrap
from vitpeel.scores.change import MOST

Floats = NDArray[np.float64]

UPDATE, MAP = "update", "map"  # measures of the data flow and of the heatmaps; the others are language's
_COLUMNS = ["image_id", "layer", "measure", "change"]


def perspective(measure: str) -> str:
    """The perspective that a measure belongs to."""
    return {UPDATE: "data flow", MAP: "heatmap"}.get(measure, "language")


def flow_change(dataflow: pd.DataFrame) -> pd.DataFrame:
    """Equation 4 as a number: the length of CLS's update in each layer.

    dataflow: a `dataflow` table. Returned, as by the two functions below: a `changes` table.
    """
    along = dataflow.assign(change=dataflow["norm"] * dataflow["cosine"])  # these sum to the length
    rows = along.groupby(["image_id", "layer"])["change"].sum().reset_index()
    return rows.assign(measure=UPDATE)[_COLUMNS]


def heatmap_change(image_ids: Sequence[str], maps: NDArray[np.floating]) -> pd.DataFrame:
    """Equation 8 as a number: the L1 between a layer's map and that of the layer before.

    maps: [pictures, layers, down, across]. Layers from 1.
    """
    changes = l1(delta(maps))
    index = pd.MultiIndex.from_product([image_ids, range(1, maps.shape[1])], names=["image_id", "layer"])
    rows = pd.DataFrame({"change": changes.astype("float64").ravel()}, index=index).reset_index()
    return rows.astype({"layer": "int16"}).assign(measure=MAP)[_COLUMNS]


def language_change(scores: pd.DataFrame) -> pd.DataFrame:
    """Equation 9 as a change: how far each metric is below the most it gives, as a part of that (0 to 1).

    scores: the table of `vitpeel.scores.change`; a measure a metric, layers from 1.
    """
    most = scores["metric"].map(MOST)
    rows = scores.assign(change=1 - scores["value"] / most, measure=scores["metric"])
    return rows[_COLUMNS].reset_index(drop=True)


def curves(
    changes: pd.DataFrame, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The mean change of each layer with its bootstrap interval over pictures.

    Returns perspective, measure, layer, mean, low, high, pictures, confidence.
    """
    parts = []
    tail = (1 - confidence) / 2
    for measure, found in _estimates(changes, resamples, seed).items():
        low, high = np.quantile(found.draws, [tail, 1 - tail], axis=0)
        parts.append(
            pd.DataFrame(
                {
                    "perspective": perspective(measure),
                    "measure": measure,
                    "layer": found.readings["layer"],
                    "mean": found.point,
                    "low": low,
                    "high": high,
                    "pictures": len(found.pictures),
                    "confidence": confidence,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def correlations(
    changes: pd.DataFrame, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Spearman's rank correlation over layers between every two measures, interval over pictures.

    Returns first, second, level, rho, low, high, pictures, confidence. level "mean": of the two curves of
    mean changes; "picture": the mean of every picture's own correlation, over the `pictures` where both
    measures change at all. Where that leaves nothing, rho is missing. Raises VitpeelError where a picture
    lacks a layer that others have, or two measures do not cover the same pictures; layers that not every
    measure has are left out.
    """
    common = _common_layers(changes)
    found = _estimates(common, resamples, seed)
    wide = {
        measure: rows.pivot(index="image_id", columns="layer", values="change").to_numpy(dtype=float)
        for measure, rows in common.groupby("measure", sort=False)
    }
    tail = (1 - confidence) / 2
    parts = []
    for first, second in combinations(found, 2):
        a, b = found[first], found[second]
        if a.pictures != b.pictures:
            raise VitpeelError(
                f"{first} and {second}: not of the same pictures ({len(a.pictures)} and {len(b.pictures)}). "
                "Delete the changes and run `snakemake` again."
            )
        own = spearman(wide[first], wide[second])
        own = own[np.isfinite(own)]
        rng = np.random.default_rng(seed)
        of_means = float(spearman(a.point[None], b.point[None])[0])
        levels = {"mean": (of_means, spearman(a.draws, b.draws), len(a.pictures))}
        if len(own):
            times = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
            levels["picture"] = (float(own.mean()), times @ own / len(own), len(own))
        else:
            levels["picture"] = (np.nan, np.full(1, np.nan), 0)
        for level, (rho, draws, pictures) in levels.items():
            defined = draws[np.isfinite(draws)]
            low, high = np.quantile(defined, [tail, 1 - tail]) if len(defined) else (np.nan, np.nan)
            parts.append((first, second, level, rho, low, high, pictures, confidence))
    columns = ["first", "second", "level", "rho", "low", "high", "pictures", "confidence"]
    return pd.DataFrame(parts, columns=columns)


def spearman(first: Floats, second: Floats) -> Floats:
    """Spearman's rank correlation of each row with each, ties at their mean rank.

    first, second: [rows, n]; returned: [rows], nan where either row is constant.
    """
    ranks = [pd.DataFrame(values).rank(axis=1).to_numpy() for values in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    lengths = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    rho: Floats = np.where(lengths > 0, (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1), np.nan)
    return rho


def _common_layers(changes: pd.DataFrame) -> pd.DataFrame:
    measures = changes["measure"].nunique()
    everywhere = changes.groupby("layer")["measure"].transform("nunique") == measures
    common = changes[everywhere]
    if common.empty:
        raise VitpeelError("the perspectives have no layer in common. Run all three on the same model.")
    return common


def _estimates(changes: pd.DataFrame, resamples: int, seed: int) -> dict[str, bootstrap.Estimates]:
    """Means over pictures and their bootstrap draws, the same pictures drawn for every measure."""
    rows = changes.assign(variant="unedited", head=pd.array([pd.NA] * len(changes), dtype="Int16"))
    rows = rows.assign(metric="change " + rows["measure"]).rename(columns={"change": "value"})
    return {
        measure: bootstrap.estimate(rows, f"change {measure}", resamples, seed)
        for measure in changes["measure"].unique()
    }
