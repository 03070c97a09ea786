"""Single heads, and heads masked together (section 4.4): what is read, tables of Figure 6 and appendix D."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.activations import pixels_of, swept
from vitpeel.edits import MaskHeads
from vitpeel.errors import VitpeelError
from vitpeel.heatmap_files import chosen
from vitpeel.heatmaps import Outliers, find_outliers, handle, on_grid
from vitpeel.provenance import Provenance
from vitpeel.sweep import HeadReading, Variant
from vitpeel.tables import Reading
from vitpeel.tensors import open_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.datasets.pictures import Picture
    from vitpeel.models import Model

Floats = NDArray[np.float64]
Masks = Sequence[Mapping[int, Sequence[int]]]

EMBEDDING = -1  # the layer before layer 0: the stream that block 0 reads
_UNEDITED = "unedited"


def plan(layer: int, reading: HeadReading, masks: Masks, depth: int) -> list[Variant]:
    """What both figures read, of a model of `depth` layers.

    Every head of `layer`; each of `masks` ({layer: heads} masked together), at the deepest layer that it
    masks and at the last; the unedited model at all of these and at the layer before `layer`, which may be
    EMBEDDING.
    """
    ends = [tuple(sorted({max(mask), depth - 1})) for mask in masks]
    whole = sorted({layer - 1, layer, *(end for both in ends for end in both)})
    masked = [
        Variant(_mask(number), both, MaskHeads(mask))
        for number, (mask, both) in enumerate(zip(masks, ends, strict=True), 1)
    ]
    return [Variant(_UNEDITED, tuple(whole)), Variant(_single(reading), (layer,), heads=reading), *masked]


def readings(
    model: Model, pictures: Sequence[Picture], variants: Sequence[Variant], batch: int
) -> Iterator[tuple[Reading, Tensor]]:
    """Every variant at each of its layers: (key, Z [tokens, width]).  batch: pictures at a time."""
    blocks = [replace(v, layers=tuple(n for n in v.layers if n != EMBEDDING)) for v in variants]
    yield from swept(model, pictures, blocks, batch)
    for variant in (v for v in variants if EMBEDDING in v.layers):
        for start in range(0, len(pictures), batch):
            some = pictures[start : start + batch]
            z = model.trunk.embed(variant.edit.picture(pixels_of(model, some)))
            for picture, own in zip(some, z, strict=True):
                yield Reading(picture.image_id, variant.name, EMBEDDING, None), own


def fig6(captions: pd.DataFrame, image_ids: Sequence[str], layer: int, reading: HeadReading) -> pd.DataFrame:
    """The captions behind Figure 6: a picture's layer before, every head, and the layer, in this order.

    Columns: image_id, part ("before", "head" or "layer"), reading, layer, head, caption, truncated; as_layer
    and as_before say whether the words are exactly those of the layer and of the one before.
    """
    parts = []
    for image in image_ids:
        own = _of(captions, image)
        before = _whole(own, _UNEDITED, layer - 1).assign(part="before")
        whole = _whole(own, _UNEDITED, layer).assign(part="layer")
        heads = own[(own["variant"] == _single(reading)) & own["head"].notna()].assign(part="head")
        if heads.empty or set(heads["layer"]) != {layer}:
            raise VitpeelError(f"figures.fig6: no captions of the heads of layer {layer} of picture {image}.")
        rows = pd.concat([before, heads.sort_values("head"), whole])
        same = {
            name: rows["caption"] == row["caption"].item()
            for name, row in (("as_layer", whole), ("as_before", before))
        }
        parts.append(rows.assign(reading=reading, **same))
    columns = [
        "image_id",
        "part",
        "reading",
        "layer",
        "head",
        "caption",
        "truncated",
        "as_layer",
        "as_before",
    ]
    return pd.concat(parts, ignore_index=True)[columns]


def fig6_heatmaps(
    files: Sequence[Path],
    image_ids: Sequence[str],
    layer: int,
    outliers: Outliers,
    expect: Provenance | None = None,
) -> pd.DataFrame:
    """The heatmaps behind Figure 6, a row a patch: image_id, layer, head, row, column, attention.

    Of every head of `layer`, and, head missing, the mean over heads of `layer` and of the layer before, if
    there is one; outlier tokens handled. files: the CLS attention of all shards. attention, written: as a
    multiple of an equal share, so its mean over a map is 1. The grid of patches is square.
    """
    for path in files:
        with open_tensors(path, expect):
            pass  # refused, if it is another model's
    weights, norms = (
        chosen(files, name, image_ids, "figures.fig6.images") for name in ("attention", "norms")
    )
    parts = []
    for image in image_ids:
        try:
            own = pd.concat(_layer_maps(weights[image], norms[image], layer, outliers))
        except VitpeelError as error:
            raise VitpeelError(f"picture {image}, layer {layer} or the one before: {error}") from error
        parts.append(own.assign(image_id=image))
    table = pd.concat(parts, ignore_index=True)
    return table[["image_id", "layer", "head", "row", "column", "attention"]]


def appendix_d(captions: pd.DataFrame, image_ids: Sequence[str], masks: Masks) -> pd.DataFrame:
    """The captions behind appendix D, a row for each picture, mask and layer read.

    Columns: image_id, mask (from 1, as configured), layer, last (whether it is the last that is read),
    unedited and edited, the captions, changed, and truncated (either of them).
    """
    rows = []
    for image in image_ids:
        own = _of(captions, image)
        for number in range(1, len(masks) + 1):
            layers = sorted(own.loc[own["variant"] == _mask(number), "layer"])
            if not layers:
                raise VitpeelError(
                    f"heads.masks: combination {number} was not captioned for picture {image}."
                )
            for layer in layers:
                real, masked = (_whole(own, name, layer) for name in (_UNEDITED, _mask(number)))
                said = real["caption"].item(), masked["caption"].item()
                cut = bool(real["truncated"].item() or masked["truncated"].item())
                rows.append((image, number, layer, layer == layers[-1], *said, said[0] != said[1], cut))
    columns = ["image_id", "mask", "layer", "last", "unedited", "edited", "changed", "truncated"]
    return pd.DataFrame(rows, columns=columns)


def matrices(masks: Masks, heads: int) -> pd.DataFrame:
    """The masking matrices: mask, layer, head, masked, from the first to the last layer that each masks."""
    rows = [
        (number, layer, head, head in mask.get(layer, ()))
        for number, mask in enumerate(masks, 1)
        for layer in range(min(mask), max(mask) + 1)
        for head in range(heads)
    ]
    return pd.DataFrame(rows, columns=["mask", "layer", "head", "masked"])


def count(captions: pd.DataFrame) -> int:
    """How many heads a layer has, from the captions of single heads."""
    return int(captions["head"].max()) + 1


def _single(reading: HeadReading) -> str:
    return f"head {reading}"


def _mask(number: int) -> str:
    return f"mask {number}"


def _of(captions: pd.DataFrame, image: str) -> pd.DataFrame:
    own = captions[captions["image_id"] == image]
    if own.empty:
        known = sorted(captions["image_id"].unique())
        raise VitpeelError(
            f"figures.fig6.images: no caption of picture {image}. There are {len(known)}: "
            f"{', '.join(known[:3]) or 'none'} ..."
        )
    return own


def _whole(own: pd.DataFrame, variant: str, layer: int) -> pd.DataFrame:
    """One picture's row of a whole layer."""
    row = own[(own["variant"] == variant) & (own["layer"] == layer) & own["head"].isna()]
    if len(row) != 1:
        image = own["image_id"].iloc[0]
        raise VitpeelError(f"picture {image}: no caption of layer {layer} ({variant}). Run `snakemake`.")
    return row


def _layer_maps(weights: Floats, norms: Floats, layer: int, how: Outliers) -> Iterator[pd.DataFrame]:
    """weights: one picture's [layers, heads, tokens]; norms: [layers, tokens]."""
    side = isqrt(weights.shape[-1] - 1)
    for at in (n for n in (layer - 1, layer) if n != EMBEDDING):
        single = on_grid(weights[at].astype("float64"), (side, side))
        mean = single.mean(axis=0, keepdims=True)
        shown = np.concatenate([mean, single]) if at == layer else mean
        outliers = find_outliers(norms[at, 1:], how).reshape(side, side)
        handled = np.stack([handle(one, outliers, how) for one in shown])
        share = handled.mean(axis=(1, 2), keepdims=True)
        handled = handled / np.where(share > 0, share, 1.0)
        heads = pd.array([None, *range(len(shown) - 1)], dtype="Int16")
        index = pd.MultiIndex.from_product([heads, range(side), range(side)], names=["head", "row", "column"])
        table = pd.DataFrame({"attention": handled.ravel()}, index=index).reset_index()
        yield table.assign(layer=at)
