"""The data-flow perspective (section 3.3): what the update Z^l - Z^{l-1} of a token is the sum of, exactly.

Equations 3 to 6 as printed leave out the layer norm, the output projection and the biases, without which
the terms do not add up to the update. Here the contribution of head h to token j in layer l is

    sum over i of  alpha_{i,j}^{l,h} (norm1(z_i^{l-1}) W_V^{l,h} + b_V^{l,h}) W_O^{l,h},

the bias of the output projection is a component of its own, and the MLP's term holds both of its biases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vitpeel import heatmaps
from vitpeel.activations import pixels_of
from vitpeel.errors import VitpeelError
from vitpeel.logs import progress
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors
from vitpeel.trunk import Linear, Trunk

if TYPE_CHECKING:
    from vitpeel.datasets.pictures import Picture
    from vitpeel.models import Model
    from vitpeel.provenance import Provenance

CLS = 0
Bias = Literal["component", "heads"]
_QUERY, _KEY, _VALUE = range(3)
_COLUMNS = ["image_id", "layer", "component", "norm", "share", "cosine"]


@dataclass(frozen=True)
class Contributions:
    """The terms of Equation 6 for one token in one layer; they sum to its update.

    heads: [batch, heads, width]; mlp: [batch, width]; bias: [width], of the output projection, or None
    where there is none or the heads have shared it out.
    """

    heads: Tensor
    mlp: Tensor
    bias: Tensor | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the components: "head 0" and so on, "mlp", "bias"."""
        heads = [f"head {number}" for number in range(self.heads.shape[1])]
        return (*heads, "mlp", *(() if self.bias is None else ("bias",)))

    @property
    def components(self) -> Tensor:
        """All of them, in the order of `names`.  [batch, components, width]."""
        parts = [self.heads, self.mlp[:, None]]
        if self.bias is not None:
            parts.append(self.bias.expand(len(self.mlp), 1, -1))
        return torch.cat(parts, dim=1)


def contributions(
    trunk: Trunk, layer: int, z: Tensor, token: int = CLS, bias: Bias = "component"
) -> Contributions:
    """Equation 5 (CLS) and 6 (any token): heads, MLP and bias of block `layer`.

    z: Z^{l-1}, [batch, tokens, width]. bias: the output projection's bias is a component of its own, or is
    split over the "heads" in equal parts.
    """
    out = trunk.blocks[layer].out
    weights = attention(trunk, layer, z, token)  # [batch, heads, 1, tokens]
    mixed = (weights @ _project(trunk, layer, z, _VALUE)).squeeze(2)  # [batch, heads, width / heads]
    # the mixed values go through W_O, never each token's: tokens x heads x width would not fit
    heads = torch.einsum("bhk,dhk->bhd", mixed, out.weight.view(trunk.width, trunk.heads, -1))
    own = out.bias
    if own is not None and bias == "heads":
        heads, own = heads + own / trunk.heads, None
    z_hat = z[:, token] + heads.sum(1) + (0 if own is None else own)
    return Contributions(heads, trunk.mlp(layer, z_hat), own)


def sources(trunk: Trunk, layer: int, z: Tensor, head: int, token: int = CLS) -> Tensor:
    """x_i^{l,h} of Equation 3 for one head: what each token i gives to `token`.

    z: Z^{l-1}, [batch, tokens, width]; returned: [batch, tokens, width], whose sum over tokens is the
    head's contribution.
    """
    weights = attention(trunk, layer, z, token)[:, head, 0]
    value = _project(trunk, layer, z, _VALUE)[:, head]
    out = trunk.blocks[layer].out.weight.view(trunk.width, trunk.heads, -1)[:, head]
    given: Tensor = weights[..., None] * value @ out.T
    return given


def attention(trunk: Trunk, layer: int, z: Tensor, token: int | None = None) -> Tensor:
    """alpha_{i,j}^{l,h} of Equation 6: how much token j attends to token i.

    z: Z^{l-1}, [batch, tokens, width]; token: this j only; None: all. Returned: [batch, heads, j, i], each
    row sums to one.
    """
    reader = z if token is None else z[:, token, None]
    query, key = _project(trunk, layer, reader, _QUERY), _project(trunk, layer, z, _KEY)
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    weights: Tensor = scores.softmax(-1)
    return weights


