"""Mean and second moment over pictures of what every head contributes to the embedding.

A head's contribution is its map times d_head + 3 coordinates (`vitpeel.clip.contributions`). The sums are
those of the coordinates: they are small (67 x 67 for a head of 64, whatever the width of the embedding), give
the moments of the contributions exactly, and show that these span at most d_head + 3 dimensions. They are
taken in float64 as pictures stream by, so neither batches nor shards change them beyond its rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vitpeel.clip.contributions import Features, coordinates
from vitpeel.clip.feature_files import layers_of
from vitpeel.errors import InputError
from vitpeel.provenance import Provenance
from vitpeel.tensors import open_tensors, write_tensors


@dataclass(frozen=True)
class HeadMoments:
    """Of one head's contributions, all float64.

    pictures: how many; total: the sum of their coordinates, [r]; products: of the outer products, [r, r];
    through: takes coordinates to the embedding, [embedding, r].
    """

    pictures: int
    total: Tensor
    products: Tensor
    through: Tensor

    @property
    def mean(self) -> Tensor:
        """Of the contributions.  [embedding]."""
        return self.through @ self.total / self.pictures

    @property
    def second(self) -> Tensor:
        """Mean outer product of the contributions, not centred.  [embedding, embedding]."""
        return self.through @ (self.products / self.pictures) @ self.through.T


@dataclass(frozen=True)
class Moments:
    """Running sums over pictures of the coordinates of every head of some layers, all float64.

    layers: their numbers; total: [layers, heads, r]; products: [layers, heads, r, r]; maps: [layers, heads,
    embedding, r], as `contributions.maps` gives them.
    """

    layers: tuple[int, ...]
    pictures: int
    total: Tensor
    products: Tensor
    maps: Tensor

    def __add__(self, other: Moments) -> Moments:
        """Over both sets of pictures.  Raises ValueError for other layers or another model's maps."""
        same = self.layers == other.layers and self.maps.shape == other.maps.shape
        # two machines may round a map differently
        if not same or not torch.allclose(self.maps, other.maps, rtol=1e-6, atol=1e-9):
            both = f"layers {self.layers} and of layers {other.layers}"
            raise ValueError(f"moments of {both} cannot be added: not the same heads")
        return Moments(
            self.layers,
            self.pictures + other.pictures,
            self.total + other.total,
            self.products + other.products,
            self.maps,
        )

    def head(self, layer: int, head: int) -> HeadMoments:
        """One head's.  Raises InputError where there were no pictures."""
        if not self.pictures:
            raise InputError("moments: there is not one picture to average over. Give the set some pictures.")
        at = self.layers.index(layer), head
        return HeadMoments(self.pictures, self.total[at], self.products[at], self.maps[at])


def sums(layers: Sequence[int], maps: Tensor, batches: Iterable[Features]) -> Moments:
    """Add up the coordinates of every batch.

    layers: whose heads are in the features; maps: theirs, float64; batches: from `contributions.features`, or
    from a file by `feature_files.stored`.
    """
    *shape, size = (*maps.shape[:2], maps.shape[-1])
    total = torch.zeros(*shape, size, dtype=torch.float64, device=maps.device)
    products = torch.zeros(*shape, size, size, dtype=torch.float64, device=maps.device)
    pictures = 0
    for found in batches:
        wide = coordinates(Features(found.heads, found.scalars.to(maps)))
        own = wide.permute(1, 2, 0, 3)  # [layers, heads, n, r]
        total += own.sum(2)
        products += own.transpose(2, 3) @ own
        pictures += len(found.heads)
    return Moments(tuple(layers), pictures, total, products, maps)


def save(path: Path, found: Moments, origin: Provenance) -> None:
    """Write the sums of a shard.  origin: of the features, which names their layers."""
    tensors = {"total": found.total, "products": found.products, "maps": found.maps}
    write_tensors(path, {**tensors, "pictures": torch.tensor([found.pictures])}, origin)


def load(shards: Sequence[Path], expect: Provenance | None = None) -> Moments:
    """The sums over all shards.  Raises ProvenanceError for a shard that `expect` did not make."""
    first, *others = [_load(path, expect) for path in shards]
    return sum(others, start=first)


def _load(path: Path, expect: Provenance | None) -> Moments:
    with open_tensors(path, expect, "pt") as file:
        return Moments(
            layers_of(path, file.provenance),
            int(file.rows("pictures")[0]),
            file.rows("total"),
            file.rows("products"),
            file.rows("maps"),
        )
