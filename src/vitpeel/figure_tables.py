"""The small tables behind the figures: gathered here from what was computed, drawn by `vitpeel.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.errors import VitpeelError

Floats = NDArray[np.floating]

_MEANS = ("dataset", "variant", "layer", "metric", "mean", "low", "high", "confidence", "pictures", "empty")
_GAINS = ("gain", "gain_low", "gain_high")


def page_captions(
    captions: pd.DataFrame,
    image_ids: Sequence[str],
    layers: Sequence[int],
    key: str,
    variant: str = "unedited",
) -> pd.DataFrame:
    """The captions behind Figure 1 and its like: every layer of the chosen pictures, `shown` where it has a
    panel.

    key: of the configuration, such as "figures.fig1". Raises VitpeelError for a picture or layer that was
    not captioned, naming what there is.
    """
    rows = captions[(captions["variant"] == variant) & captions["head"].isna()]
    known = sorted(rows["image_id"].unique())
    for image in image_ids:
        if image not in known:
            some = ", ".join(known[:3])
            raise VitpeelError(
                f"{key}.images: no caption of picture {image}. There are {len(known)}: {some} ..."
            )
    depths = sorted(rows["layer"].unique())
    for layer in layers:
        if layer not in depths:
            raise VitpeelError(
                f"{key}.layers: layer {layer} was not captioned; {depths[0]} to {depths[-1]} were."
            )
    place = {image: index for index, image in enumerate(image_ids)}
    chosen = rows[rows["image_id"].isin(place)].assign(shown=rows["layer"].isin(layers))
    chosen = chosen.sort_values("layer").sort_values(
        "image_id", key=lambda ids: ids.map(place), kind="stable"
    )
    return chosen[["image_id", "layer", "shown", "caption", "truncated"]].reset_index(drop=True)


def page_heatmaps(maps: Mapping[str, Floats], layers: Sequence[int]) -> pd.DataFrame:
    """The heatmaps behind such a page, one row a patch: image_id, layer, row, column, attention.

    maps: image_id -> [layers, rows, columns], the CLS token's attention to the patches, on any scale.
    attention, written: as a multiple of an equal share, so its mean over a map is 1.
    """
    parts = []
    for image, own in maps.items():
        share = np.asarray(own, dtype=float)
        share = share / share.mean(axis=(1, 2), keepdims=True)
        index = pd.MultiIndex.from_product(
            [[image], layers, range(share.shape[1]), range(share.shape[2])],
            names=["image_id", "layer", "row", "column"],
        )
        parts.append(pd.DataFrame({"attention": share.ravel()}, index=index).reset_index())
    return pd.concat(parts, ignore_index=True)


def fig3(
    summary: pd.DataFrame, gains: pd.DataFrame, metric: str, confidence: float, variant: str = "unedited"
) -> pd.DataFrame:
    """The table behind the figure: a row a layer, from `bootstrap.summarise` and `bootstrap.gain_to_last`.

    gain is what the last layer has more than this one, paired over pictures. Raises VitpeelError where the
    summary does not hold the metric.
    """
    keep = (summary["metric"] == metric) & (summary["variant"] == variant) & summary["head"].isna()
    rows = summary[keep].assign(confidence=confidence)
    if rows.empty:
        known = ", ".join(sorted(summary["metric"].unique())) or "none"
        raise VitpeelError(f"figures.fig3.metric: no {metric} in the scores. There are: {known}.")
    own = gains[(gains["variant"] == variant) & gains["head"].isna()][["layer", *_GAINS]]
    merged = rows.merge(own, on="layer", validate="one_to_one").sort_values("layer", ignore_index=True)
    return merged[[*_MEANS, *_GAINS]]
