"""Loading a checkpoint folder of either kind: what comes out, and what is refused in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from vitpeel import models
from vitpeel.config import Decoding
from vitpeel.errors import InputError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("saved"), tiny.config())


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("blip2"), tiny.blip2_config())


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoint"))


def load(folder: Path, **changes: str) -> models.Model:
    return models.load("instructblip", folder, **{"prompt": tiny.PROMPT, "device": "cpu", **changes})


def refusal(folder: Path) -> str:
    """The one line that refuses the folder."""
    with pytest.raises(InputError) as refused:
        load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_pictures_become_what_the_checkpoints_processor_makes_of_them(saved: Path) -> None:
    model = load(saved)
    noise = np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    pictures = [Image.fromarray(picture) for picture in noise]
    expected = tiny.processor(32, 4)(images=pictures, text="a", return_tensors="pt")["pixel_values"]
    assert torch.equal(model.preprocess(pictures), expected)
    assert model.grid == (4, 4)
    assert json.loads(model.preprocessing)["size"] == {"height": 32, "width": 32}


def test_pictures_take_the_models_size_whatever_the_processor_says(checkpoint: Path) -> None:
    """The published processor's default is 384 pixels, the model's pictures are 224."""
    tiny.processor(48, 4).save_pretrained(checkpoint)
    model = load(checkpoint)
    assert model.preprocess([Image.new("RGB", (9, 9))]).shape == (1, 3, 32, 32)


def test_precision_is_the_one_asked_for(saved: Path) -> None:
    model = load(saved, dtype="bfloat16")
    trunk = model.trunk
    z = trunk.embed(model.preprocess([Image.new("RGB", (9, 9))]))
    assert trunk.attention(0, z).dtype == trunk.mlp(0, z).dtype == torch.bfloat16
    assert model.captioner.encode(z).dtype == torch.bfloat16


def test_half_precision_adds_the_stream_up_in_float32_as_lavis_does(saved: Path) -> None:
    """Matrices are halved; norms, positions and the stream are not: sums of many blocks keep their digits."""
    half, whole = load(saved, dtype="float16").trunk, load(saved).trunk
    pixels = tiny.pictures(2)
    layers = zip(half.layers(pixels), whole.layers(pixels), strict=True)
    for (_, rounded), (_, exact) in layers:
        assert rounded.dtype == torch.float32
        assert 0 < (rounded - exact).abs().max() < 2e-3 * exact.abs().max()
    assert torch.equal(half.post.weight, whole.post.weight)
    assert torch.equal(half.positions, whole.positions)
    assert half.blocks[0].up.weight.dtype == torch.float16


def test_each_part_has_a_precision_of_its_own(saved: Path) -> None:
    """float16 for the vision transformer and bfloat16 for T5, each rounded once from the stored weights."""
    model = load(saved, dtype="float16", qformer_dtype="float32", language_dtype="bfloat16")
    weights = load_file(saved / "model.safetensors")
    z = model.trunk.embed(model.preprocess([Image.new("RGB", (9, 9))]))
    assert model.trunk.attention(0, z).dtype == torch.float16
    assert model.captioner.queries(z).dtype == torch.float32
    assert model.captioner.encode(z).dtype == torch.bfloat16
    head = next(value for name, value in weights.items() if name.endswith("lm_head.weight"))
    assert torch.equal(model.captioner.t5.head, head.to(torch.bfloat16))
    assert not torch.equal(model.captioner.t5.head.float(), head.to(torch.float16).float())
    decoding = Decoding(max_new_tokens=4)
    assert len(list(model.captioner.caption([(0, z[0])], decoding, 4))) == 1


def test_half_precision_also_holds_where_transformers_keeps_float32(saved: Path, blip2: Path) -> None:
    for kind, folder in (("instructblip", saved), ("blip2", blip2)):
        model = models.load(kind, folder, prompt=tiny.PROMPT, device="cpu", dtype="float16")
        assert model.captioner.encode(model.trunk.embed(tiny.pictures(1))).dtype == torch.float16


def test_preprocessing_is_known_without_the_weights(saved: Path, blip2: Path, checkpoint: Path) -> None:
    assert models.preprocessing("instructblip", saved) == load(saved).preprocessing
    assert models.preprocessing("blip2", blip2) == load(saved).preprocessing
    (checkpoint / "model.safetensors").unlink()
    assert models.preprocessing("instructblip", checkpoint) == load(saved).preprocessing


def test_a_checkpoint_of_the_other_kind_is_refused_naming_both(saved: Path, blip2: Path) -> None:
    expected = f"{blip2}: BLIP-2, but model.kind is instructblip, InstructBLIP; write kind: blip2, or"
    assert expected in refusal(blip2)
    with pytest.raises(InputError, match=r"InstructBLIP, but model.kind is blip2, BLIP-2; write kind: instr"):
        models.load("blip2", saved, prompt=tiny.PROMPT, device="cpu")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'}: no config.json" in refusal(tmp_path / "nowhere")


def test_a_folder_without_weights_is_refused(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    assert f"{checkpoint}: no weights; put model.safetensors there" in refusal(checkpoint)


def test_pickled_weights_are_refused(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    assert "only pytorch_model.bin, which may run code" in refusal(checkpoint)


def test_weights_of_another_shape_are_refused(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    name = "vision_model.encoder.layers.1.mlp.fc1.weight"
    save_file(
        {**weights, name: weights[name][:-8].clone()}, checkpoint / "model.safetensors", {"format": "pt"}
    )
    expected = f"{checkpoint}: {name} is (40, 32) in the weights but (48, 32) by config.json"
    assert expected in refusal(checkpoint)


def test_a_missing_weight_is_refused(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    del weights["query_tokens"]
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    assert "1 weights are missing, such as query_tokens" in refusal(checkpoint)


def test_cut_off_weights_are_refused(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert f"{weights}: not readable as safetensors" in refusal(checkpoint)


def test_another_kind_of_model_is_refused(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config["text_config"]))
    assert "a t5, but InstructBLIP with a T5 is needed" in refusal(checkpoint)


def test_a_prompt_without_room_for_the_picture_is_refused(checkpoint: Path) -> None:
    """transformers would caption every picture alike, and say nothing."""
    tiny.processor(32, 3).save_pretrained(checkpoint)
    message = refusal(checkpoint)
    assert "3 image tokens in the prompt, but the model has 4 queries" in message
    assert "processor_config.json" in message


def test_a_missing_processor_is_refused(checkpoint: Path) -> None:
    for path in checkpoint.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "no usable processor" in refusal(checkpoint)
