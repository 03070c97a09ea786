"""T5 written out for decoding: the encoder once a row, then steps for all beams of all rows together.

Follows transformers' `T5ForConditionalGeneration` term by term and shares its parameters. What it adds is a
cache that fits beam search: keys and values of a step stay where they were written, and a beam is told
which of them are its own ancestors' (`ancestors`), so nothing is copied when beams change places; the
cross-attention's keys and values exist once a row.

Shapes: R rows, B beams, S source tokens, T steps of the cache, H heads, D = d_kv, V words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Attention:
    """qkv: [(1 or 3) * H * D, d_model], for cross-attention the query alone; out: [d_model, H * D]."""

    norm: Tensor
    qkv: Tensor
    out: Tensor


@dataclass(frozen=True)
class FeedForward:
    """up: [d_ff, d_model], twice as many rows (gate, then value) when gated; down: [d_model, d_ff]."""

    norm: Tensor
    up: Tensor
    down: Tensor


@dataclass(frozen=True)
class EncoderBlock:
    """Self-attention, then the feed-forward layer."""

    self_attention: Attention
    feed_forward: FeedForward


@dataclass(frozen=True)
class DecoderBlock:
    """Self-attention, cross-attention and the feed-forward layer.

    cross_key_value: [2 * H * D, d_model], keys and values of the encoder's output.
    """

    self_attention: Attention
    cross_attention: Attention
    cross_key_value: Tensor
    feed_forward: FeedForward


@dataclass
class Cache:
    """Keys and values, one tensor a decoder block, overwritten in place.

    own: [R, T, B, 2, H, D], by the step that wrote them; source: [R, S, 2, H, D], shared by a row's beams.
    """

    own: list[Tensor]
    source: list[Tensor]


@dataclass(frozen=True)
class T5:
    """Parameters and the few switches in which the T5 family differs."""

    encoder: tuple[EncoderBlock, ...]
    encoder_norm: Tensor
    encoder_bias: Tensor  # [buckets, H]
    decoder: tuple[DecoderBlock, ...]
    decoder_norm: Tensor
    decoder_bias: Tensor  # [buckets, H]
    embedding: Tensor  # [V, d_model]
    head: Tensor  # [V, d_model]; FLAN-T5's own, or the embedding itself
    head_scale: float  # 1, or d_model^-0.5 where the head is tied
    heads: int
    activation: Callable[[Tensor], Tensor]
    gated: bool
    max_distance: int
    eps: float
    start: int
    end: int

    def encode(self, x: Tensor) -> Tensor:
        """Embedded source tokens, none padding, to the encoder's output.  x, returned: [R, S, d_model]."""
        bias = self.position_bias(
            self.encoder_bias, torch.arange(x.shape[1], device=x.device), x.shape[1], bidirectional=True
        )
        bias = bias.transpose(0, 1)[None].to(self.embedding.dtype)
        for block in self.encoder:
            qkv = self._split(self._project(x, block.self_attention), 3)
            x = self._attend(x, qkv[:, :, 0], qkv[:, :, 1:], bias, block.self_attention)
            x = self._feed_forward(x, block.feed_forward)
        return self._norm(x, self.encoder_norm)

    def source(self, encoded: Tensor) -> list[Tensor]:
        """Keys and values for cross-attention, one a decoder block.  [R, S, d_model] -> [R, S, 2, H, D]."""
        return [self._split(F.linear(encoded, block.cross_key_value), 2) for block in self.decoder]

    def empty_cache(self, rows: int, beams: int, steps: int, source_tokens: int) -> Cache:
        """A cache of zeros for R rows, B beams, T steps and S source tokens."""
        d_kv = self.decoder[0].cross_attention.qkv.shape[0] // self.heads
        own = (rows, steps, beams, 2, self.heads, d_kv)
        source = (rows, source_tokens, 2, self.heads, d_kv)
        blocks = range(len(self.decoder))
        return Cache(
            [self.embedding.new_zeros(own) for _ in blocks],
            [self.embedding.new_zeros(source) for _ in blocks],
        )

    def step(self, words: Tensor, age: Tensor, ancestors: Tensor, cache: Cache) -> Tensor:
        """Feed each beam its last word; scores of the next.  Writes the step's keys and values at `age`.

        words: [R, B]; age: [R], how many words the row has been fed before; ancestors: [R, B, T], the beam
        whose keys of step t are beam b's past (itself at `age`), -1 where there are none; returned: logits
        [R, B, V].
        """
        rows, _, steps = ancestors.shape
        mask = self._past(age, ancestors)
        slot = torch.arange(rows, device=age.device) * cache.own[0].shape[1] + age
        x = F.embedding(words, self.embedding)
        for block, own, source in zip(self.decoder, cache.own, cache.source, strict=True):
            qkv = self._split(self._project(x, block.self_attention), 3)
            own.flatten(0, 1).index_copy_(0, slot, qkv[:, :, 1:])
            past = own[:, :steps].flatten(1, 2)
            x = self._attend(x, qkv[:, :, 0], past, mask, block.self_attention)
            query = self._split(self._project(x, block.cross_attention), 1)[:, :, 0]
            x = self._attend(x, query, source, None, block.cross_attention)
            x = self._feed_forward(x, block.feed_forward)
        return F.linear(self._norm(x, self.decoder_norm) * self.head_scale, self.head)

    def position_bias(self, table: Tensor, queries: Tensor, keys: int, bidirectional: bool) -> Tensor:
        """Relative position bias of queries at the given positions to keys 0..keys-1.

        table: [buckets, H]; queries: [n]; returned: [n, H, keys].
        """
        distance = torch.arange(keys, device=queries.device) - queries[:, None]
        return table[_bucket(distance, len(table), self.max_distance, bidirectional)].transpose(1, 2)

    def _past(self, age: Tensor, ancestors: Tensor) -> Tensor:
        """Position bias where a key is an ancestor's, -inf elsewhere: [R, H, B, T * B]."""
        _, beams, steps = ancestors.shape
        bias = self.position_bias(self.decoder_bias, age, steps, bidirectional=False)
        own = ancestors[..., None] == torch.arange(beams, device=age.device, dtype=ancestors.dtype)
        mask = torch.where(own[:, None], bias[:, :, None, :, None], -math.inf)
        return mask.flatten(3).to(self.embedding.dtype)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Root mean square norm, in float32 as T5 defines it.  x, returned: [..., d_model]."""
        return weight * F.rms_norm(x.float(), weight.shape, eps=self.eps).to(weight.dtype)

    def _project(self, x: Tensor, layer: Attention) -> Tensor:
        """x: [R, n, d_model] -> [R, n, (1 or 3) * H * D]."""
        return F.linear(self._norm(x, layer.norm), layer.qkv)

    def _split(self, x: Tensor, parts: int) -> Tensor:
        """x: [R, n, parts * H * D] -> [R, n, parts, H, D]."""
        return x.view(*x.shape[:-1], parts, self.heads, -1)

    def _attend(
        self, x: Tensor, query: Tensor, key_value: Tensor, bias: Tensor | None, layer: Attention
    ) -> Tensor:
        """x plus the attention's output.

        x, returned: [R, n, d_model]; query: [R, n, H, D]; key_value: [R, m, 2, H, D]; bias: [R, H, n, m].
        """
        key, value = key_value.transpose(1, 3).unbind(2)
        mixed = F.scaled_dot_product_attention(query.transpose(1, 2), key, value, attn_mask=bias, scale=1.0)
        return _finite(x + F.linear(mixed.transpose(1, 2).flatten(2), layer.out))

    def _feed_forward(self, x: Tensor, layer: FeedForward) -> Tensor:
        """x plus the feed-forward layer's output.  x, returned: [R, n, d_model]."""
        up = F.linear(self._norm(x, layer.norm), layer.up)
        if self.gated:
            gate, value = up.chunk(2, dim=-1)
            up = self.activation(gate) * value
        else:
            up = self.activation(up)
        return _finite(x + F.linear(up.to(layer.down.dtype), layer.down))


