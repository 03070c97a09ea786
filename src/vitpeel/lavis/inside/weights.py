"""A checkpoint's safetensors weights under LAVIS's names, in memory: no pickle is written or read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

_BLOCK, _OF_BLOCK = r"^vision_model\.encoder\.layers\.(\d+)", r"visual_encoder.blocks.\1"
# transformers' name -> LAVIS's; the first that fits counts
_NAMES: tuple[tuple[str, str], ...] = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual_encoder.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding$", "visual_encoder.pos_embed"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual_encoder.patch_embed.proj."),
    (r"^vision_model\.post_layernorm\.", "ln_vision."),
    (rf"{_BLOCK}\.self_attn\.qkv\.", rf"{_OF_BLOCK}.attn.qkv."),
    (rf"{_BLOCK}\.self_attn\.projection\.", rf"{_OF_BLOCK}.attn.proj."),
    (rf"{_BLOCK}\.layer_norm([12])\.", rf"{_OF_BLOCK}.norm\2."),
    (rf"{_BLOCK}\.mlp\.", rf"{_OF_BLOCK}.mlp."),
    (r"^qformer\.layernorm\.", "Qformer.bert.embeddings.LayerNorm."),
    (r"^qformer\.embeddings\.layernorm\.", "Qformer.bert.embeddings.LayerNorm."),
    (r"^qformer\.(.*)attention\.attention\.", r"Qformer.bert.\1attention.self."),
    (r"^qformer\.", "Qformer.bert."),
    (r"^language_projection\.", "t5_proj."),
    (r"^language_model\.", "t5_model."),
)


def renamed(name: str) -> str:
    """LAVIS's name of a parameter that transformers calls `name`; the same where they agree."""
    for pattern, new in _NAMES:
        found, count = re.subn(pattern, new, name)
        if count:
            return found
    return name


def converted(checkpoint: Path) -> dict[str, Tensor]:
    """Every weight of the folder under its name in LAVIS, float32."""
    found: dict[str, Tensor] = {}
    for name, value in _stored(checkpoint):
        new = renamed(name)
        if new.endswith("attn.qkv.bias"):
            # LAVIS's keys have none, and need none: it adds the same to all scores of a query, and softmax
            # takes that out again
            query, _, values = value.chunk(3)
            stem = new.removesuffix("qkv.bias")
            found[f"{stem}q_bias"], found[f"{stem}v_bias"] = query.clone(), values.clone()
        else:
            found[new] = value
    shared = found["t5_model.shared.weight"]
    for part in ("encoder", "decoder"):
        found[f"t5_model.{part}.embed_tokens.weight"] = shared
    found.setdefault("t5_model.lm_head.weight", shared)
    return found


def _stored(checkpoint: Path) -> Iterator[tuple[str, Tensor]]:
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            names: list[str] = file.keys()
            for name in names:
                yield name, file.get_tensor(name).to(torch.float32)
