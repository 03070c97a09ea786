"""CLIP's parts against open_clip itself; folders that are not such a checkpoint are refused in one line."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import open_clip
import pytest
import tiny_clip
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from vitpeel.errors import InputError
from vitpeel.models import openclip

REAL = ("ViT-B-16-quickgelu", "ViT-B-32-quickgelu", "ViT-L-14-quickgelu", "ViT-B-16", "ViT-B-32", "ViT-L-14")
SENTENCES = ["a red dog", "snow on the house", "a photo of fish in a tree in the snow on the car"]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "saved"
    tiny_clip.save(folder)
    return folder


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoint"))


def load(folder: Path, **settings: Any) -> openclip.Clip:
    return openclip.load(folder, device="cpu", **settings)


def refusal(folder: Path) -> str:
    """The one line that refuses the folder."""
    with pytest.raises(InputError) as refused:
        load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def change(folder: Path, changed: Callable[[dict[str, Any]], Any]) -> None:
    """Change the folder's configuration."""
    config = json.loads((folder / openclip.CONFIG).read_text())
    changed(config)
    (folder / openclip.CONFIG).write_text(json.dumps(config))


def assert_equal_to_open_clip(model: Any, clip: openclip.Clip, size: int, atol: float) -> None:
    """Every block, the picture's embedding, and its length."""
    pixels, seen = tiny_clip.pixels(1, size), []
    hooks = [
        block.register_forward_hook(lambda _, args, out: seen.append(out))
        for block in model.visual.transformer.resblocks
    ]
    expected = model.encode_image(pixels)
    for hook in hooks:
        hook.remove()
    last = torch.empty(0)
    for layer, z in clip.trunk.layers(pixels):
        assert_close(z, seen[layer], atol=atol, rtol=0)
        last = z
    assert layer + 1 == len(seen)
    assert 1 < seen[-1].abs().mean() < 100  # neither vanishing nor drowned
    assert_close(clip.project(last[:, 0]), expected, atol=atol, rtol=0)


@pytest.mark.parametrize("name", REAL)
def test_each_published_configuration_equals_open_clip(name: str) -> None:
    model, clip = tiny_clip.clip(open_clip.get_model_config(name))
    assert (clip.trunk.pre is None, clip.trunk.heads) == (False, 16 if "L" in name else 12)
    assert clip.grid[0] == 224 // int(name.split("-")[2])
    assert_equal_to_open_clip(model, clip, 224, atol=1e-4)
    texts = ["a photo of a dog"]
    expected = model.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True)
    assert_close(clip.texts(texts), expected, atol=1e-4, rtol=0)