def _finite(x: Tensor) -> Tensor:
    """T5 overflows in float16: transformers clamps after every layer, and so do we."""
    return x.clamp(torch.finfo(x.dtype).min, torch.finfo(x.dtype).max) if x.dtype == torch.float16 else x


def _bucket(distance: Tensor, buckets: int, max_distance: int, bidirectional: bool) -> Tensor:
    """T5's bucket of a key's distance from its query: exact when near, then logarithmic.  Any shape."""
    offset: Tensor | int = 0
    if bidirectional:
        buckets //= 2
        offset = (distance > 0) * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    far = (
        exact
        + (torch.log(distance.float() / exact) / math.log(max_distance / exact) * (buckets - exact)).long()
    )
    return offset + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))


def from_transformers(model: Any) -> T5:
    """The parameters of a `T5ForConditionalGeneration`; those of query, key and value are joined."""
    config = model.config
    encoder, decoder = model.encoder, model.decoder
    return T5(
        encoder=tuple(EncoderBlock(_attention(b.layer[0]), _feed_forward(b.layer[1])) for b in encoder.block),
        encoder_norm=encoder.final_layer_norm.weight,
        encoder_bias=encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight,
        decoder=tuple(
            DecoderBlock(
                _attention(block.layer[0]),
                Attention(
                    block.layer[1].layer_norm.weight,
                    block.layer[1].EncDecAttention.q.weight,
                    block.layer[1].EncDecAttention.o.weight,
                ),
                torch.cat([block.layer[1].EncDecAttention.k.weight, block.layer[1].EncDecAttention.v.weight]),
                _feed_forward(block.layer[2]),
            )
            for block in decoder.block
        ),
        decoder_norm=decoder.final_layer_norm.weight,
        decoder_bias=decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight,
        embedding=model.shared.weight,
        head=model.lm_head.weight,
        head_scale=config.d_model**-0.5 if config.scale_decoder_outputs else 1.0,
        heads=config.num_heads,
        activation=decoder.block[0].layer[2].DenseReluDense.act,
        gated=config.is_gated_act,
        max_distance=config.relative_attention_max_distance,
        eps=config.layer_norm_epsilon,
        start=config.decoder_start_token_id,
        end=config.eos_token_id,
    )


def _attention(layer: Any) -> Attention:
    inner = layer.SelfAttention
    return Attention(
        layer.layer_norm.weight, torch.cat([inner.q.weight, inner.k.weight, inner.v.weight]), inner.o.weight
    )


def _feed_forward(layer: Any) -> FeedForward:
    inner = layer.DenseReluDense
    gated = hasattr(inner, "wi_0")
    up = torch.cat([inner.wi_0.weight, inner.wi_1.weight]) if gated else inner.wi.weight
    return FeedForward(layer.layer_norm.weight, up, inner.wo.weight)
