"""Means over pictures of what the attention of every block reads or gives (section 4.2), per position.

They are summed in float64 as pictures stream by, so they do not depend on batches, order or shards beyond
float64 rounding. Shards are files of sums, added up when they are loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vitpeel.edits import UNEDITED
from vitpeel.errors import InputError
from vitpeel.provenance import Provenance
from vitpeel.tensors import TensorFile, open_tensors, write_tensors
from vitpeel.trunk import Trunk

# input: the stream before the block's first norm; normed: after it; output: of MSA, as it is added.
Place = Literal["input", "normed", "output"]
# A mean of its own for every position, or one for all of them.
Vector = Literal["per position", "one"]


@dataclass(frozen=True, eq=False)
class Means:
    """The mean at one place of every block, of so many pictures.  values: [layers, tokens, width], float64.

    Means are equal only to themselves: variants made with the same object share blocks.
    """

    place: Place
    values: Tensor
    pictures: int

    def at(self, layer: int, like: Tensor) -> Tensor:
        """Block `layer`'s mean, [1, tokens, width], in the precision and on the device of `like`."""
        return self.values[layer].to(like).unsqueeze(0)

    def one_vector(self) -> Means:
        """The mean over positions, too, in every position."""
        return Means(self.place, self.values.mean(1, keepdim=True).expand_as(self.values), self.pictures)


@dataclass(frozen=True)
class Sums:
    """Running sums over pictures.  totals: place -> [layers, tokens, width], float64."""

    pictures: int
    totals: dict[Place, Tensor]

    def __add__(self, other: Sums) -> Sums:
        """The sums over both sets of pictures, at the places that both have."""
        if self.totals.keys() != other.totals.keys():
            raise ValueError(f"sums of {sorted(self.totals)} and of {sorted(other.totals)} cannot be added")
        totals = {place: total + other.totals[place] for place, total in self.totals.items()}
        return Sums(self.pictures + other.pictures, totals)

    def mean(self, place: Place) -> Means:
        """The mean of one place.  Raises InputError where there were no pictures."""
        if not self.pictures:
            raise InputError("means: there is not one picture to average over. Give the set some pictures.")
        return Means(place, self.totals[place] / self.pictures, self.pictures)


def sums(trunk: Trunk, inputs: Iterable[tuple[int, Tensor]], places: Sequence[Place] = ("input",)) -> Sums:
    """Add up, place by place, what comes before each block.

    inputs: (l, real input of block l, [batch, tokens, width]) of every block for every batch, as
    `fresh_inputs` and `cached_inputs` give them. Places other than "input" take the trunk's own attention.
    """
    shape = (trunk.depth, trunk.tokens, trunk.width)
    totals = {place: torch.zeros(shape, dtype=torch.float64) for place in places}
    pictures = 0
    for layer, z in inputs:
        pictures += len(z) if layer == 0 else 0
        for place, total in totals.items():
            total[layer] += _seen(trunk, layer, z, place).double().sum(0).cpu()
    return Sums(pictures, totals)


def fresh_inputs(trunk: Trunk, batches: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """(l, input of block l [batch, tokens, width]) from pixels [batch, 3, height, width]."""
    for pixels in batches:
        yield from trunk.inputs(pixels)


def cached_inputs(
    residuals: Path, trunk: Trunk, expect: Provenance | None, batch: int, keep: Collection[str] | None = None
) -> Iterator[tuple[int, Tensor]]:
    """As `fresh_inputs`, from a residuals file [N, L+1, T, d].

    expect: what must have made the file. batch: pictures at a time. keep: the pictures to average over; all
    if None.
    """
    with open_tensors(residuals, expect, "pt") as file:
        chosen = [row for row, name in enumerate(file.image_ids) if keep is None or name in keep]
        for start in range(0, len(chosen), batch):
            rows = [file.rows("residuals", row, row + 1) for row in chosen[start : start + batch]]
            stream = torch.cat(rows).to(trunk.positions)
            for layer in range(trunk.depth):
                yield layer, stream[:, layer]


def _seen(trunk: Trunk, layer: int, z: Tensor, place: Place) -> Tensor:
    match place:
        case "input":
            return z
        case "normed":
            return trunk.blocks[layer].norm1(z)
        case "output":
            return trunk.edited_attention(layer, trunk.edited_heads(layer, z, UNEDITED), UNEDITED)


def save(path: Path, found: Sums, origin: Provenance) -> None:
    """Write the sums of a shard: a tensor for each place, and the number of pictures."""
    tensors: dict[str, Tensor] = {place: total for place, total in found.totals.items()}
    write_tensors(path, {**tensors, "pictures": torch.tensor([found.pictures])}, origin)


def load(shards: Sequence[Path], place: Place, expect: Provenance | None = None) -> Means:
    """The mean over all shards.

    Raises ProvenanceError for a shard that `expect` did not make, InputError where one holds no such place
    or there is no picture in any.
    """
    pictures, total = 0, torch.zeros((), dtype=torch.float64)
    for path in shards:
        with open_tensors(path, expect, "pt") as file:
            pictures += _pictures(file)
            total = total + file.rows(place)
    return Sums(pictures, {place: total}).mean(place)


def _pictures(file: TensorFile) -> int:
    return int(file.rows("pictures")[0])
