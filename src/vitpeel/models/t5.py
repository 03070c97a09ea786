"""The T5 family of transformers, FLAN-T5 above all, onto the explicit `vitpeel.t5.T5`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitpeel.t5 import T5, Attention, DecoderBlock, EncoderBlock, FeedForward

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
}


def t5_of(model: Any) -> T5:
    """Map a `T5ForConditionalGeneration`; the weights of query, key and value are joined."""
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
        activation=ACTIVATIONS[config.dense_act_fn],
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
