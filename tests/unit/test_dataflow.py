"""The decomposition adds up to what the checkpoint itself does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from vitpeel import dataflow
from vitpeel.models.instructblip import trunk_of
from vitpeel.provenance import Provenance
from vitpeel.tables import DATAFLOW, read_table, write_table


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("bias", ["component", "heads"])
@pytest.mark.parametrize("make", [tiny.vision, tiny.real_geometry, tiny.demo_vision])
def test_components_sum_to_the_checkpoints_update(make, bias: dataflow.Bias) -> None:
    checkpoint = make()
    trunk = trunk_of(checkpoint)
    pixels = tiny.pictures(3, checkpoint.config.image_size)
    states = checkpoint(pixels, output_hidden_states=True).hidden_states
    layers = 0
    for layer, z in trunk.inputs(pixels):
        update = states[layer + 1] - states[layer]
        for token in (dataflow.CLS, 3):
            found = dataflow.contributions(trunk, layer, z, token, bias)
            error = (found.components.sum(1) - update[:, token]).norm(dim=-1) / update[:, token].norm(dim=-1)
            assert error.max() <= 1e-4, (layer, token)
        layers += 1
    assert layers == checkpoint.config.num_hidden_layers


def test_a_heads_contribution_is_what_the_projection_loses_without_it() -> None:
    checkpoint = tiny.vision()
    trunk = trunk_of(checkpoint)
    z = trunk.embed(tiny.pictures(3))
    block = checkpoint.encoder.layers[1].self_attn
    size = trunk.width // trunk.heads
    normed = checkpoint.encoder.layers[1].layer_norm1(z)
    whole, _ = block(normed)

    def silence(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        heads = inputs[0].clone()
        heads[..., 2 * size : 3 * size] = 0
        return (heads,)

    block.projection.register_forward_pre_hook(silence)
    without, _ = block(normed)
    for token in (0, 5):
        found = dataflow.contributions(trunk, 1, z, token)
        assert_close(found.heads[:, 2], (whole - without)[:, token], atol=1e-5, rtol=1e-4)
    assert torch.equal(found.bias, block.projection.bias)
    split = dataflow.contributions(trunk, 1, z, token, "heads")
    assert split.bias is None
    assert_close(split.heads[:, 2] - found.heads[:, 2], (found.bias / trunk.heads).expand(3, -1))


def test_the_tokens_of_a_head_sum_to_the_head() -> None:
    trunk = trunk_of(tiny.vision())
    z = trunk.embed(tiny.pictures(3))
    for head in range(trunk.heads):
        parts = dataflow.sources(trunk, 1, z, head, token=4)
        assert parts.shape == z.shape
        assert_close(parts.sum(1), dataflow.contributions(trunk, 1, z, 4).heads[:, head])


def test_attention_of_any_token_equals_the_checkpoint() -> None:
    checkpoint = tiny.vision()
    checkpoint.set_attn_implementation("eager")
    pixels = tiny.pictures(3)
    expected = checkpoint(pixels, output_attentions=True).attentions
    trunk = trunk_of(checkpoint)
    for layer, z in trunk.inputs(pixels):
        assert_close(dataflow.attention(trunk, layer, z), expected[layer], atol=1e-5, rtol=0)
        assert_close(dataflow.attention(trunk, layer, z, 7)[:, :, 0], expected[layer][:, :, 7])


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


def test_tokens_x_heads_x_width_is_never_held() -> None:
    trunk = trunk_of(tiny.vision(image=64))
    z = trunk.embed(tiny.pictures(1, 64))
    with Largest() as largest:
        dataflow.contributions(trunk, 1, z)
    assert 0 < largest.elements <= 3 * trunk.width * max(trunk.tokens, trunk.width)
    assert largest.elements < trunk.tokens * trunk.heads * trunk.width / 2


def test_the_table_tells_norm_share_and_cosine(tmp_path: Path) -> None:
    checkpoint = tiny.vision()
    trunk = trunk_of(checkpoint)
    pixels = tiny.pictures(3)
    rows = dataflow.table(trunk, ["a", "b", "c"], trunk.inputs(pixels))
    assert len(rows) == 3 * trunk.depth * (trunk.heads + 2)
    states = checkpoint(pixels, output_hidden_states=True).hidden_states
    update = (states[2] - states[1])[1, 0]
    own = rows[(rows["image_id"] == "b") & (rows["layer"] == 1)].set_index("component")
    assert list(own.index) == ["head 0", "head 1", "head 2", "head 3", "mlp", "bias"]
    assert own["share"].sum() == pytest.approx(1)
    assert (own["norm"] * own["cosine"]).sum() == pytest.approx(update.norm().item(), rel=1e-4)
    mlp = dataflow.contributions(trunk, 1, states[1]).mlp[1]
    assert own["norm"]["mlp"] == pytest.approx(mlp.norm().item(), rel=1e-4)
    assert own["cosine"]["mlp"] == pytest.approx(torch.cosine_similarity(mlp, update, dim=0).item(), rel=1e-3)
    assert own["share"]["mlp"] == pytest.approx((mlp @ update / (update @ update)).item(), rel=1e-3)
    write_table(tmp_path / "dataflow.parquet", rows, DATAFLOW, Provenance())
    pd.testing.assert_frame_equal(read_table(tmp_path / "dataflow.parquet", DATAFLOW), rows)


def test_a_layer_that_does_nothing_has_no_shares() -> None:
    checkpoint = tiny.vision()
    block = checkpoint.encoder.layers[0]
    for linear in (block.self_attn.projection, block.mlp.fc2):
        linear.weight.zero_()
        linear.bias.zero_()
    trunk = trunk_of(checkpoint)
    rows = dataflow.table(trunk, ["a"], trunk.inputs(tiny.pictures(1)))
    assert (rows.loc[rows["layer"] == 0, ["norm", "share", "cosine"]] == 0).all(axis=None)
