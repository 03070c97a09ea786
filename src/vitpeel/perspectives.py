"""The three perspectives side by side (sections 3.3 to 3.5): do they see the same layers change?

The paper calls Delta Z, Delta A and Delta S equivalent (Equations 8 and 9). Here each becomes a number a
picture and layer, and their agreement a rank correlation with an interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Array, Reading, delta, l1
from vitpeel.scores import bootstrap
from vitpeel.scores.ranges import MOST

Floats = NDArray[np.float64]

UPDATE, RELATIVE = "update", "relative update"  # measures of the data flow
HEATMAPS: tuple[Reading, ...] = ("map", "literal", "rollout")  # of the heatmaps; the others are language's
_COLUMNS = ["image_id", "layer", "measure", "change"]


def perspective(measure: str) -> str:
    """The perspective that a measure belongs to."""
    if measure in HEATMAPS:
        return "heatmap"
    return "data flow" if measure in (UPDATE, RELATIVE) else "language"


def token_name(token: int) -> str:
    """What a figure calls the token whose update is taken apart."""
    return f"patch {token}" if token else "CLS"


def changes(
    dataflow: pd.DataFrame,
    lengths: pd.DataFrame,
    maps: Iterable[tuple[str, Array]],
    reading: Reading,
    scores: pd.DataFrame,
) -> pd.DataFrame:
    """The `changes` table of all perspectives, from what the functions below take."""
    updates = flow_change(dataflow)
    flow = [updates, relative_change(updates, lengths)]
    return pd.concat([*flow, heatmap_change(maps, reading), language_change(scores)], ignore_index=True)


def flow_change(dataflow: pd.DataFrame) -> pd.DataFrame:
    """Equation 4 as a number: the length of the token's update in each layer.

    dataflow: a `dataflow` table. Returned, as by the functions below: a `changes` table.
    """
    along = dataflow.assign(change=dataflow["norm"] * dataflow["cosine"])  # these sum to the length
    rows = along.groupby(["image_id", "layer"])["change"].sum().reset_index()
    return rows.assign(measure=UPDATE)[_COLUMNS]


def relative_change(updates: pd.DataFrame, lengths: pd.DataFrame) -> pd.DataFrame:
    """The update's length over that of the token which the layer reads, |Z^l - Z^{l-1}| / |Z^{l-1}|.

    The stream grows with depth and its updates with it; this is what is left of a change then. updates: from
    `flow_change`. lengths: image_id, layer, length (`heatmap_files.lengths`). Raises VitpeelError for
    pictures or layers that one of them lacks.
    """
    both = updates.merge(lengths, on=["image_id", "layer"], how="outer", validate="one_to_one")
    if both[["change", "length"]].isna().any(axis=None):
        row = both[both[["change", "length"]].isna().any(axis=1)].iloc[0]
        raise VitpeelError(
            f"picture {row['image_id']}, layer {row['layer']}: in the data flow or in the attention, not in "
            "both. Delete the activations and run `snakemake` again."
        )
    return both.assign(change=both["change"] / both["length"], measure=RELATIVE)[_COLUMNS]


def heatmap_change(maps: Iterable[tuple[str, Array]], reading: Reading = "map") -> pd.DataFrame:
    """Equation 8 as a number: how far a layer's map is from that of the layer before.

    maps: image_id and its maps [layers, down, across], as `heatmap_files.compared` gives them. reading: of
    maps and rollouts the L1 of the difference; literal: of the maps' sums, |A^l - A^{l-1}| of Equation 7 as
    printed. Layers from 1.
    """
    parts = []
    for image_id, own in maps:
        own = own.sum(axis=(1, 2), keepdims=True) if reading == "literal" else own
        change = l1(delta(own.astype("float64")))
        parts.append(pd.DataFrame({"image_id": image_id, "layer": range(1, len(own)), "change": change}))
    rows = pd.concat(parts, ignore_index=True).astype({"layer": "int16"})
    return rows.assign(measure=reading)[_COLUMNS]


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
