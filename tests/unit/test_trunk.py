"""The trunk against transformers' vision model."""

from collections.abc import Iterator

import pytest
import tiny
import torch
from torch.testing import assert_close
from transformers import (
    InstructBlipVisionConfig,
    InstructBlipVisionModel,
)

from vitpeel.errors import InputError
from vitpeel.models.instructblip import trunk_of


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("make", [tiny.vision, tiny.real_geometry, tiny.demo_vision])
def test_every_layer_equals_the_checkpoint(make) -> None:
    checkpoint = make()
    trunk = trunk_of(checkpoint)
    pixels = tiny.pictures(3, checkpoint.config.image_size)
    expected = checkpoint(pixels, output_hidden_states=True)
    layers = dict(trunk.layers(pixels))

    assert list(layers) == list(range(checkpoint.config.num_hidden_layers))
    assert_close(trunk.embed(pixels), expected.hidden_states[0], atol=1e-4, rtol=0)
    for layer, z in layers.items():
        assert_close(z, expected.hidden_states[layer + 1], atol=1e-4, rtol=0)
    assert_close(trunk.readout(layers[trunk.depth - 1]), expected.last_hidden_state, atol=1e-4, rtol=0)


def test_cls_attention_equals_the_checkpoint() -> None:
    checkpoint = tiny.vision()
    checkpoint.set_attn_implementation("eager")
    trunk = trunk_of(checkpoint)
    pixels = tiny.pictures(3)
    expected = checkpoint(pixels, output_attentions=True).attentions
    z = trunk.embed(pixels)
    for layer in range(trunk.depth):
        seen = trunk.cls_attention(layer, z)
        assert_close(seen, expected[layer][:, :, 0], atol=1e-5, rtol=0)
        assert_close(seen.sum(-1), torch.ones(3, trunk.heads))
        z = trunk.block(layer, z)


def test_a_head_scaled_to_nothing_equals_a_hook_on_the_checkpoint() -> None:
    checkpoint = tiny.vision()
    trunk = trunk_of(checkpoint)
    z = trunk.embed(tiny.pictures(3))
    block = checkpoint.encoder.layers[1].self_attn
    size = trunk.width // trunk.heads

    def mask(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        heads = inputs[0].clone()
        heads[..., 2 * size : 3 * size] = 0
        return (heads,)

    block.projection.register_forward_pre_hook(mask)
    expected, _ = block(checkpoint.encoder.layers[1].layer_norm1(z))
    scale = torch.ones(trunk.heads)
    scale[2] = 0
    assert_close(trunk.attention(1, z, scale), expected, atol=1e-5, rtol=0)
    assert not torch.allclose(trunk.attention(1, z), expected, atol=1e-2)


def test_the_real_configuration_maps_with_no_parameter_left_over() -> None:
    with torch.device("meta"):
        checkpoint = InstructBlipVisionModel(InstructBlipVisionConfig())
    trunk = trunk_of(checkpoint)
    assert (trunk.depth, trunk.tokens, trunk.width, trunk.heads) == (39, 257, 1408, 16)
    assert all(block.up.weight.shape == (6144, 1408) for block in trunk.blocks)
    norms = [norm for block in trunk.blocks for norm in (block.norm1, block.norm2)]
    linears = [linear for b in trunk.blocks for linear in (b.qkv, b.out, b.up, b.down)]
    placed = [trunk.cls, trunk.positions]
    for layer in [*norms, *linears, trunk.post, trunk.patches]:
        placed += [layer.weight, layer.bias]
    assert sum(p.numel() for p in placed) == sum(p.numel() for p in checkpoint.parameters())


def test_a_parameter_without_a_place_is_refused() -> None:
    checkpoint = tiny.vision()
    checkpoint.encoder.layers[1].gamma = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(InputError, match=r"encoder\.layers\.1\.gamma"):
        trunk_of(checkpoint)


def test_a_picture_gives_the_same_bits_whatever_its_batch() -> None:
    checkpoint = tiny.vision(width=96, heads=8, mlp=192, image=64)
    trunk = trunk_of(checkpoint)
    pixels = tiny.pictures(8, 64)
    together = dict(trunk.layers(pixels))
    alone = dict(trunk.layers(pixels[3:4]))
    for layer in range(trunk.depth):
        assert torch.equal(together[layer][3:4], alone[layer])
