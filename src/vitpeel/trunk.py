"""The vision transformer written out: embed, a block a layer, readout (section 3.2, Equations 1 and 2).

Layer l is the output of block l, counted from 0: an InstructBLIP trunk has layers 0 to 38. Adapters in
`vitpeel.models` fill a `Trunk` from a checkpoint, whose parameters it shares without copying them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vitpeel.edits import UNEDITED, Edit


@dataclass(frozen=True)
class Linear:
    """x W^T + b.  weight: [out, in]; bias: [out] or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """x: [..., in] -> [..., out], in the precision of the weight."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True)
class Norm:
    """Layer norm.  weight, bias: [width]."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """x, returned: [..., width]."""
        return F.layer_norm(x.to(self.weight.dtype), self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Block:
    """The parameters of one block.  qkv gives query, key and value in this order, each width wide."""

    norm1: Norm
    qkv: Linear
    out: Linear
    norm2: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True)
class Trunk:
    """A pre-norm vision transformer.  Z^l, the stream after block l: [batch, tokens, width], CLS first.

    The matrices may be in half precision; what they give is added up in the precision of `positions`.
    """

    patches: Linear  # weight [width, 3, patch, patch]
    cls: Tensor  # [width]
    positions: Tensor  # [tokens, width]
    blocks: tuple[Block, ...]
    post: Norm
    heads: int
    activation: Callable[[Tensor], Tensor]
    pre: Norm | None = None  # before block 0, in CLIP

    @property
    def depth(self) -> int:
        """How many blocks, hence layers."""
        return len(self.blocks)

    @property
    def tokens(self) -> int:
        """CLS and the patches."""
        return self.positions.shape[0]

    @property
    def width(self) -> int:
        """Of the stream."""
        return self.positions.shape[1]

    def embed(self, pixels: Tensor) -> Tensor:
        """Pixels to the stream before block 0.  [batch, 3, height, width] -> [batch, tokens, width]."""
        weight = self.patches.weight
        patches = F.conv2d(pixels.to(weight), weight, self.patches.bias, stride=weight.shape[-2:])
        cls = self.cls.expand(len(pixels), 1, -1)
        z = torch.cat([cls, patches.flatten(2).transpose(1, 2)], dim=1) + self.positions
        return z if self.pre is None else self.pre(z)

    def block(self, layer: int, z: Tensor, edit: Edit = UNEDITED, msa: Tensor | None = None) -> Tensor:
        """Z^{l-1} -> Z^l, Equations 1 and 2.  z, returned: [batch, tokens, width].

        msa: the edited MSA^l, where it is known already; [batch or 1, tokens, width].
        """
        if msa is None:
            msa = self.edited_attention(layer, self.edited_heads(layer, z, edit), edit)
        z_hat = msa + edit.skip(layer, z)
        return self.mlp(layer, z_hat) + z_hat

    def attention(self, layer: int, z: Tensor, head_scale: Tensor | None = None) -> Tensor:
        """MSA^l with its norm, each head times its scale.

        z, returned: [batch, tokens, width]; head_scale: [heads].
        """
        heads = self._attend(layer, self.blocks[layer].norm1(z))
        return self._out(layer, _scaled(heads, head_scale))

    def edited_heads(self, layer: int, z: Tensor, edit: Edit) -> Tensor:
        """What each head of block `layer` gives under an edit, before W_O.

        z: [batch, tokens, width] -> [batch or 1, heads, tokens, width / heads], 1 where the edit lets MSA
        read the same for every picture.
        """
        x = self.blocks[layer].norm1(edit.attention_input(layer, z))
        heads = self._attend(layer, edit.normed_input(layer, x))
        return _scaled(heads, edit.head_scale(layer, self.heads))

    def edited_attention(self, layer: int, heads: Tensor, edit: Edit) -> Tensor:
        """MSA^l of what `edited_heads` gave.  [n, heads, tokens, width/heads] -> [n or 1, tokens, width]."""
        return edit.attention_output(layer, self._out(layer, heads))

    def each_head(self, layer: int, heads: Tensor) -> Tensor:
        """What each head adds to the stream, without the bias of W_O.

        [batch, heads, tokens, width / heads] -> [batch, heads, tokens, width]; summed over heads, and with
        the bias, this is MSA^l.
        """
        weight = self.blocks[layer].out.weight.view(self.width, self.heads, -1)
        return torch.einsum("bhti,dhi->bhtd", heads, weight)

    def mlp(self, layer: int, z_hat: Tensor) -> Tensor:
        """MLP^l with its layer norm.  z_hat, returned: [batch, tokens, width]."""
        block = self.blocks[layer]
        return block.down(self.activation(block.up(block.norm2(z_hat))))

    def cls_attention(self, layer: int, z: Tensor) -> Tensor:
        """Attention of CLS to every token in block `layer`: alpha_i^{l,h} of Equation 3.

        z: [batch, tokens, width], what MSA reads, unedited the stream before the block; returned: [batch,
        heads, tokens], each row sums to one.
        """
        query, key, _ = self._query_key_value(layer, self.blocks[layer].norm1(z))
        scores = query[:, :, :1] @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        weights: Tensor = scores.softmax(-1).squeeze(2)
        return weights

    def layers(self, pixels: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(l, Z^l) of every layer.  pixels: [batch, 3, height, width]; Z^l: [batch, tokens, width]."""
        z = self.embed(pixels)
        for layer in range(self.depth):
            z = self.block(layer, z)
            yield layer, z

    def inputs(self, pixels: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(l, Z^{l-1}), what block l reads, of every layer.  pixels: [batch, 3, height, width]."""
        z = self.embed(pixels)
        for layer in range(self.depth):
            yield layer, z
            if layer + 1 < self.depth:
                z = self.block(layer, z)

    def readout(self, z: Tensor) -> Tensor:
        """The norm after the last block, applied to any Z^l read.  z, returned: [batch, tokens, width]."""
        return self.post(z)

    def _attend(self, layer: int, x: Tensor) -> Tensor:
        """x, normed: [batch, tokens, width] -> each head's output, [batch, heads, tokens, width / heads]."""
        return F.scaled_dot_product_attention(*self._query_key_value(layer, x))

    def _out(self, layer: int, heads: Tensor) -> Tensor:
        """[batch, heads, tokens, width / heads] -> [batch, tokens, width]."""
        return self.blocks[layer].out(heads.transpose(1, 2).flatten(2))

    def _query_key_value(self, layer: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, normed: [batch, tokens, width] -> three times [batch, heads, tokens, width / heads]."""
        qkv = self.blocks[layer].qkv(x)
        query, key, value = qkv.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return query, key, value


def _scaled(heads: Tensor, scale: Tensor | None) -> Tensor:
    return heads if scale is None else heads * scale.to(heads)[:, None, None]
