"""Interventions as data: what a variant puts in the place of a term of Equations 1 and 2.

A block computes `z_hat = MSA(attention_input(z)) * head_scale + skip(z)`, then `MLP(z_hat) + z_hat`. An
edit replaces one or more of the three terms at some blocks and leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Edit:
    """The edit that changes nothing, and the base of those that do: override the terms that differ.

    Subclasses are frozen dataclasses. Blocks are numbered from 0, as in the paper.
    """

    def at(self, layer: int) -> Hashable:
        """What block `layer` does differently; None means untouched.

        Two variants share a block as long as these are equal for it and for every block before it.
        """
        return None

    def attention_input(self, layer: int, z: Tensor) -> Tensor:
        """What MSA reads instead of the stream, before its norm.  z, returned: [batch, tokens, width]."""
        return z

    def head_scale(self, layer: int) -> Tensor | None:
        """Factor of each head's output, [heads]; None leaves all heads as they are."""
        return None

    def skip(self, layer: int, z: Tensor) -> Tensor:
        """What the residual connection around MSA carries.  z, returned: [batch, tokens, width]."""
        return z


UNEDITED = Edit()
