"""Contributions against open_clip's embedding, and the authors' logger, transcribed, fed by its hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import pytest
import tiny_clip
import torch
from PIL import Image
from tiny_clip import BLOCKS, EMBEDDING, HEAD, HEADS, TOKENS
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vitpeel.clip import contributions, feature_files
from vitpeel.clip.contributions import Features
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import ProvenanceError, VitpeelError
from vitpeel.models import openclip
from vitpeel.models.openclip import Clip
from vitpeel.provenance import Provenance
from vitpeel.tensors import open_tensors

COUNT = 5
LAYERS = (1, 2)


@pytest.fixture(scope="module")
def both() -> tuple[Any, Clip]:
    return tiny_clip.clip()


@pytest.fixture
def clip(both: tuple[Any, Clip]) -> Clip:
    return both[1]


def logged(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What the authors' PRSLogger gives, written down from their code and fed by hooks on open_clip.

    Returned: of heads [n, layers, tokens, heads, embedding], and of the input and MLPs [n, 1 + layers,
    embedding].
    """
    visual, blocks = model.visual, model.visual.transformer.resblocks
    normed: list[Tensor] = []
    mlps: list[Tensor] = []
    end: list[Tensor] = []
    hooks = [visual.ln_pre.register_forward_hook(lambda _, args, out: mlps.append(out[:, 0]))]
    for block in blocks:
        hooks.append(block.ln_1.register_forward_hook(lambda _, args, out: normed.append(out)))
        hooks.append(block.mlp.register_forward_hook(lambda _, args, out: mlps.append(out[:, 0])))
    hooks.append(blocks[-1].register_forward_hook(lambda _, args, out: end.append(out[:, 0])))
    norm = model.encode_image(pixels).norm(dim=-1)
    for hook in hooks:
        hook.remove()

    attentions = []
    for block, x in zip(blocks, normed, strict=True):
        joint = x @ block.attn.in_proj_weight.T + block.attn.in_proj_bias
        q, k, v = (part.unflatten(-1, (HEADS, HEAD)) for part in joint.chunk(3, dim=-1))  # [n, m, h, c]
        scores = torch.einsum("bhc,bmhc->bmh", q[:, 0], k) / HEAD**0.5
        given = torch.einsum("bmh,bmhc->bmhc", scores.softmax(dim=1), v)
        out = torch.einsum("bmhc,dhc->bmhd", given, block.attn.out_proj.weight.unflatten(1, (HEADS, HEAD)))
        attentions.append(out + block.attn.out_proj.bias / (TOKENS * HEADS))
    heads, others = torch.stack(attentions, dim=1), torch.stack(mlps, dim=1)

    mean = end[0].mean(-1)
    std = (end[0].square().mean(-1) - mean.square() + visual.ln_post.eps).sqrt()

    def normalised(x: Tensor, parts: int) -> Tensor:
        shape = (-1, *[1] * (x.dim() - 1))
        centred = visual.ln_post.weight * (x - mean.view(shape) / parts)
        folded = centred / std.view(shape) + visual.ln_post.bias / parts
        return folded @ visual.proj / norm.view(shape)

    terms = 2 * len(blocks) + 1
    return normalised(heads, terms * TOKENS * HEADS), normalised(others, terms)


@pytest.mark.parametrize(
    "settings",
    [
        tiny_clip.SMALL,
        tiny_clip.config(no_ln_pre=True),
        tiny_clip.config(norm_kwargs={"eps": 0.1}),
        {**tiny_clip.SMALL, "quick_gelu": False},
    ],
    ids=["quickgelu", "no norm before", "a large eps", "gelu"],
)
def test_all_terms_add_up_to_open_clips_unit_embedding(settings: dict[str, Any]) -> None:
    model, clip = tiny_clip.clip(settings)
    pixels = tiny_clip.pixels(COUNT)
    terms = contributions.terms(clip, pixels)
    assert terms.heads.shape == (COUNT, BLOCKS, HEADS, EMBEDDING)
    assert_close(terms.total, model.encode_image(pixels, normalize=True), atol=1e-6, rtol=0)


