"""Interventions as data: what a variant puts in the place of a term of Equations 1 and 2.

With LN the norm before the attention and `heads` each head's output before W_O, an edited block computes

    Z_hat = attention_output(W_O heads(normed_input(LN(attention_input(Z))))) + skip(Z)      (Equation 1)
    Z     = MLP(Z_hat) + Z_hat                                                               (Equation 2)

from the Z of the block before. An edit replaces some of these terms at some blocks and leaves the others as
they are; an edit of the picture itself is in `vitpeel.picture_edits`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.means import Means

PICTURE = -1  # the place of an edit of the picture, where blocks have their number


class Edit:
    """The edit that changes nothing, and the base of those that do: override the terms that differ.

    Subclasses are frozen dataclasses. Blocks are numbered from 0, as in the paper.
    """

    def at(self, layer: int) -> Hashable:
        """What block `layer` does differently; None means untouched.

        Two variants share a block as long as these are equal for it and for every block before it, and
        before the blocks at `PICTURE`.
        """
        return None

    def attention_at(self, layer: int) -> Hashable:
        """As `at`, of MSA alone: two variants share a block's attention where these are equal."""
        return self.at(layer)

    def fixes_attention(self, layer: int) -> bool:
        """Whether MSA of block `layer` gives the same for every picture; it is computed once then."""
        return False

    def picture(self, pixels: Tensor) -> Tensor:
        """What the model looks at.  pixels, returned: [batch, 3, height, width], preprocessed."""
        return pixels

    def attention_input(self, layer: int, z: Tensor) -> Tensor:
        """What MSA reads instead of the stream, before its norm.  z: [batch, tokens, width]; returned: the
        same, or one picture's, [1, tokens, width], for all."""
        return z

    def normed_input(self, layer: int, x: Tensor) -> Tensor:
        """What the heads read instead of the normed stream.  Shapes as `attention_input`."""
        return x

    def head_scale(self, layer: int, heads: int) -> Tensor | None:
        """Factor of each head's output, [heads]; None leaves all heads as they are."""
        return None

    def attention_output(self, layer: int, msa: Tensor) -> Tensor:
        """What MSA adds to the stream.  Shapes as `attention_input`."""
        return msa

    def skip(self, layer: int, z: Tensor) -> Tensor:
        """What the residual connection around MSA carries.  Shapes as `attention_input`."""
        return z


UNEDITED = Edit()


@dataclass(frozen=True)
class _OfMeans(Edit):
    """At each of `layers`, means take the place of what the picture gives.

    means: of every block, [layers, tokens, width].
    """

    layers: frozenset[int]
    means: Means

    def at(self, layer: int) -> Hashable:
        return (type(self), self.means) if layer in self.layers else None

    def fixes_attention(self, layer: int) -> bool:
        return layer in self.layers

    def _mean_or(self, layer: int, real: Tensor) -> Tensor:
        return self.means.at(layer, real) if layer in self.layers else real


class AverageAttentionInput(_OfMeans):
    """MSA reads the mean stream before its norm; the skip stays real (section 4.2, Figure 2)."""

    def attention_input(self, layer: int, z: Tensor) -> Tensor:
        """LN reads the mean."""
        return self._mean_or(layer, z)


class AverageNormedInput(_OfMeans):
    """MSA reads the mean of the normed streams; the skip stays real."""

    def normed_input(self, layer: int, x: Tensor) -> Tensor:
        """The mean stands in for LN(Z)."""
        return self._mean_or(layer, x)


class AverageAttentionOutput(_OfMeans):
    """MSA adds its mean output to the real skip."""

    def attention_output(self, layer: int, msa: Tensor) -> Tensor:
        """The mean stands in for MSA(Z)."""
        return self._mean_or(layer, msa)


class ReplaceSkip(_OfMeans):
    """Confusion (section 4.2): the residual connection carries the mean stream, MSA reads the real one."""

    def attention_at(self, layer: int) -> Hashable:
        """Untouched."""
        return None

    def fixes_attention(self, layer: int) -> bool:
        """It reads the picture."""
        return False

    def skip(self, layer: int, z: Tensor) -> Tensor:
        """The mean stands in for Z."""
        return self._mean_or(layer, z)


class ReplaceResidual(_OfMeans):
    """The whole stream before the block is the mean one: nothing of the picture is left."""

    def attention_input(self, layer: int, z: Tensor) -> Tensor:
        """LN reads the mean."""
        return self._mean_or(layer, z)

    def skip(self, layer: int, z: Tensor) -> Tensor:
        """The mean stands in for Z."""
        return self._mean_or(layer, z)


