"""A checkpoint that does not fit the device is refused before its weights are read, with the numbers."""

from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from vitpeel import models
from vitpeel.errors import InputError
from vitpeel.models import Precision, room

CPU = torch.device("cpu")
WHOLE = Precision("float32", "float32", "float32")
MIXED = Precision("float16", "float32", "bfloat16")


@pytest.fixture(scope="module", params=["instructblip", "blip2"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny.config() if request.param == "instructblip" else tiny.blip2_config()
    return tiny.save(tmp_path_factory.mktemp(request.param), config)


def bytes_on_disk(checkpoint: Path) -> int:
    weights = load_file(checkpoint / "model.safetensors")
    return sum(weight.numel() * 4 for weight in weights.values())


def allow(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(room, "room", lambda place: (free, 2 * free))


def test_every_weight_is_counted_once(saved: Path) -> None:
    parts = room.count(saved)
    assert all(parts.values())
    assert 4 * sum(parts.values()) == bytes_on_disk(saved)


def test_the_parts_are_those_of_the_model(saved: Path) -> None:
    kind = "instructblip" if "instructblip" in str(saved) else "blip2"
    trunk = models.load(kind, saved, prompt=tiny.PROMPT, device="cpu").trunk
    kept = [trunk.cls, trunk.positions, trunk.patches.weight, trunk.patches.bias]
    for block in trunk.blocks:
        layers = (block.norm1, block.qkv, block.out, block.norm2, block.up, block.down)
        kept += [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
    kept += [trunk.post.weight, trunk.post.bias]
    assert room.count(saved)["vision"] == sum(tensor.numel() for tensor in kept if tensor is not None)


def test_what_fits_exactly_is_let_in_and_one_byte_less_is_not(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = bytes_on_disk(saved)
    allow(monkeypatch, needed)
    room.check(saved, WHOLE, CPU)
    allow(monkeypatch, needed - 1)
    with pytest.raises(InputError):
        room.check(saved, WHOLE, CPU)


def test_half_precision_needs_half(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = room.count(saved)
    allow(monkeypatch, 2 * parts["vision"] + 4 * parts["qformer"] + 2 * parts["language"])
    room.check(saved, MIXED, CPU)
    with pytest.raises(InputError):
        room.check(saved, WHOLE, CPU)


def test_loading_says_the_numbers_and_what_to_do(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "instructblip" if "instructblip" in str(saved) else "blip2"
    allow(monkeypatch, 0)
    with pytest.raises(InputError) as refused:
        models.load(kind, saved, prompt=tiny.PROMPT, device="cpu", language_dtype="bfloat16")
    said = str(refused.value)
    assert "\n" not in said and str(saved) in said
    assert "0.00 GB are free" in said and "billion in bfloat16" in said and "model.dtype" in said


def test_the_machines_memory_is_what_the_system_says() -> None:
    free, whole = room.room(CPU)
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    assert whole == int(total.split()[1]) * 1024
    assert 0 < free <= whole
