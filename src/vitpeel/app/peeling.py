"""A picture through the captioner: what each layer looks at and says, and each head of one layer.

The same steps as the pipeline's, for one picture and without files: Equations 3 and 7 for the maps, a caption
of every layer's tokens, and Figure 6 for the heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from vitpeel import caption_tables, figure_tables, heads, heatmaps
from vitpeel.datasets.pictures import Picture
from vitpeel.heatmaps import Outliers
from vitpeel.plots import pages
from vitpeel.sweep import HeadReading, unedited
from vitpeel.tables import Reading

if TYPE_CHECKING:
    from PIL.Image import Image

    from vitpeel.config import Decoding
    from vitpeel.models import Model

T = TypeVar("T")
Floats = NDArray[np.float64]
# Called after each caption with how many are done and how many there will be.
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Peeled:
    """A picture and what its layers hold.

    image: the picture, RGB, no larger than a page shows it; captions: a `tables.CAPTIONS` table, a row a
    layer; attention: of CLS in every head, [layers, heads, tokens]; norms: of the tokens that each layer
    reads, [layers, tokens]; grid: patches down and across; how: outlier tokens are taken off the maps.
    """

    picture: Picture
    image: Image
    captions: pd.DataFrame
    attention: Floats
    norms: Floats
    grid: tuple[int, int]
    how: Outliers

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return len(self.attention)

    @property
    def maps(self) -> Floats:
        """Where each layer looks, as multiples of an equal share.  [layers, down, across]."""
        return np.stack([self._handled(layer, self.attention[layer].mean(0)) for layer in range(self.depth)])

    def head_maps(self, layer: int) -> Floats:
        """Where each head of a layer looks, as multiples of an equal share.  [heads, down, across]."""
        return np.stack([self._handled(layer, row) for row in self.attention[layer]])

    def caption(self, layer: int) -> str:
        """What a layer says."""
        return str(self.captions["caption"].iloc[layer])

    def _handled(self, layer: int, row: Floats) -> Floats:
        outliers = heatmaps.find_outliers(self.norms[layer, 1:], self.how).reshape(self.grid)
        found = heatmaps.handle(heatmaps.on_grid(row, self.grid), outliers, self.how)
        share = found.mean()
        return np.asarray(found / share if share > 0 else found)


def peel(
    model: Model,
    picture: Picture,
    image: Image,
    decoding: Decoding,
    batch: int,
    how: Outliers,
    told: Told = lambda done, total: None,
) -> Peeled:
    """Caption every layer of a picture, and see where it looks.

    image: the picture, RGB; batch: captions written at a time, which changes none; told: of the progress.
    """
    trunk, name = model.trunk, unedited(0).name
    weights, norms, stream = [], [], []
    with torch.inference_mode():
        z = trunk.embed(model.preprocess([image]))
        for layer in range(trunk.depth):
            weights.append(trunk.cls_attention(layer, z)[0].double().cpu().numpy())
            norms.append(z[0].double().norm(dim=-1).cpu().numpy())
            z = trunk.block(layer, z)
            stream.append((Reading(picture.image_id, name, layer, None), z[0]))
    said = _counted(model.captioner.caption(stream, decoding, batch), trunk.depth, told)
    captions = caption_tables.frame(said, [picture.image_id], [name])
    small = pages.fit(image)
    return Peeled(picture, small, captions, np.stack(weights), np.stack(norms), model.grid, how)


def peel_heads(
    model: Model,
    picture: Picture,
    layer: int,
    reading: HeadReading,
    decoding: Decoding,
    batch: int,
    told: Told = lambda done, total: None,
) -> pd.DataFrame:
    """What each head of a layer says, between the layer before and the whole layer: rows of `heads.fig6`.

    reading: what reading one head means, as heads.reading of the configuration.
    """
    read = heads.plan(layer, reading, (), model.trunk.depth)
    total = model.trunk.heads + len(set(read[0].layers))
    with torch.inference_mode():
        rows = heads.readings(model, [picture], read, 1)
        said = list(_counted(model.captioner.caption(rows, decoding, batch), total, told))
    names = [variant.name for variant in read]
    table = caption_tables.frame(said, [picture.image_id], names)
    return heads.fig6(table, [picture.image_id], layer, reading)


def page_tables(peeled: Peeled, layers: Iterable[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The captions and heatmaps behind a page like Figure 1's.  layers: those with a panel."""
    shown, image_id = sorted(layers), peeled.picture.image_id
    rows = figure_tables.page_captions(peeled.captions, [image_id], shown, "figures.fig1")
    return rows, figure_tables.page_heatmaps({image_id: peeled.maps[shown]}, shown)


def head_tables(peeled: Peeled, layer: int) -> pd.DataFrame:
    """The heatmaps behind a page like Figure 6's: the heads of a layer, the layer, the one before."""
    maps, image_id = peeled.maps, peeled.picture.image_id
    looks: list[tuple[int, int | None, Floats]] = [
        (at, None, maps[at]) for at in (layer - 1, layer) if at >= 0
    ]
    looks += [(layer, head, look) for head, look in enumerate(peeled.head_maps(layer))]
    parts = []
    for at, head, look in looks:
        down, across = np.indices(look.shape)
        parts.append(
            pd.DataFrame({"row": down.ravel(), "column": across.ravel(), "attention": look.ravel()}).assign(
                image_id=image_id, layer=at, head=pd.array([head] * look.size, dtype="Int16")
            )
        )
    return pd.concat(parts, ignore_index=True)


def _counted(items: Iterable[T], total: int, told: Told) -> Iterator[T]:
    for done, item in enumerate(items, 1):
        told(done, total)
        yield item
