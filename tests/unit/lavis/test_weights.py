"""Weights under LAVIS's names. That LAVIS computes the same with them: tests/pipeline/test_parity.py."""

from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from vitpeel.lavis.inside.weights import converted, renamed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
        ("vision_model.encoder.layers.12.layer_norm2.bias", "visual_encoder.blocks.12.norm2.bias"),
        ("vision_model.encoder.layers.3.mlp.fc1.weight", "visual_encoder.blocks.3.mlp.fc1.weight"),
        ("vision_model.post_layernorm.weight", "ln_vision.weight"),
        (
            "qformer.encoder.layer.4.crossattention.attention.key.weight",
            "Qformer.bert.encoder.layer.4.crossattention.self.key.weight",
        ),
        (
            "qformer.encoder.layer.4.attention.output.dense.bias",
            "Qformer.bert.encoder.layer.4.attention.output.dense.bias",
        ),
        ("qformer.layernorm.weight", "Qformer.bert.embeddings.LayerNorm.weight"),
        ("qformer.embeddings.layernorm.weight", "Qformer.bert.embeddings.LayerNorm.weight"),
        ("language_model.lm_head.weight", "t5_model.lm_head.weight"),
        ("query_tokens", "query_tokens"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert renamed(name) == expected


@pytest.mark.parametrize("settings", [tiny.config(), tiny.blip2_config()], ids=["instructblip", "blip2"])
def test_no_weight_is_lost_and_none_overwrites_another(settings: object, tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "checkpoint", settings)
    stored = load_file(folder / "model.safetensors")
    found = converted(folder)
    biases = [name for name in stored if name.endswith("qkv.bias")]
    tied = ["t5_model.encoder.embed_tokens.weight", "t5_model.decoder.embed_tokens.weight"]
    assert len(found) == len(stored) + len(biases) + len(tied)
    width = settings.vision_config.hidden_size
    bias = stored["vision_model.encoder.layers.1.self_attn.qkv.bias"]
    assert torch.equal(found["visual_encoder.blocks.1.attn.q_bias"], bias[:width])
    assert torch.equal(found["visual_encoder.blocks.1.attn.v_bias"], bias[2 * width :])
    assert found[tied[0]] is found["t5_model.shared.weight"]