def test_a_folder_gives_what_open_clip_reads_from_it(saved: Path) -> None:
    clip, (model, _) = load(saved), open_clip.create_model_from_pretrained(f"local-dir:{saved}")
    model.eval()
    pixels = tiny_clip.pixels(3)
    expected = model.encode_image(pixels, normalize=True)
    assert_close(clip.pictures(pixels), expected, atol=1e-6, rtol=0)
    assert not torch.allclose(expected[0], expected[1], atol=0.1)
    tokens = open_clip.get_tokenizer(f"local-dir:{saved}")(SENTENCES)
    assert len(set(map(tuple, tokens.tolist()))) == 3 and not (tokens == 1).any()  # 1: unknown
    found = clip.texts(SENTENCES)
    assert_close(found, model.encode_text(tokens, normalize=True), atol=1e-6, rtol=0)
    assert_close(found.norm(dim=-1), torch.ones(3))
    assert clip.texts([]).shape == (0, tiny_clip.EMBEDDING)
    assert clip.texts([SENTENCES[1]] * 300).shape == (300, tiny_clip.EMBEDDING)
    assert clip.grid == (4, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.4, 0.3], "size": 224},
        {"resize_mode": "squash", "interpolation": "bilinear"},
        {"resize_mode": "longest", "fill_color": 3},
    ],
)
def test_pictures_become_exactly_what_open_clip_makes_of_them(settings: Any, tmp_path: Path) -> None:
    tiny_clip.save(tmp_path, **settings)
    _, transform = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    photos = tiny_clip.photos((32, 32), (50, 70), (301, 33), (20, 10))
    clip = load(tmp_path)
    assert torch.equal(clip.preprocess(photos), torch.stack([transform(photo) for photo in photos]))
    described = json.loads(clip.preprocessing)
    assert described["size"] == 32
    assert described.get("mean") == settings.get("mean", described["mean"])
    assert openclip.preprocessing(tmp_path) == clip.preprocessing


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth", "pytorch_model.bin"])
def test_a_pickle_is_never_opened(
    name: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (checkpoint / name).write_bytes(pickle.dumps(Bomb()))
    # open_clip prefers its own pickle to safetensors of another name
    (checkpoint / tiny_clip.WEIGHTS).rename(checkpoint / "model.safetensors")
    load(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    assert refusal(checkpoint).endswith(
        f"only {name}, which may run code when opened; put open_clip_model.safetensors there"
    )
    (checkpoint / name).unlink()
    assert "no weights" in refusal(checkpoint)
    assert not Path("exploded").exists()


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors"])
def test_weights_of_transformers_beside_open_clips_are_left_alone(name: str, tmp_path: Path) -> None:
    model = tiny_clip.save(tmp_path, weights=name)
    save_file({"vision_model.something": torch.ones(2)}, tmp_path / "model.safetensors")
    pixels = tiny_clip.pixels(2)
    assert_close(load(tmp_path).pictures(pixels), model.encode_image(pixels, normalize=True))


def test_two_files_of_which_neither_is_open_clips_are_refused(checkpoint: Path) -> None:
    (checkpoint / tiny_clip.WEIGHTS).rename(checkpoint / "a.safetensors")
    load(checkpoint)
    shutil.copy(checkpoint / "a.safetensors", checkpoint / "b.safetensors")
    assert "a.safetensors, b.safetensors; rename the one" in refusal(checkpoint)


@pytest.mark.parametrize(
    "settings",
    [
        tiny_clip.config(no_ln_pre=True),
        tiny_clip.config(patch_dropout=0.5),
        tiny_clip.config(final_ln_after_pool=True),
        tiny_clip.config(norm_kwargs={"eps": 0.1}),
        {**tiny_clip.SMALL, "quick_gelu": False},
        {**tiny_clip.SMALL, "custom_text": True},
    ],
    ids=["no norm before", "dropout", "norm after pooling", "another eps", "gelu", "text apart"],
)
def test_what_a_configuration_may_change(settings: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_clip.save(tmp_path, settings)
    clip = load(tmp_path)
    assert_equal_to_open_clip(model, clip, 32, atol=1e-5)
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(SENTENCES)
    assert_close(clip.texts(SENTENCES), model.encode_text(tokens, normalize=True), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (tiny_clip.config(pool_type="avg"), "pool_type avg"),
        (tiny_clip.config(attentional_pool=True, attn_pooler_heads=5), "attentional pooling"),
        (tiny_clip.config(ls_init_value=0.1), "no place in the trunk for transformer.resblocks.0.ls_1.gamma"),
        (tiny_clip.config(qk_norm=True), "no place in the trunk for"),
        (tiny_clip.config(scale_heads=True), "no place in the trunk for"),
        (tiny_clip.config(scaled_cosine_attn=True), "no place in the trunk for"),
    ],
)
def test_a_tower_that_the_trunk_has_not_is_refused(settings: Any, reason: str, tmp_path: Path) -> None:
    tiny_clip.save(tmp_path, settings)
    assert reason in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda c: c["model_cfg"]["vision_cfg"].update(timm_model_name="vit_x"), "a timm tower (vit_x)"),
        (lambda c: c["model_cfg"]["vision_cfg"].update(layers=[3, 4, 6, 3]), "a ResNet"),
        (lambda c: c["model_cfg"]["text_cfg"].update(hf_model_name="bert"), "texts go through bert"),
        (lambda c: c["model_cfg"].update(multimodal_cfg={}), "a CoCa"),
        (lambda c: c["model_cfg"]["vision_cfg"].update(colour="red"), "model_cfg is not a CLIP's"),
        (lambda c: c["model_cfg"].pop("text_cfg"), "KeyError: 'text_cfg'"),
        (lambda c: c["model_cfg"].update(vision_cfg="large"), "vision_cfg is no mapping"),
        (lambda c: c["preprocess_cfg"].update(interpolation="nearest"), "preprocess_cfg is not open_clip's"),
        (lambda c: c["preprocess_cfg"].update(mode="L"), "preprocess_cfg is not open_clip's"),
        (lambda c: c.update(preprocess_cfg=["RGB"]), "preprocess_cfg is not open_clip's"),
        (
            lambda c: c["model_cfg"]["vision_cfg"].update(image_size=64),
            "visual.positional_embedding is (17, 48) in the weights but (65, 48) by open_clip_config.json",
        ),
        (
            lambda c: c["model_cfg"]["vision_cfg"].update(layers=4),
            "12 weights are missing, such as visual.transformer.resblocks.3.attn.in_proj_bias",
        ),
        (
            lambda c: c["model_cfg"]["vision_cfg"].update(layers=2),
            "12 weights are too many, such as visual.transformer.resblocks.2.attn.in_proj_bias",
        ),
        (lambda c: c["model_cfg"]["text_cfg"].pop("hf_tokenizer_name"), "the tokenizer has 49408 words but"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    changed: Callable[[dict[str, Any]], Any], reason: str, checkpoint: Path
) -> None:
    change(checkpoint, changed)
    assert reason in refusal(checkpoint)


def test_a_folder_in_pieces_is_refused(checkpoint: Path) -> None:
    weights = checkpoint / tiny_clip.WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-9])
    assert "not readable" in refusal(checkpoint)
    weights.write_bytes(whole)
    for file in checkpoint.glob("tokenizer*"):
        file.unlink()
    assert "no usable tokenizer" in refusal(checkpoint)
    (checkpoint / openclip.CONFIG).write_text("{")
    assert "not readable as open_clip's configuration (JSONDecodeError" in refusal(checkpoint)
    (checkpoint / openclip.CONFIG).unlink()
    assert "no open_clip_config.json; name a folder in the layout of the hub" in refusal(checkpoint)


def test_half_precision_halves_the_matrices_and_not_the_stream(saved: Path) -> None:
    whole, half = load(saved), load(saved, dtype="float16")
    assert half.trunk.blocks[0].qkv.weight.dtype == half.trunk.patches.weight.dtype == torch.float16
    pixels = tiny_clip.pixels(2)
    assert half.trunk.embed(pixels).dtype == torch.float32
    assert_close(half.pictures(pixels), whole.pictures(pixels), atol=5e-3, rtol=0)
    assert torch.equal(half.texts(SENTENCES), whole.texts(SENTENCES))


def test_weights_stored_in_half_are_read_in_float32(checkpoint: Path) -> None:
    stored = {name: value.half() for name, value in load_file(checkpoint / tiny_clip.WEIGHTS).items()}
    save_file(stored, checkpoint / tiny_clip.WEIGHTS)
    clip = load(checkpoint)
    assert clip.projection.dtype == torch.float32
    assert torch.equal(clip.projection.half(), stored["visual.proj"])
