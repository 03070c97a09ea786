"""LAVIS's Blip2T5, put together from its own modules with a checkpoint's sizes and weights.

Its constructor fetches configurations, tokenizers and weights from the hubs, and the published version has no
InstructBLIP; its `generate` runs as it is, for both kinds.
"""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitpeel.lavis.inside import tokens, weights

_BUFFER = "Qformer.bert.embeddings.position_ids"  # 0, 1, 2 ...: not a weight
_T5 = (
    *("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads"),
    *("relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon"),
    *("feed_forward_proj", "dense_act_fn", "is_gated_act"),
    *("pad_token_id", "eos_token_id", "decoder_start_token_id"),
)
_QFORMER = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("layer_norm_eps", "max_position_embeddings", "pad_token_id", "vocab_size"),
)


class Prompted(nn.Module):
    """InstructBLIP's Q-Former (Dai et al. 2023, section 2.3) in the place of BLIP-2's.

    The instruction's words stand behind the queries and take part in the self-attention; they are cut off
    from what is handed on.
    """

    def __init__(self, bert: nn.Module, words: Tensor) -> None:
        """words: the instruction, [1, words]."""
        super().__init__()
        self.bert = bert
        self.register_buffer("words", words, persistent=False)

    def forward(self, query_embeds: Tensor, **picture: Any) -> Any:
        """query_embeds: [n, q, width] -> an output with last_hidden_state [n, q, width]."""
        count, queries, _ = query_embeds.shape
        words: Any = self.words
        words = words.expand(count, -1)
        everything = torch.ones(count, queries + words.shape[1], dtype=torch.long, device=words.device)
        seen = self.bert(words, attention_mask=everything, query_embeds=query_embeds, **picture)
        seen.last_hidden_state = seen.last_hidden_state[:, :queries]
        return seen


def assemble(request: dict[str, Any], folder: Path) -> Any:
    """A Blip2T5 of the checkpoint; folder: for files that are made on the way."""
    from lavis.models.base_model import BaseModel
    from lavis.models.blip2_models.blip2 import LayerNorm
    from lavis.models.blip2_models.blip2_t5 import Blip2T5

    checkpoint = Path(request["checkpoint"])
    config = json.loads((checkpoint / "config.json").read_text())
    text = config["text_config"]
    model: Any = Blip2T5.__new__(Blip2T5)
    BaseModel.__init__(model)
    model.visual_encoder = _vision(config["vision_config"])
    model.ln_vision = LayerNorm(model.visual_encoder.num_features)
    model.Qformer = _qformer(config, prompted=request["kind"] == "instructblip")
    model.query_tokens = nn.Parameter(
        torch.empty(1, config["num_query_tokens"], config["qformer_config"]["hidden_size"])
    )
    model.t5_proj = nn.Linear(config["qformer_config"]["hidden_size"], text["d_model"])
    model.t5_model = _language(text)
    found = model.load_state_dict(weights.converted(checkpoint), strict=False, assign=True)
    missing = [name for name in found.missing_keys if name != _BUFFER]
    if missing or found.unexpected_keys:
        without = f"without a place in LAVIS: {found.unexpected_keys}; not in the checkpoint: {missing}"
        raise ValueError(f"{checkpoint}: {without}")

    model.t5_tokenizer = tokens.language(checkpoint, folder)
    if request["readout"] == "none":
        model.ln_vision = nn.Identity()
    if request["kind"] == "instructblip":
        words = tokens.qformer(checkpoint, folder)(request["prompt"], return_tensors="pt").input_ids
        prompted, model.Qformer = Prompted(model.Qformer.bert, words), nn.Module()
        model.Qformer.bert = prompted
    return _in_precision(model, request).eval().requires_grad_(False)


def _vision(config: dict[str, Any]) -> Any:
    from lavis.models.eva_vit import VisionTransformer

    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"vision_config.hidden_act: {config['hidden_act']}, but LAVIS's is gelu")
    width = config["hidden_size"]
    return VisionTransformer(
        img_size=config["image_size"],
        patch_size=config["patch_size"],
        use_mean_pooling=False,
        embed_dim=width,
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        mlp_ratio=(config["intermediate_size"] + 0.5) / width,  # LAVIS rounds width * ratio down
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=config.get("layer_norm_eps", 1e-6)),
    )


def _qformer(config: dict[str, Any], prompted: bool) -> Any:
    """With words for InstructBLIP; without, LAVIS takes what reads them out of BLIP-2's."""
    from lavis.models.blip2_models.Qformer import BertConfig, BertLMHeadModel

    own = config["qformer_config"]
    settings = BertConfig(**{key: own[key] for key in _QFORMER if key in own})
    settings.encoder_width = own.get("encoder_hidden_size", config["vision_config"]["hidden_size"])
    settings.add_cross_attention = True
    settings.cross_attention_freq = own.get("cross_attention_frequency", 2)
    settings.query_length = config["num_query_tokens"]
    made = BertLMHeadModel(settings)
    made.cls = None
    if not prompted:
        made.bert.embeddings.word_embeddings = None
        made.bert.embeddings.position_embeddings = None
        for layer in made.bert.encoder.layer:
            layer.output = None
            layer.intermediate = None
    return made


def _language(config: dict[str, Any]) -> Any:
    from lavis.models.blip2_models.modeling_t5 import T5Config, T5ForConditionalGeneration

    settings = T5Config(**{key: config[key] for key in _T5 if key in config})
    settings.dense_act_fn = config.get("dense_act_fn", settings.dense_act_fn)
    # the switch that scales what the head reads; newer configurations keep it apart from the tied weights
    settings.tie_word_embeddings = config.get(
        "scale_decoder_outputs", config.get("tie_word_embeddings", True)
    )
    with torch.device("meta"):  # billions of weights that are about to be replaced
        return T5ForConditionalGeneration(settings)


def _in_precision(model: Any, request: dict[str, Any]) -> Any:
    """float32 throughout, or on a GPU the mixture that LAVIS runs in."""
    parts = tuple(request[key] for key in ("dtype", "qformer_dtype", "language_dtype"))
    if request["device"] == "cuda" and parts == ("float16", "float32", "bfloat16"):
        from lavis.models.eva_vit import convert_weights_to_fp16

        convert_weights_to_fp16(model.visual_encoder)
        model.t5_model.to(torch.bfloat16)
        return model.to("cuda")
    if set(parts) != {"float32"}:
        mixture = "on a GPU in float16, float32, bfloat16 (model.dtype, qformer_dtype, language_dtype)"
        raise ValueError(f"precision {', '.join(parts)}: LAVIS runs in float32 throughout, or {mixture}")
    torch.backends.cudnn.allow_tf32 = False
    model.maybe_autocast = lambda dtype=None: contextlib.nullcontext()
    return model.to(request["device"])
