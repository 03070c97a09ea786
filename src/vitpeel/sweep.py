"""Many edited copies of one forward pass, every common prefix run once.

Variants form a tree: they share the blocks up to the first at which their edits differ, and where they part
in the skip alone they still share that block's attention. The tree is walked depth first, the smaller
branches first, so no more streams are held than there are branches open: one, for the unedited model.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vitpeel.edits import PICTURE, UNEDITED, Edit

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.trunk import Trunk

# One head h of block l, read instead of the whole layer, with MSA_h the attention that h alone leaves:
# alone: Z^{l-1} + MSA_h, then the MLP; left out: as alone, of all heads but h; bare: MSA_h itself.
HeadReading = Literal["alone", "left out", "bare"]


@dataclass(frozen=True)
class Variant:
    """A named copy of the forward pass and the layers at which it is read.

    heads: read every head of these layers by itself, in this way, and not the whole layer.
    """

    name: str
    layers: tuple[int, ...]
    edit: Edit = UNEDITED
    heads: HeadReading | None = None


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
    same tensor. For many batches make one `Sweep`.
    """
    return Sweep(trunk, tuple(variants))(pixels)


@dataclass(frozen=True)
class Sweep:
    """Variants of a trunk, to be read from any number of batches.

    An MSA that an edit makes the same for every picture is computed once and kept.
    """

    trunk: Trunk
    variants: tuple[Variant, ...]
    _fixed: dict[Hashable, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self.variants, self.trunk.depth)

    def __call__(self, pixels: Tensor) -> Iterator[Reading]:
        """Read every variant at each of its layers.  pixels: [batch, 3, height, width]."""
        for branch in reversed(_branches(PICTURE, [variant for variant in self.variants if variant.layers])):
            yield from self._walk(self.trunk.embed(branch[0].edit.picture(pixels)), branch)

    def _walk(self, embedded: Tensor, variants: list[Variant]) -> Iterator[Reading]:
        open_branches = [(0, embedded, variants)]
        while open_branches:
            layer, before, together = open_branches.pop()
            attended: dict[Hashable, tuple[Tensor, Tensor]] = {}
            for branch in _branches(layer, together):
                edit = branch[0].edit
                key = edit.attention_at(layer)
                if key not in attended:
                    attended[key] = self._attention(layer, before, edit)
                heads, msa = attended[key]
                for how, readers in _head_readers(layer, branch).items():
                    single = self._single_heads(layer, before, heads, msa, edit, how)
                    for reader in readers:
                        for head in range(self.trunk.heads):
                            yield Reading(reader.name, layer, head, _of_all(single[:, head], embedded))
                if not _needs_block(layer, branch):
                    continue
                z = self.trunk.block(layer, before, edit, msa)
                for variant in branch:
                    if variant.heads is None and layer in variant.layers:
                        yield Reading(variant.name, layer, None, _of_all(z, embedded))
                deeper = [variant for variant in branch if max(variant.layers) > layer]
                if deeper:
                    open_branches.append((layer + 1, z, deeper))

    def _attention(self, layer: int, before: Tensor, edit: Edit) -> tuple[Tensor, Tensor]:
        """Each head's output [n, heads, tokens, width / heads] and MSA^l [n, tokens, width]."""
        fixed = edit.fixes_attention(layer)
        place = (layer, edit.attention_at(layer))
        if fixed and place in self._fixed:
            return self._fixed[place]
        heads = self.trunk.edited_heads(layer, before[:1] if fixed else before, edit)
        made = heads, self.trunk.edited_attention(layer, heads, edit)
        if fixed and len(before):
            self._fixed[place] = made
        return made

    def _single_heads(
        self, layer: int, before: Tensor, heads: Tensor, msa: Tensor, edit: Edit, how: HeadReading
    ) -> Tensor:
        """Z^l of every head by itself, from one MLP pass.  Returned: [batch or 1, heads, tokens, width]."""
        own = self.trunk.each_head(layer, heads)
        bias = self.trunk.blocks[layer].out.bias
        if how == "left out":
            own = msa[:, None] - own
        elif bias is not None:
            own = own + bias
        if how == "bare":
            return own
        z_hat = own + edit.skip(layer, before)[:, None]
        return self.trunk.mlp(layer, z_hat) + z_hat


@dataclass(frozen=True)
class Cost:
    """What a sweep runs for each batch, in passes of a whole batch through a part of a block.

    attentions, mlps: of the sweep, a fixed attention not counted. blocks: mlps without those of single
    heads. naive_blocks: of the loop that runs every variant, and every head, from the picture on.
    """

    blocks: int
    attentions: int
    mlps: int
    naive_blocks: int

    @property
    def share(self) -> float:
        """Blocks run to blocks that the naive loop runs; a single head's MLP pass counts as a block."""
        return self.mlps / self.naive_blocks


def cost(variants: Sequence[Variant], depth: int, heads: int) -> Cost:
    """Plan a sweep over a trunk of this many blocks and heads, without running it."""
    _check(variants, depth)
    blocks = attentions = single = 0
    open_branches = [
        (0, branch) for branch in _branches(PICTURE, [variant for variant in variants if variant.layers])
    ]
    while open_branches:
        layer, together = open_branches.pop()
        branches = _branches(layer, together)
        edits = {branch[0].edit.attention_at(layer): branch[0].edit for branch in branches}
        attentions += sum(not edit.fixes_attention(layer) for edit in edits.values())
        for branch in branches:
            blocks += _needs_block(layer, branch)
            single += heads * sum(how != "bare" for how in _head_readers(layer, branch))
            if deeper := [variant for variant in branch if max(variant.layers) > layer]:
                open_branches.append((layer + 1, deeper))
    naive = sum(
        max(v.layers, default=PICTURE) + 1
        if v.heads is None
        else heads * sum(layer + 1 for layer in set(v.layers))
        for v in variants
    )
    return Cost(blocks, attentions, blocks + single, naive)


def _check(variants: Sequence[Variant], depth: int) -> None:
    for variant in variants:
        outside = [layer for layer in variant.layers if not 0 <= layer < depth]
        if outside:
            raise ValueError(f"variant {variant.name}: layers {outside} are outside 0..{depth - 1}")


def _branches(layer: int, variants: Sequence[Variant]) -> list[list[Variant]]:
    """Variants grouped by what they do to block `layer`, the largest group first."""
    groups: dict[Hashable, list[Variant]] = {}
    for variant in variants:
        groups.setdefault(variant.edit.at(layer), []).append(variant)
    return sorted(groups.values(), key=len, reverse=True)


def _head_readers(layer: int, branch: Sequence[Variant]) -> dict[HeadReading, list[Variant]]:
    readers: dict[HeadReading, list[Variant]] = {}
    for variant in branch:
        if variant.heads is not None and layer in variant.layers:
            readers.setdefault(variant.heads, []).append(variant)
    return readers


def _needs_block(layer: int, branch: Sequence[Variant]) -> bool:
    """Whether the whole layer is read here, or a deeper one by any variant."""
    return any(
        max(variant.layers) > layer or (variant.heads is None and layer in variant.layers)
        for variant in branch
    )


def _of_all(z: Tensor, batch: Tensor) -> Tensor:
    """One picture's stream that stands for all of a batch.  z: [batch or 1, ...] -> [batch, ...]."""
    return z if len(z) == len(batch) else z.expand_as(batch)
