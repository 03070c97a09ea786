"""The direct contribution of every head to a picture's embedding (Gandelsman et al. 2024, section 3).

The embedding is e = P^T ln_post(z). What CLS holds after the last block, z, is the sum of K = 2 L + 1 terms:
CLS before block 0, and what MSA and MLP of each of the L blocks add to it. With the mean mu and the scale
sigma (with eps) of the picture's own z, ln_post is affine, so that a term x contributes

    P^T (w * (x - mu / K) / sigma + b / K) / |e|                          (w, b: weight and bias of ln_post)

to the unit embedding, and all contributions add up to it. MSA's term is the sum over its H heads of
W_O^h z_h + b_O / H, z_h being the CLS row of softmax(Q K^T) V; each head gets 1 / (K H) of mu and b. The
authors' PRSLogger divides the same constants in the same way: mu and b over K equal terms, then these and
b_O over heads (and tokens); a bias of W_O is no term of its own there, and none here.

So a head's contribution is linear in d_head + 3 numbers, its coordinates,

    z_h / (sigma |e|),  1 / (sigma |e|),  mu / (sigma |e|),  1 / |e|,

and its map, the same for all pictures, takes them to the embedding. What is kept of a picture is z_h, mu,
sigma and |e| (`Features`). Only the row of CLS is read: nothing of tokens x heads x width is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vitpeel.dataflow import sources
from vitpeel.edits import UNEDITED
from vitpeel.errors import VitpeelError

if TYPE_CHECKING:
    from vitpeel.models.openclip import Clip
    from vitpeel.trunk import Trunk

CONSTANTS = 3  # coordinates of a head beyond z_h
_CLS = 0


@dataclass(frozen=True)
class Terms:
    """What the unit embedding of each picture is the sum of.

    embedding: of the input, CLS before block 0, [n, embedding]; heads: [n, layers, heads, embedding]; mlps:
    [n, layers, embedding].
    """

    embedding: Tensor
    heads: Tensor
    mlps: Tensor

    @property
    def total(self) -> Tensor:
        """All of them added up: the unit embedding.  [n, embedding]."""
        return self.embedding + self.heads.sum((1, 2)) + self.mlps.sum(1)


@dataclass(frozen=True)
class Features:
    """What is kept of pictures, from which `expand` makes their heads' contributions.

    heads: z_h of some layers, [n, layers, heads, d_head]; scalars: mu, sigma and |e|, [n, 3], float32.
    """

    heads: Tensor
    scalars: Tensor


def last(trunk: Trunk, count: int) -> tuple[int, ...]:
    """Numbers of the last `count` layers.  Raises VitpeelError for a trunk with fewer."""
    if not 0 < count <= trunk.depth:
        raise VitpeelError(
            f"clip.layers: the last {count} layers are asked for, but the model has {trunk.depth}. "
            f"Set 1 to {trunk.depth}."
        )
    return tuple(range(trunk.depth - count, trunk.depth))


def terms(clip: Clip, pixels: Tensor) -> Terms:
    """Every term of the embedding.  pixels: [n, 3, height, width]."""
    trunk, embedding, heads, mlps = clip.trunk, torch.empty(0), [], []
    for layer, step in enumerate(_steps(trunk, pixels)):
        embedding = step.before[:, _CLS].clone() if layer == 0 else embedding
        own = trunk.each_head(layer, step.heads[:, :, None])[:, :, 0]  # [n, heads, width]
        heads.append(own + _bias(trunk, layer))
        mlps.append(step.mlp)
    scalars, whole = _scalars(clip, step.after), 1 / (2 * trunk.depth + 1)
    return Terms(
        _folded(clip, embedding, scalars, whole),
        torch.stack([_folded(clip, own, scalars, whole / trunk.heads) for own in heads], dim=1),
        _folded(clip, torch.stack(mlps, dim=1), scalars, whole),
    )


def features(clip: Clip, pixels: Tensor, layers: Sequence[int]) -> Features:
    """What is kept of pictures.  pixels: [n, 3, height, width]; layers: those whose heads are read."""
    heads: dict[int, Tensor] = {}
    for layer, step in enumerate(_steps(clip.trunk, pixels)):
        if layer in layers:
            heads[layer] = step.heads
    return Features(torch.stack([heads[layer] for layer in layers], dim=1), _scalars(clip, step.after))


def maps(clip: Clip, layers: Sequence[int]) -> Tensor:
    """The heads' maps from coordinates to the embedding.  [layers, heads, embedding, d_head + 3], float64."""
    trunk = clip.trunk
    weight, bias = trunk.post.weight.double(), trunk.post.bias.double()
    projection = clip.projection.double()
    share = 1 / ((2 * trunk.depth + 1) * trunk.heads)
    found = []
    for layer in layers:
        out = trunk.blocks[layer].out.weight.double().view(trunk.width, trunk.heads, -1)
        constants = torch.stack([weight * _bias(trunk, layer).double(), -share * weight, share * bias])
        folded = torch.einsum("dhi,d,de->hei", out, weight, projection)
        same = (constants @ projection).T.expand(trunk.heads, -1, -1)
        found.append(torch.cat([folded, same], dim=-1))
    return torch.stack(found)


