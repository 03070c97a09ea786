"""Many edited copies of one forward pass, every common prefix run once.

Variants form a tree: they share the blocks up to the first at which their edits differ. It is walked depth
first, so no more streams are held than there are branches open: one, for the unedited model.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitpeel.edits import UNEDITED, Edit

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.trunk import Trunk


@dataclass(frozen=True)
class Variant:
    """A named copy of the forward pass and the layers at which it is read."""

    name: str
    layers: tuple[int, ...]
    edit: Edit = UNEDITED


@dataclass(frozen=True)
class Reading:
    """Z^l of one variant, z: [batch, tokens, width]; head is set where one head was read alone."""

    variant: str
    layer: int
    head: int | None
    z: Tensor


def unedited(depth: int) -> Variant:
    """The model as it is, read at every layer."""
    return Variant("unedited", tuple(range(depth)))


def sweep(trunk: Trunk, pixels: Tensor, variants: Sequence[Variant]) -> Iterator[Reading]:
    """Read every variant at each of its layers.  pixels: [batch, 3, height, width].

    No block runs twice for the same state. Variants that still agree at a layer they both read get the very
    same tensor.
    """
    for variant in variants:
        outside = [layer for layer in variant.layers if not 0 <= layer < trunk.depth]
        if outside:
            raise ValueError(f"variant {variant.name}: layers {outside} are outside 0..{trunk.depth - 1}")
    open_branches = [(0, trunk.embed(pixels), [variant for variant in variants if variant.layers])]
    while open_branches:
        layer, before, together = open_branches.pop()
        for branch in _branches(layer, together):
            z = trunk.block(layer, before, branch[0].edit)
            yield from (
                Reading(variant.name, layer, None, z) for variant in branch if layer in variant.layers
            )
            deeper = [variant for variant in branch if max(variant.layers) > layer]
            if deeper:
                open_branches.append((layer + 1, z, deeper))


def _branches(layer: int, variants: Sequence[Variant]) -> list[list[Variant]]:
    """Variants grouped by what they do to block `layer`."""
    groups: dict[Hashable, list[Variant]] = {}
    for variant in variants:
        groups.setdefault(variant.edit.at(layer), []).append(variant)
    return list(groups.values())
