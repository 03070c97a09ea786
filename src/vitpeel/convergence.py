"""The convergence layer of a picture (Table 1): the first from which every caption is as good as the last."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from vitpeel.errors import VitpeelError

METRIC = "convergence"
_CAPTION = ["image_id", "variant", "layer"]


def last(captions: pd.DataFrame) -> pd.Series:
    """What each row's own variant says of the picture at its last layer."""
    place = captions.groupby(["image_id", "variant"])["layer"].transform("idxmax")
    return pd.Series(captions.loc[place, "caption"].to_numpy(), index=captions.index)


def score(
    captions: pd.DataFrame,
    likeness: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    threshold: float = 1.0,
) -> pd.DataFrame:
    """The convergence layer of every picture and variant: a `scores` table, at the last layer.

    captions: of whole layers, every layer of every variant. A caption is as good as the last if it equals
    it; or, with a `likeness` (BERTScore of every row against `last`, a `scores` table), if it has at least
    `threshold`. Raises VitpeelError where a layer was not captioned.
    """
    rows = captions[captions["head"].isna()].reset_index(drop=True)
    alike = rows["caption"] == last(rows)
    if likeness is not None:
        values = likeness(rows).set_index(_CAPTION)["value"]
        alike |= values.reindex(pd.MultiIndex.from_frame(rows[_CAPTION])).to_numpy() >= threshold
    wide = rows.assign(alike=alike).pivot(index=["image_id", "variant"], columns="layer", values="alike")
    layers, keys = wide.columns.to_numpy(dtype=int), wide.index.to_frame(index=False)
    holes = np.argwhere(wide.isna().to_numpy())
    if len(holes):
        row, column = holes[0]
        image, variant = keys.iloc[row]
        raise VitpeelError(f"picture {image}, {variant}: no caption of layer {layers[column]}.")
    from_here_on = np.logical_and.accumulate(wide.to_numpy(dtype=bool)[:, ::-1], axis=1)[:, ::-1]
    first = layers[from_here_on.argmax(axis=1)]
    found = keys.assign(layer=layers.max(), head=None, metric=METRIC, value=first)
    return found.astype({"layer": "int16", "head": "Int16", "value": "float64"})