def test_a_published_shape_adds_up() -> None:
    model, clip = tiny_clip.clip(open_clip.get_model_config("ViT-B-32-quickgelu"))
    pixels = tiny_clip.pixels(2, 224)
    total = contributions.terms(clip, pixels).total
    assert_close(total, model.encode_image(pixels, normalize=True), atol=1e-4, rtol=0)


def test_every_term_equals_the_authors_logger(both: tuple[Any, Clip]) -> None:
    model, clip = both
    pixels = tiny_clip.pixels(COUNT)
    heads, others = logged(model, pixels)
    terms = contributions.terms(clip, pixels)
    assert_close(terms.heads, heads.sum(2), atol=1e-6, rtol=0)
    assert_close(terms.embedding, others[:, 0], atol=1e-6, rtol=0)
    assert_close(terms.mlps, others[:, 1:], atol=1e-6, rtol=0)
    assert terms.heads.norm(dim=-1).min() > 0.01


def test_features_expand_to_the_heads_contributions(clip: Clip) -> None:
    pixels = tiny_clip.pixels(COUNT)
    found = contributions.features(clip, pixels, LAYERS)
    assert (found.heads.shape, found.scalars.shape) == ((COUNT, len(LAYERS), HEADS, HEAD), (COUNT, 3))
    maps = contributions.maps(clip, LAYERS)
    assert (maps.shape, maps.dtype) == ((len(LAYERS), HEADS, EMBEDDING, HEAD + 3), torch.float64)
    expected = contributions.terms(clip, pixels).heads[:, list(LAYERS)]
    assert_close(contributions.expand(found, maps), expected, atol=1e-6, rtol=0)
    backwards = contributions.features(clip, pixels, LAYERS[::-1])
    assert torch.equal(backwards.heads, found.heads.flip(1))
    # a picture's own scalars: another's would not do
    others = Features(found.heads, found.scalars.roll(1, 0))
    assert not torch.allclose(contributions.expand(others, maps), expected, atol=1e-3)


@pytest.mark.parametrize("layer", range(BLOCKS))
def test_tokens_of_a_head_equal_the_authors_logger(layer: int, both: tuple[Any, Clip]) -> None:
    model, clip = both
    pixels = tiny_clip.pixels(COUNT)
    expected, _ = logged(model, pixels)
    for head in (0, HEADS - 1):
        found = contributions.token_contributions(clip, pixels, layer, head)
        assert_close(found, expected[:, layer, :, head], atol=1e-6, rtol=0)
    several = contributions.token_contributions(clip, pixels, layer, [1, 3])
    assert_close(several, expected[:, layer, :, [1, 3]].sum(2), atol=1e-6, rtol=0)


def test_tokens_of_heads_of_several_layers_are_added_up(both: tuple[Any, Clip]) -> None:
    model, clip = both
    pixels = tiny_clip.pixels(COUNT)
    expected, _ = logged(model, pixels)
    found = contributions.tokens_of(clip, pixels, {0: [2], 2: [0, 5]})
    assert_close(found, expected[:, 0, :, 2] + expected[:, 2, :, [0, 5]].sum(2), atol=1e-6, rtol=0)
    whole = contributions.terms(clip, pixels).heads
    assert_close(found.sum(1), whole[:, 0, 2] + whole[:, 2, 0] + whole[:, 2, 5], atol=1e-6, rtol=0)


