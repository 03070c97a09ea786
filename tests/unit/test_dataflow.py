"""The decomposition adds up to what the checkpoint itself does."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from PIL import Image
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import InstructBlipForConditionalGeneration

from vitpeel import activations, dataflow, models
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import InputError, ProvenanceError, VitpeelError
from vitpeel.models.instructblip import trunk_of
from vitpeel.provenance import Provenance
from vitpeel.tables import DATAFLOW, merge, read_table, write_table
from vitpeel.tensors import open_tensors

KEYS = ("image_id", "layer", "component")


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


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Picture], Path, Provenance]:
    """A random checkpoint, seven pictures, their residuals, what made these."""
    folder = tmp_path_factory.mktemp("captured")
    model = models.load("instructblip", tiny.save(folder / "c", tiny.config()), prompt="", device="cpu")
    generator, pictures = np.random.default_rng(0), []
    for name in "gfedcba":  # their order is not that of their names
        pictures.append(Picture(name, folder / f"{name}.png"))
        Image.fromarray(generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(pictures[-1].path)
    origin = activations.origin_of(model, folder / "c", "float32")
    activations.capture(model, pictures, folder / "r.safetensors", folder / "a.safetensors", origin, 3)
    return model, pictures, folder, origin


@pytest.mark.parametrize("bias", ["component", "heads"])
@pytest.mark.parametrize("token", [0, 5])
def test_fresh_passes_and_cached_residuals_give_the_same_table(
    captured: Any, bias: dataflow.Bias, token: int
) -> None:
    model, pictures, folder, origin = captured
    cached = dataflow.decompose(model, pictures, folder / "r.safetensors", None, origin, 3, token, bias)
    for batch in (1, 2, 7):
        fresh = dataflow.decompose(model, pictures, None, None, origin, batch, token, bias)
        pd.testing.assert_frame_equal(fresh, cached, check_exact=True)
    halves = [dataflow.decompose(model, some, None, None, origin, 3, token, bias) for some in _cut(pictures)]
    pd.testing.assert_frame_equal(pd.concat(halves, ignore_index=True), cached, check_exact=True)
    names = [*(f"head {head}" for head in range(4)), "mlp", *(["bias"] if bias == "component" else [])]
    assert cached["image_id"].drop_duplicates().tolist() == list("gfedcba")
    assert cached["component"].iloc[: len(names)].tolist() == names
    states = _transformers(folder, pictures, model).hidden_states
    lengths = (cached["norm"] * cached["cosine"]).groupby([cached["image_id"], cached["layer"]]).sum()
    for layer, (before, after) in enumerate(pairwise(states)):
        update = (after - before)[:, token].norm(dim=-1)
        for picture, length in zip(pictures, update, strict=True):
            assert lengths[picture.image_id, layer] == pytest.approx(length.item(), rel=1e-4)


def test_the_rollout_is_that_of_transformers_attention(captured: Any, tmp_path: Path) -> None:
    model, pictures, folder, origin = captured
    files = [tmp_path / f"{name}.safetensors" for name in ("cached", "fresh", "other")]
    for file, residuals, batch in zip(files, (folder / "r.safetensors", None, None), (3, 3, 2), strict=True):
        table = dataflow.decompose(model, pictures, residuals, file, origin, batch)
        pd.testing.assert_frame_equal(table, dataflow.decompose(model, pictures, None, None, origin, 4))
    assert len({file.read_bytes() for file in files}) == 1
    looks = [weights.mean(1) for weights in _transformers(folder, pictures, model).attentions]
    rolled = torch.eye(looks[0].shape[-1]).expand_as(looks[0])
    with open_tensors(files[0], origin, "pt") as file:
        found = file.rows("rollout")
        assert file.image_ids == tuple("gfedcba")
    for layer, own in enumerate(looks):
        rolled = (own + torch.eye(own.shape[-1])) / 2 @ rolled
        assert_close(found[:, layer], rolled[:, 0], atol=1e-5, rtol=0)


def test_a_shard_without_pictures_has_an_empty_table(captured: Any, tmp_path: Path) -> None:
    model, _, _, origin = captured
    rows = dataflow.decompose(model, [], None, tmp_path / "rollout.safetensors", origin, 3)
    write_table(tmp_path / "dataflow.parquet", rows, DATAFLOW, origin)
    assert read_table(tmp_path / "dataflow.parquet", DATAFLOW).empty


def test_a_token_that_the_model_does_not_have_is_refused(captured: Any) -> None:
    model, pictures, _, origin = captured
    with pytest.raises(
        VitpeelError, match=r"perspectives\.token: 17 is none of the model's tokens 0-16\. Set 0"
    ):
        dataflow.decompose(model, pictures, None, None, origin, 3, token=17)


def test_residuals_of_another_checkpoint_are_refused(captured: Any) -> None:
    model, pictures, folder, _ = captured
    with pytest.raises(ProvenanceError, match=r"r\.safetensors: made with checkpoint"):
        other = Provenance(checkpoint="0" * 64)
        dataflow.decompose(model, pictures, folder / "r.safetensors", None, other, 3)


def test_shards_are_merged_in_the_pictures_order(captured: Any, tmp_path: Path) -> None:
    model, pictures, _, origin = captured
    shards = []
    for number, some in enumerate((*_cut(pictures), [])):
        shards.append(tmp_path / f"dataflow-{number}-of-3.parquet")
        rows = dataflow.decompose(model, some, None, None, origin, 3)
        write_table(shards[-1], rows, DATAFLOW, origin)
    whole, made = merge(shards, DATAFLOW, KEYS, list("gfedcba"))
    assert made == origin
    pd.testing.assert_frame_equal(whole, dataflow.decompose(model, pictures, None, None, origin, 3))
    for wrong in ("gfedcb", "abcdefg"):
        with pytest.raises(InputError, match=r"the 7 pictures of these shards are not the"):
            merge(shards, DATAFLOW, KEYS, list(wrong))
    write_table(shards[1], whole, DATAFLOW, Provenance(checkpoint="0" * 64))
    with pytest.raises(ProvenanceError, match=r"dataflow-1-of-3\.parquet: made with checkpoint"):
        merge(shards, DATAFLOW, KEYS, list("gfedcba"))


def _cut(pictures: list[Picture]) -> tuple[list[Picture], list[Picture]]:
    return pictures[:4], pictures[4:]


def _transformers(folder: Path, pictures: list[Picture], model: Any) -> Any:
    """What transformers' own vision model gives for these pictures, its attention written out."""
    whole: Any = InstructBlipForConditionalGeneration.from_pretrained(
        folder / "c", attn_implementation="eager"
    )
    pixels = model.preprocess([Image.open(picture.path) for picture in pictures])
    return whole.vision_model.eval()(pixels, output_hidden_states=True, output_attentions=True)
