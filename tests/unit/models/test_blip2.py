"""BLIP-2: the trunk and the captions are the checkpoint's own; its Q-Former reads no prompt."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch.testing import assert_close
from transformers import Blip2ForConditionalGeneration

from vitpeel import models
from vitpeel.config import Decoding
from vitpeel.models.instructblip import trunk_of

PICTURES = 6


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("blip2"), tiny.blip2_config(), seed=3)


@pytest.fixture(scope="module")
def checkpoint(saved: Path) -> Any:
    return Blip2ForConditionalGeneration.from_pretrained(saved).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model(saved: Path) -> models.Model:
    return models.load("blip2", saved, prompt=tiny.PROMPT, device="cpu")


def last_layer(model: models.Model, pixels: torch.Tensor) -> torch.Tensor:
    *_, (_, z) = model.trunk.layers(pixels)
    return z


def test_every_layer_equals_the_checkpoint(model: models.Model, checkpoint: Any) -> None:
    pixels = tiny.pictures(PICTURES)
    expected = checkpoint.vision_model(pixels, output_hidden_states=True).hidden_states
    assert len(expected) == model.trunk.depth + 1
    for layer, z in model.trunk.layers(pixels):
        assert_close(z, expected[layer + 1], atol=1e-4, rtol=0)


def test_the_published_geometry() -> None:
    """Two blocks of EVA-CLIP ViT-g as BLIP-2 has it."""
    vision = tiny.model(
        tiny.blip2_config(blocks=2, width=1408, heads=16, mlp=6144, image=28, patch=14)
    ).vision_model
    pixels = tiny.pictures(2, 28)
    expected = vision(pixels, output_hidden_states=True).hidden_states[1:]
    for layer, z in trunk_of(vision).layers(pixels):
        assert_close(z, expected[layer], atol=1e-4, rtol=0)


def test_the_q_former_equals_the_checkpoint_s(model: models.Model, checkpoint: Any) -> None:
    pixels = tiny.pictures(PICTURES)
    seen = checkpoint.vision_model(pixels).last_hidden_state
    tokens = checkpoint.query_tokens.expand(PICTURES, -1, -1)
    read = checkpoint.qformer(query_embeds=tokens, encoder_hidden_states=seen).last_hidden_state
    expected = checkpoint.language_projection(read)
    found = model.captioner.queries(model.captioner.readout(last_layer(model, pixels)))
    assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("beams", [1, 5])
def test_the_last_layer_says_what_generate_says(model: models.Model, checkpoint: Any, beams: int) -> None:
    decoding = Decoding(beams=beams, max_new_tokens=12)
    pixels = tiny.pictures(PICTURES)
    rows = enumerate(last_layer(model, pixels))
    found = [caption.text for caption in model.captioner.caption(rows, decoding, 64)]
    expected = tiny.generate(checkpoint, tiny.blip2_processor(32, 4), pixels, decoding)
    assert found == expected
    assert len(set(found)) > PICTURES // 2  # not one sentence for all


def test_only_the_language_model_is_told_the_prompt(saved: Path, model: models.Model) -> None:
    other = models.load("blip2", saved, prompt="what animal is this", device="cpu")
    z = last_layer(model, tiny.pictures(PICTURES))
    assert torch.equal(model.captioner.queries(z), other.captioner.queries(z))
    assert model.captioner.encode(z).shape != other.captioner.encode(z).shape


def test_slots_for_the_picture_are_counted(saved: Path) -> None:
    tools = tiny.blip2_processor(32, 4)
    words = tools(images=None, text=tiny.PROMPT)["input_ids"][0]
    loaded = models.load("blip2", saved, prompt=tiny.PROMPT, device="cpu").captioner
    assert loaded.image.sum() == 4 and len(loaded.image) == 4 + len(words)