class _OfHeads(Edit):
    """Each head's output times a factor, at some layers."""

    def factors(self, layer: int, heads: int) -> Mapping[int, float]:
        """Head -> factor, of the heads that are not left as they are."""
        raise NotImplementedError

    def head_scale(self, layer: int, heads: int) -> Tensor | None:
        if self.at(layer) is None:
            return None
        import torch  # here: lists of variants are made without it

        scale = torch.ones(heads)
        for head, factor in self.factors(layer, heads).items():
            if not 0 <= head < heads:
                raise ValueError(f"layer {layer}: no head {head}, the heads are 0 to {heads - 1}")
            scale[head] = factor
        return scale


@dataclass(frozen=True)
class ScaleHeads(_OfHeads):
    """{layer: {head: factor}}: each head's output times its factor, before W_O and its bias."""

    scales: Mapping[int, Mapping[int, float]]

    def __post_init__(self) -> None:
        frozen = {layer: MappingProxyType(dict(heads)) for layer, heads in self.scales.items()}
        object.__setattr__(self, "scales", MappingProxyType(frozen))

    def __hash__(self) -> int:
        return hash(frozenset(self.scales))

    def at(self, layer: int) -> Hashable:
        """The heads whose factor is not one."""
        changed = frozenset((head, by) for head, by in self.scales.get(layer, {}).items() if by != 1)
        return (ScaleHeads, changed) if changed else None

    def factors(self, layer: int, heads: int) -> Mapping[int, float]:
        """As given."""
        return self.scales[layer]


@dataclass(frozen=True)
class _HeadSets(_OfHeads):
    heads: Mapping[int, Collection[int]]

    def __post_init__(self) -> None:
        frozen = {layer: frozenset(heads) for layer, heads in self.heads.items()}
        object.__setattr__(self, "heads", MappingProxyType(frozen))

    def __hash__(self) -> int:
        return hash(frozenset(self.heads.items()))


class MaskHeads(_HeadSets):
    """{layer: heads}: these heads add nothing (appendix D)."""

    def at(self, layer: int) -> Hashable:
        """The masked heads."""
        masked = self.heads.get(layer)
        return (ScaleHeads, frozenset((head, 0.0) for head in masked)) if masked else None

    def factors(self, layer: int, heads: int) -> Mapping[int, float]:
        """0 for the masked."""
        return dict.fromkeys(self.heads[layer], 0.0)


class IsolateHeads(_HeadSets):
    """{layer: heads}: at these layers only these heads are left (section 4.4).

    To read every head of a layer alone let the variant read heads, which is one pass for all of them.
    """

    def at(self, layer: int) -> Hashable:
        """The heads left."""
        return (IsolateHeads, self.heads[layer]) if layer in self.heads else None

    def factors(self, layer: int, heads: int) -> Mapping[int, float]:
        """1 for the heads left, 0 for the others."""
        kept = self.heads[layer]
        return {head: float(head in kept) for head in {*range(heads), *kept}}


@dataclass(frozen=True)
class Combined(Edit):
    """Several edits together; where two replace the same term, the later has the last word."""

    edits: tuple[Edit, ...]

    def at(self, layer: int) -> Hashable:
        """All that any edit does."""
        return _together([edit.at(layer) for edit in self.edits])

    def attention_at(self, layer: int) -> Hashable:
        """All that any edit does to MSA."""
        return _together([edit.attention_at(layer) for edit in self.edits])

    def fixes_attention(self, layer: int) -> bool:
        """Where any edit does: those after it see no picture, those before are overruled."""
        return any(edit.fixes_attention(layer) for edit in self.edits)

    def picture(self, pixels: Tensor) -> Tensor:
        """One edit after the other."""
        return reduce(lambda seen, edit: edit.picture(seen), self.edits, pixels)

    def attention_input(self, layer: int, z: Tensor) -> Tensor:
        """One edit after the other."""
        return reduce(lambda term, edit: edit.attention_input(layer, term), self.edits, z)

    def normed_input(self, layer: int, x: Tensor) -> Tensor:
        """One edit after the other."""
        return reduce(lambda term, edit: edit.normed_input(layer, term), self.edits, x)

    def head_scale(self, layer: int, heads: int) -> Tensor | None:
        """The product of the factors."""
        scales = [scale for edit in self.edits if (scale := edit.head_scale(layer, heads)) is not None]
        return reduce(lambda product, scale: product * scale, scales) if scales else None

    def attention_output(self, layer: int, msa: Tensor) -> Tensor:
        """One edit after the other."""
        return reduce(lambda term, edit: edit.attention_output(layer, term), self.edits, msa)

    def skip(self, layer: int, z: Tensor) -> Tensor:
        """One edit after the other."""
        return reduce(lambda term, edit: edit.skip(layer, term), self.edits, z)


def _together(parts: Sequence[Hashable]) -> Hashable:
    """One key for several edits, which is the edit's own where only one does something."""
    active = tuple(part for part in parts if part is not None)
    return active[0] if len(active) == 1 else active or None
