"""What is kept of every layer equals what transformers computes, whatever the batch and however it is cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from vitpeel import activations, models
from vitpeel.datasets.pictures import Picture
from vitpeel.errors import ProvenanceError
from vitpeel.provenance import Provenance
from vitpeel.sweep import unedited
from vitpeel.tables import Reading
from vitpeel.tensors import open_tensors

BLOCKS = 3


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Picture], Any, Provenance]:
    """Seven pictures through a random checkpoint, three at a time: folder, pictures, model, what made it."""
    folder = tmp_path_factory.mktemp("captured")
    checkpoint = tiny.save(folder / "checkpoint", tiny.config(blocks=BLOCKS))
    generator = np.random.default_rng(0)
    pictures = []
    for name in "abcdefg":
        path = folder / f"{name}.png"
        Image.fromarray(generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
        pictures.append(Picture(name, path))
    model = models.load("instructblip", checkpoint, prompt=tiny.PROMPT, device="cpu")
    origin = activations.origin_of(model, checkpoint, "float32")
    activations.capture(model, pictures, folder / "r.safetensors", folder / "a.safetensors", origin, 3)
    return folder, pictures, model, origin


def vision_model(folder: Path) -> Any:
    from transformers import InstructBlipForConditionalGeneration

    whole: Any = InstructBlipForConditionalGeneration.from_pretrained(
        folder / "checkpoint", attn_implementation="eager"
    )
    return whole.vision_model.eval()


def test_residuals_and_attention_equal_transformers(captured: Any) -> None:
    folder, pictures, model, origin = captured
    pixels = model.preprocess([Image.open(picture.path) for picture in pictures])
    with torch.no_grad():
        expected = vision_model(folder)(pixels, output_hidden_states=True, output_attentions=True)
    with open_tensors(folder / "r.safetensors", origin, "pt") as file:
        stored = file.rows("residuals")
        assert file.image_ids == tuple("abcdefg")
    torch.testing.assert_close(stored, torch.stack(expected.hidden_states, 1), atol=1e-4, rtol=0)
    with open_tensors(folder / "a.safetensors", origin, "pt") as file:
        looks, norms = file.rows("attention"), file.rows("norms")
    rows = torch.stack([weights[:, :, 0] for weights in expected.attentions], 1)
    torch.testing.assert_close(looks, rows, atol=1e-5, rtol=0)
    lengths = torch.stack(expected.hidden_states[:-1], 1).norm(dim=-1)
    torch.testing.assert_close(norms, lengths, atol=1e-4, rtol=0)


def test_cached_and_fresh_layers_are_the_same_bits(captured: Any) -> None:
    folder, pictures, model, origin = captured
    cached = list(activations.cached_layers(folder / "r.safetensors", origin))
    fresh = list(activations.swept(model, pictures, [unedited(model.trunk.depth)], batch=2))
    keys = [
        Reading(picture.image_id, "unedited", layer, None) for picture in pictures for layer in range(BLOCKS)
    ]
    assert [key for key, _ in cached] == keys == sorted(key for key, _ in fresh)
    again = dict(fresh)
    assert all(torch.equal(z, again[key]) for key, z in cached)


def test_residuals_of_another_checkpoint_are_refused(captured: Any) -> None:
    folder, *_ = captured
    with pytest.raises(ProvenanceError, match=r"r\.safetensors: made with checkpoint .* Delete it"):
        next(activations.cached_layers(folder / "r.safetensors", Provenance(checkpoint="0" * 64)))


def test_a_shard_without_pictures_is_an_empty_file(captured: Any, tmp_path: Path) -> None:
    _, _, model, origin = captured
    activations.capture(model, [], tmp_path / "r.safetensors", tmp_path / "a.safetensors", origin, 4)
    assert list(activations.cached_layers(tmp_path / "r.safetensors", origin)) == []


@pytest.mark.parametrize(("items", "parts"), [(7, 1), (7, 3), (2, 5), (0, 2)])
def test_shards_cover_everything_once_and_in_order(items: int, parts: int) -> None:
    whole = list(range(items))
    cut = [activations.shard(whole, f"{part}-of-{parts}") for part in range(parts)]
    assert [item for part in cut for item in part] == whole
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
