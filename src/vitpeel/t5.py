"""T5 written out for decoding: the encoder once a row, then steps for all beams of all rows together.

Follows transformers' `T5ForConditionalGeneration` term by term and shares its parameters. What it adds is a
cache that fits beam search: a key stays where it was written, and each beam is told which keys are of its own
past, so nothing moves when beams change places; keys of a past that no beam has any more are dropped now and
then; keys and values of the source exist once a row, whatever the number of beams.

Shapes: R rows, B beams, S source tokens, K keys, H heads, D = d_kv, V words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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
    """Keys and values of R rows, overwritten in place; own and source hold one tensor a decoder block."""

    own: list[Tensor]  # [R, K, 2, H, D] of the words said so far, by any beam
    source: list[Tensor]  # [R, S, 2, H, D]
    step: Tensor  # [R, K] the step that wrote the key
    past: Tensor  # [R, B, K] whether the key is of the beam's past
    used: Tensor  # [R] keys written

    @classmethod
    def joined(cls, caches: list[Cache]) -> Cache:
        """All their rows; they must agree in K."""
        own, source = (
            [torch.cat(block) for block in zip(*parts, strict=True)]
            for parts in ([cache.own for cache in caches], [cache.source for cache in caches])
        )
        step, past, used = (
            torch.cat([getattr(cache, name) for cache in caches]) for name in ("step", "past", "used")
        )
        return cls(own, source, step, past, used)

    def selected(self, rows: Tensor) -> Cache:
        """A copy of these rows alone."""
        own, source = ([block[rows] for block in blocks] for blocks in (self.own, self.source))
        return Cache(own, source, self.step[rows], self.past[rows], self.used[rows])

    def admit(self, rows: Tensor, source: list[Tensor]) -> None:
        """Begin anew in these rows.  source: as `T5.source` gives it."""
        self.clear(rows)
        for old, new in zip(self.source, source, strict=True):
            old[rows] = new

    def clear(self, rows: Tensor) -> None:
        """Forget what was said in these rows."""
        self.past[rows] = False
        self.used[rows] = 0

    def drop_dead(self, room: int, grain: int) -> None:
        """Keep the keys of some beam's past, in order, and make room for more; K a multiple of grain."""
        alive = self.past.any(1)
        self.used = alive.sum(1)
        size = -(-(int(self.used.max()) + room) // grain) * grain
        order = F.pad((~alive).int().argsort(dim=1, stable=True), (0, max(0, size - alive.shape[1])))[
            :, :size
        ]
        written = torch.arange(size, device=order.device) < self.used[:, None]
        self.step = self.step.gather(1, order)
        self.past = self.past.gather(2, order[:, None].expand(-1, self.past.shape[1], -1)) & written[:, None]
        rows = torch.arange(len(order), device=order.device)[:, None]
        self.own = [own[rows, order] for own in self.own]


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
        positions = torch.arange(x.shape[1], device=x.device)
        bias = self.position_bias(self.encoder_bias, positions - positions[:, None], bidirectional=True)
        bias = bias.permute(2, 0, 1)[None]
        for block in self.encoder:
            qkv = self._split(self._project(x, block.self_attention), 3)
            x = self._attend(x, qkv[:, :, 0], qkv[:, :, 1:], bias, block.self_attention)
            x = self._feed_forward(x, block.feed_forward)
        return self._norm(x, self.encoder_norm)

    def source(self, encoded: Tensor) -> list[Tensor]:
        """Keys and values for cross-attention, one a decoder block.  [R, S, d_model] -> [R, S, 2, H, D]."""
        return [self._split(F.linear(encoded, block.cross_key_value), 2) for block in self.decoder]

    def empty_cache(self, rows: int, beams: int, keys: int, source_tokens: int) -> Cache:
        """A cache for R rows of B beams, with room for K keys a row and for S source tokens."""
        new = self.embedding.new_zeros
        d_kv = self.decoder[0].cross_attention.qkv.shape[0] // self.heads
        return Cache(
            own=[new((rows, keys, 2, self.heads, d_kv)) for _ in self.decoder],
            source=[new((rows, source_tokens, 2, self.heads, d_kv)) for _ in self.decoder],
            step=new((rows, keys), dtype=torch.int64),
            past=new((rows, beams, keys), dtype=torch.bool),
            used=new(rows, dtype=torch.int64),
        )

    def step(self, words: Tensor, age: Tensor, cache: Cache) -> Tensor:
        """Feed each beam its last word; scores of the next.  Each new key joins its beam's past.

        words: [R, B]; age: [R], how many words the row was fed before; returned: logits [R, B, V].
        """
        key = cache.used[:, None] + torch.arange(words.shape[1], device=words.device)
        cache.used = cache.used + words.shape[1]
        cache.step.scatter_(1, key, age[:, None].expand_as(key))
        cache.past.scatter_(2, key[..., None], True)
        bias = self.position_bias(self.decoder_bias, cache.step - age[:, None], bidirectional=False)
        mask = torch.where(cache.past[:, None], bias.transpose(1, 2)[:, :, None], -math.inf)
        place = (torch.arange(len(key), device=key.device)[:, None] * cache.step.shape[1] + key).flatten()

        x = F.embedding(words, self.embedding)
        for block, own, source in zip(self.decoder, cache.own, cache.source, strict=True):
            qkv = self._split(self._project(x, block.self_attention), 3)
            own.flatten(0, 1).index_copy_(0, place, qkv[:, :, 1:].flatten(0, 1))
            x = self._attend(x, qkv[:, :, 0], own, mask, block.self_attention)
            query = self._split(self._project(x, block.cross_attention), 1)[:, :, 0]
            x = self._attend(x, query, source, None, block.cross_attention)
            x = self._feed_forward(x, block.feed_forward)
        return F.linear(self._norm(x, self.decoder_norm) * self.head_scale, self.head)

    def position_bias(self, table: Tensor, distance: Tensor, bidirectional: bool) -> Tensor:
        """Bias of attention by how far the key stands behind (-) or before (+) the query.

        table: [buckets, H]; distance: any shape; returned: [*distance.shape, H].
        """
        return table[_bucket(distance, len(table), self.max_distance, bidirectional)]

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