def coordinates(found: Features) -> Tensor:
    """A head's coordinates.  -> [n, layers, heads, d_head + 3], in the precision of the scalars."""
    mean, scale, norm = (one[:, None, None, None] for one in found.scalars.unbind(-1))
    each = scale * norm
    constants = torch.cat([1 / each, mean / each, 1 / norm], dim=-1)
    heads = found.heads.to(constants) / each
    return torch.cat([heads, constants.expand(*heads.shape[:-1], -1)], dim=-1)


def expand(found: Features, through: Tensor) -> Tensor:
    """The heads' contributions.  through: their `maps` -> [n, layers, heads, embedding]."""
    own = coordinates(found)
    return torch.einsum("nlhr,lher->nlhe", own, through.to(own))


def token_contributions(clip: Clip, pixels: Tensor, layer: int, heads: int | Sequence[int]) -> Tensor:
    """What each token gives to the embedding through one head, or through several added up.

    pixels: [n, 3, height, width] -> [n, tokens, embedding], CLS first. A token's part of a head is the
    attention that CLS pays to it times W_O^h of its value, with the head's constants in equal parts: it is
    linear in tokens, and adds up over them to the head's contribution.
    """
    return tokens_of(clip, pixels, {layer: [heads] if isinstance(heads, int) else heads})


def tokens_of(clip: Clip, pixels: Tensor, heads: Mapping[int, Sequence[int]]) -> Tensor:
    """As `token_contributions`, added up over heads of any layers.  heads: {layer: heads}."""
    trunk, found = clip.trunk, pixels.new_zeros((), dtype=clip.projection.dtype)
    count = sum(len(some) for some in heads.values())
    for layer, step in enumerate(_steps(trunk, pixels)):
        for head in heads.get(layer, ()):
            given = sources(trunk, layer, step.before, head)  # [n, tokens, width]
            found = found + given + _bias(trunk, layer) / trunk.tokens
    share = count / ((2 * trunk.depth + 1) * trunk.heads * trunk.tokens)
    return _folded(clip, found, _scalars(clip, step.after), share)


@dataclass(frozen=True)
class _Step:
    """One block: the stream before it, z_h, what MLP adds to CLS, and CLS after it."""

    before: Tensor  # [n, tokens, width]
    heads: Tensor  # [n, heads, d_head]
    mlp: Tensor  # [n, width]
    after: Tensor  # [n, width]


def _steps(trunk: Trunk, pixels: Tensor) -> Iterator[_Step]:
    """Every block.  pixels: [n, 3, height, width]."""
    z = trunk.embed(pixels)
    for layer in range(trunk.depth):
        before, heads = z, trunk.edited_heads(layer, z, UNEDITED)
        # all tokens in the last block too: products of few rows are rounded by how many there are
        z = z + trunk.edited_attention(layer, heads, UNEDITED)
        mlp = trunk.mlp(layer, z)
        z = z + mlp
        # copies: a view would keep the rows of all tokens
        yield _Step(before, heads[:, :, _CLS].clone(), mlp[:, _CLS].clone(), z[:, _CLS].clone())


def _bias(trunk: Trunk, layer: int) -> Tensor:
    """One head's part of the bias of W_O.  [width]."""
    bias = trunk.blocks[layer].out.bias
    return trunk.cls.new_zeros(trunk.width) if bias is None else bias / trunk.heads


def _scalars(clip: Clip, z: Tensor) -> Tensor:
    """mu, sigma and |e| of what CLS holds at the end, computed in float64.  [n, width] -> [n, 3], float32."""
    post, wide = clip.trunk.post, z.double()
    mean = wide.mean(-1)
    scale = (wide.var(-1, correction=0) + post.eps).sqrt()
    normed = (wide - mean[:, None]) / scale[:, None] * post.weight.double() + post.bias.double()
    return torch.stack([mean, scale, (normed @ clip.projection.double()).norm(dim=-1)], dim=-1).float()


def _folded(clip: Clip, x: Tensor, scalars: Tensor, share: float) -> Tensor:
    """What a term contributes.  x: [n, ..., width]; share: its part of mu and b -> [n, ..., embedding]."""
    post = clip.trunk.post
    mean, scale, norm = (one.view(-1, *[1] * (x.dim() - 1)) for one in scalars.unbind(-1))
    folded = post.weight * (x - share * mean) / scale + share * post.bias
    return folded @ clip.projection / norm
