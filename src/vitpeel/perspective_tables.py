"""The small tables behind the figures of sections 3.3 to 3.5, drawn by `vitpeel.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.heatmaps import Mask
from vitpeel.perspectives import flow_change
from vitpeel.scores import bootstrap

Floats = NDArray[np.float64]


def dataflow(
    rows: pd.DataFrame, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """What each layer is made of, mean over pictures: quantity, layer, mean, low, high, pictures, confidence.

    rows: a `dataflow` table. quantity: the share of "attention" (all heads together), of each "head h", of
    "mlp" and "bias", and "update", the update's length.
    """
    heads = rows["component"].str.startswith("head ")
    together = rows[heads].groupby(["image_id", "layer"])["share"].sum().reset_index()
    shares = rows[["image_id", "layer", "component", "share"]].rename(columns={"component": "metric"})
    long = pd.concat(
        [
            together.assign(metric="attention").rename(columns={"share": "value"}),
            shares.rename(columns={"share": "value"}),
            flow_change(rows).rename(columns={"change": "value", "measure": "metric"}),
        ],
        ignore_index=True,
    )
    long = long.assign(variant="unedited", head=pd.array([pd.NA] * len(long), dtype="Int16"))
    tail, parts = (1 - confidence) / 2, []
    for quantity in long["metric"].unique():
        found = bootstrap.estimate(long, quantity, resamples, seed)
        low, high = np.quantile(found.draws, [tail, 1 - tail], axis=0)
        own = pd.DataFrame({"layer": found.readings["layer"], "mean": found.point, "low": low, "high": high})
        parts.append(own.assign(quantity=quantity, pictures=len(found.pictures), confidence=confidence))
    columns = ["quantity", "layer", "mean", "low", "high", "pictures", "confidence"]
    return pd.concat(parts, ignore_index=True)[columns]


def outlier_shares(
    maps: NDArray[np.floating],
    outliers: Mask,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How many patches are outliers and how much attention they get, mean over pictures.

    maps, outliers: [pictures, layers, down, across]. Returns layer, patches (share of all patches),
    attention (share of what CLS pays to patches, on the maps as they are), each also with _low and _high,
    its bootstrap interval over pictures; pictures and confidence.
    """
    paid = (maps * outliers).sum(axis=(2, 3)) / maps.sum(axis=(2, 3))
    count, tail = len(maps), (1 - confidence) / 2
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    columns: dict[str, Floats] = {}
    for name, own in (("patches", outliers.mean(axis=(2, 3))), ("attention", paid.astype("float64"))):
        low, high = np.quantile(times @ own / count, [tail, 1 - tail], axis=0)
        columns |= {name: own.mean(axis=0), f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(
        {"layer": range(maps.shape[1]), **columns, "pictures": count, "confidence": confidence}
    )


def outlier_maps(
    maps: Mapping[str, NDArray[np.floating]],
    outliers: Mapping[str, Mask],
    handled: Mapping[str, NDArray[np.floating]],
    layers: Sequence[int],
) -> pd.DataFrame:
    """Chosen maps as they are and handled: image_id, layer, row, column, attention, handled, outlier.

    Each mapping: image_id -> [depth, down, across]; layers: those shown. attention, handled: as a multiple
    of an equal share of the unhandled map.
    """
    parts = []
    for image, own in maps.items():
        equal = own.mean(axis=(1, 2), keepdims=True)
        index = pd.MultiIndex.from_product(
            [[image], layers, range(own.shape[1]), range(own.shape[2])],
            names=["image_id", "layer", "row", "column"],
        )
        columns = {
            "attention": (own / equal)[layers].ravel(),
            "handled": (handled[image] / equal)[layers].ravel(),
            "outlier": outliers[image][layers].ravel(),
        }
        parts.append(pd.DataFrame(columns, index=index).reset_index())
    return pd.concat(parts, ignore_index=True)
