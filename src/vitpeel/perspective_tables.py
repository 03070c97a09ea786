"""The small tables behind the figures of sections 3.3 to 3.5, drawn by `vitpeel.plots`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.errors import InputError
from vitpeel.heatmaps import Array, Mask, delta, l1
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
    maps: Iterable[tuple[Array, Mask]],
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How many patches are outliers and how much attention they get, mean over pictures.

    maps: of every picture the maps as they are and their outliers, each [layers, down, across]. Returns
    layer, patches (share of all patches), attention (share of what CLS pays to patches), each also with _low
    and _high, its bootstrap interval over pictures; pictures and confidence.
    """
    per_picture = [
        (outliers.mean(axis=(1, 2)), (own * outliers).sum(axis=(1, 2)) / own.sum(axis=(1, 2)))
        for own, outliers in maps
    ]
    patches, paid = (np.stack(values).astype("float64") for values in zip(*per_picture, strict=True))
    count, tail = len(patches), (1 - confidence) / 2
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    columns: dict[str, Floats] = {}
    for name, values in (("patches", patches), ("attention", paid)):
        low, high = np.quantile(times @ values / count, [tail, 1 - tail], axis=0)
        columns |= {name: values.mean(axis=0), f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(
        {"layer": range(patches.shape[1]), **columns, "pictures": count, "confidence": confidence}
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


def delta_maps(
    maps: Iterable[tuple[str, Array]], image_ids: Sequence[str], layers: Sequence[int], key: str
) -> pd.DataFrame:
    """Equation 8 as maps: image_id, layer, row, column, before, after, change, l1.

    maps: image_id and A of every layer, [depth, down, across], of at least the chosen pictures, whose order
    is kept; key: of the configuration, what they were chosen by. layers: the l of A^l - A^{l-1}, of which the
    first has none and is left out. before, after, change: A^{l-1}, A^l and their difference, as multiples of
    1 / patches, an equal share of all attention; l1: the sum of |A^l - A^{l-1}| over the map. Raises
    InputError for a picture without maps.
    """
    found = {image: own.astype("float64") for image, own in maps if image in image_ids}
    later = [layer for layer in layers if layer > 0]
    earlier = [layer - 1 for layer in later]
    parts = []
    for image in image_ids:
        if image not in found:
            raise InputError(f"{key}: picture {image} has no heatmaps. Choose another picture.")
        own, difference = found[image], delta(found[image])[earlier]
        share = own.shape[1] * own.shape[2]
        index = pd.MultiIndex.from_product(
            [[image], later, range(own.shape[1]), range(own.shape[2])],
            names=["image_id", "layer", "row", "column"],
        )
        columns = {
            "before": share * own[earlier].ravel(),
            "after": share * own[later].ravel(),
            "change": share * difference.ravel(),
            "l1": np.repeat(l1(difference), share),
        }
        parts.append(pd.DataFrame(columns, index=index).reset_index())
    return pd.concat(parts, ignore_index=True)