class Largest(TorchDispatchMode):
    """The largest tensor that any operation gives, in elements."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [one.untyped_storage().nbytes() // 4 for one in tree_leaves(out) if isinstance(one, Tensor)]
        self.size = max([self.size, *sizes])
        return out


def test_nothing_of_tokens_times_heads_times_width_is_made() -> None:
    """As many heads as d_head is small, so that this would be larger than all else."""
    _, clip = tiny_clip.clip(tiny_clip.config(width=96, head_width=4))
    pixels = tiny_clip.pixels(20)
    forbidden = len(pixels) * TOKENS * clip.trunk.heads * clip.trunk.width
    for capture in (
        lambda: contributions.features(clip, pixels, LAYERS),
        lambda: contributions.terms(clip, pixels),
        lambda: contributions.token_contributions(clip, pixels, 1, range(clip.trunk.heads)),
    ):
        with Largest() as seen:
            capture()
        assert 0 < seen.size < forbidden / 4


def test_what_is_read_of_a_block_does_not_hold_on_to_the_patches(clip: Clip) -> None:
    for step in contributions._steps(clip.trunk, tiny_clip.pixels(COUNT)):
        for tensor in (step.heads, step.mlp, step.after):
            assert tensor.untyped_storage().nbytes() == 4 * tensor.numel()


def test_the_last_layers(clip: Clip) -> None:
    assert contributions.last(clip.trunk, 2) == (1, 2)
    for count in (0, 4):
        with pytest.raises(VitpeelError, match=f"last {count} layers are asked for, but the model has 3"):
            contributions.last(clip.trunk, count)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    sizes = [(40, 40), (50, 32), (33, 70), (64, 64), (32, 32)]
    paths = [tmp_path / f"{number}.png" for number in range(COUNT)]
    for path, photo in zip(paths, tiny_clip.photos(*sizes), strict=True):
        photo.save(path)
    return [Picture(path.stem, path) for path in paths]


def test_files_give_back_what_was_captured(clip: Clip, pictures: list[Picture], tmp_path: Path) -> None:
    origin = Provenance(checkpoint="c", config='{"layers":[1,2]}')
    path = tmp_path / "features.safetensors"
    feature_files.capture(clip, pictures, path, LAYERS, origin, batch=2)
    pixels = clip.preprocess([Image.open(picture.path) for picture in pictures])
    expected = contributions.features(clip, pixels, LAYERS)
    read = list(feature_files.stored(path, 3, origin))
    assert [len(found.heads) for found in read] == [3, 2]
    assert_close(torch.cat([found.heads for found in read]), expected.heads, atol=1e-5, rtol=0)
    assert_close(torch.cat([found.scalars for found in read]), expected.scalars, atol=1e-5, rtol=1e-5)
    with open_tensors(path, origin, "pt") as file:
        assert file.image_ids == tuple(picture.image_id for picture in pictures)
        assert feature_files.layers_of(path, file.provenance) == LAYERS
        assert torch.equal(feature_files.rows(file, 1, 2).heads, read[0].heads[1:2])
    with pytest.raises(ProvenanceError, match="made with"):
        next(feature_files.stored(path, 3, Provenance(checkpoint="d")))
    with pytest.raises(ProvenanceError, match="does not say which layers it holds"):
        feature_files.layers_of(path, Provenance(checkpoint="c"))


def test_files_in_half_precision(clip: Clip, pictures: list[Picture], tmp_path: Path) -> None:
    paths = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    for path, dtype in zip(paths, ("float32", "float16"), strict=True):
        feature_files.capture(clip, pictures, path, LAYERS, Provenance(), batch=9, dtype=dtype)
    whole, half = (next(feature_files.stored(path, 9)) for path in paths)
    assert torch.equal(half.heads, whole.heads.half())
    assert torch.equal(half.scalars, whole.scalars)
    maps = contributions.maps(clip, LAYERS)
    assert_close(contributions.expand(half, maps), contributions.expand(whole, maps), atol=1e-3, rtol=0)


def test_the_origin_of_features_says_their_layers(tmp_path: Path) -> None:
    tiny_clip.save(tmp_path)
    clip = openclip.load(tmp_path, device="cpu")
    origin = feature_files.origin_of(clip, tmp_path, "float32", LAYERS)
    assert (origin.dtype, origin.preprocessing) == ("float32", clip.preprocessing)
    assert feature_files.layers_of(tmp_path, origin) == LAYERS
    assert origin != feature_files.origin_of(clip, tmp_path, "float32", (2,))