def table(
    trunk: Trunk,
    image_ids: Sequence[str],
    streams: Iterable[tuple[int, Tensor]],
    token: int = CLS,
    bias: Bias = "component",
) -> pd.DataFrame:
    """Return a `dataflow` table: every component of every picture and layer.

    streams: (l, Z^{l-1} [pictures, tokens, width]), from `Trunk.inputs` or from the residuals on disk.
    norm: the component's length. cosine: with the update. share: the part of the update that the component
    makes, its projection on the update over the update's length: a layer's shares sum to one, and one below
    zero works against the others. Where nothing is updated, cosine and share are 0.
    """
    parts = []
    for layer, z in streams:
        # one by one, because sums over a batch are rounded differently when it falls differently
        found = [contributions(trunk, layer, own[None], token, bias) for own in z]
        components = torch.cat([own.components for own in found]).double()
        update = components.sum(1, keepdim=True)
        norm, length = components.norm(dim=-1), update.norm(dim=-1)
        along = (components * update).sum(-1) / length.where(length > 0, 1)
        cosine = along / norm.where(norm > 0, 1)
        index = pd.MultiIndex.from_product([image_ids, found[0].names], names=["image_id", "component"])
        values = {
            "norm": norm,
            "share": along / length.where(length > 0, 1),
            "cosine": cosine.clamp(-1, 1),
        }
        flat = {name: value.flatten().cpu().numpy() for name, value in values.items()}
        parts.append(pd.DataFrame(flat, index=index).reset_index().assign(layer=layer))
    rows = pd.concat(parts, ignore_index=True).astype({"layer": "int16"})
    return rows[_COLUMNS]


def decompose(
    model: Model,
    pictures: Sequence[Picture],
    residuals: Path | None,
    rollout: Path | None,
    origin: Provenance,
    batch: int,
    token: int = CLS,
    bias: Bias = "component",
) -> pd.DataFrame:
    """Return the `dataflow` table of these pictures, `batch` of them at a time.

    residuals: their cached stream; None: new forward passes, with the same result. rollout: gets "rollout"
    [N, L, T] float32, how much of each token's input reaches CLS after every layer; None: not computed.
    origin: what made the residuals, and makes the rollout. Raises VitpeelError for a token that the model
    does not have.
    """
    trunk = model.trunk
    if not 0 <= token < trunk.tokens:
        raise VitpeelError(
            f"perspectives.token: {token} is none of the model's tokens 0-{trunk.tokens - 1}. "
            "Set 0 for CLS, or a patch, counted from 1 row by row."
        )
    image_ids, parts = [picture.image_id for picture in pictures], []
    spec = TensorSpec((len(pictures), trunk.depth, trunk.tokens), "float32")
    with ExitStack() as stack, torch.inference_mode():
        rolled = None if rollout is None else TensorWriter(rollout, {"rollout": spec}, origin, image_ids)
        if rolled is not None:
            stack.enter_context(rolled)
        starts = range(0, len(pictures), batch)
        for start in progress(starts, len(starts), "batches of pictures"):
            some = pictures[start : start + batch]
            if residuals is None:
                streams = trunk.inputs(pixels_of(model, some))
            else:
                streams = _cached(residuals, origin, start, start + batch, trunk)
            held = list(streams) if rolled is not None else streams
            parts.append(table(trunk, image_ids[start : start + batch], held, token, bias))
            if rolled is not None:
                looks = (attention(trunk, layer, z).float().cpu().numpy() for layer, z in held)
                rolled.append("rollout", np.stack(list(heatmaps.rollout(looks)), axis=1))
    if not parts:
        return pd.DataFrame(columns=_COLUMNS)
    rows = pd.concat(parts, ignore_index=True)
    place = rows["image_id"].map({image_id: at for at, image_id in enumerate(image_ids)})
    order = rows.assign(place=place).sort_values(["place", "layer"], kind="stable").index
    return rows.loc[order].reset_index(drop=True)  # by picture, whatever the batch


def _cached(
    residuals: Path, expect: Provenance, start: int, stop: int, trunk: Trunk
) -> Iterator[tuple[int, Tensor]]:
    """(l, Z^{l-1}) of every layer of these rows of a residuals file, on the model's device."""
    with open_tensors(residuals, expect, "pt") as file:
        stream = file.rows("residuals", start, stop)
    for layer in range(trunk.depth):
        yield layer, stream[:, layer].to(trunk.positions)


def _project(trunk: Trunk, layer: int, z: Tensor, part: int) -> Tensor:
    """Query, key or value of the normed stream.  [batch, tokens, width] -> [batch, heads, tokens, width /
    heads]."""
    block = trunk.blocks[layer]
    bias = None if block.qkv.bias is None else block.qkv.bias.chunk(3)[part]
    projected = Linear(block.qkv.weight.chunk(3)[part], bias)(block.norm1(z))
    return projected.view(*z.shape[:2], trunk.heads, -1).transpose(1, 2)
