"""What the two shipped CLIPs promise, through open_clip alone: names of unseen pictures, heads that work."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from vitpeel.clip.contributions import terms
from vitpeel.demo.clip_architecture import SIZES
from vitpeel.demo.clip_evaluation import STREAMS, Evaluation, evaluate, load_unseen
from vitpeel.demo.clip_pictures import layout
from vitpeel.demo.scenes import draw
from vitpeel.demo.words import OBJECTS, with_article
from vitpeel.models import openclip

DEMO = Path(__file__).parents[3] / "resources" / "demo"
SEED = 71  # neither training nor the shipped pictures have it
PICTURES = 150


@pytest.fixture(scope="module", params=SIZES)
def folder(request: pytest.FixtureRequest) -> Path:
    return DEMO / request.param


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return open_clip.create_model_from_pretrained(f"local-dir:{folder}")[0].eval()


@pytest.fixture(scope="module")
def found(folder: Path, model: Any) -> dict[str, Evaluation]:
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    return {
        name: evaluate(model, load_unseen(DEMO / "glyphs", SEED, name, PICTURES), tokenizer)
        for name in STREAMS
    }


def test_the_larger_names_objects_in_places_where_training_never_shows_them(
    folder: Path, found: dict[str, Evaluation]
) -> None:
    least = {"clip-large": (0.88, 0.80), "clip-small": (0.85, 0.70)}[folder.name]
    assert found["ordinary"].zero_shot >= least[0] and found["unusual"].zero_shot >= least[1]


def test_pictures_and_their_exact_captions_find_each_other(found: dict[str, Evaluation]) -> None:
    assert found["ordinary"].picture_to_caption > 0.8 and found["ordinary"].caption_to_picture > 0.7


def test_the_recorded_numbers_are_of_these_weights(folder: Path, found: dict[str, Evaluation]) -> None:
    recorded = pd.read_csv(folder / "evaluation.csv", index_col="set")
    assert (recorded["pictures"] == 1000).all()
    for name, result in found.items():
        spread = (recorded.loc[name, "zero_shot"] * (1 - recorded.loc[name, "zero_shot"]) / PICTURES) ** 0.5
        assert abs(result.zero_shot - recorded.loc[name, "zero_shot"]) < 4 * spread + 0.01


def test_open_clip_alone_gives_what_the_adapter_gives(folder: Path, model: Any) -> None:
    pictures = [draw(layout(SEED, k, STREAMS["unusual"]), DEMO / "glyphs") for k in range(24)]
    _, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    prompts = [f"a photo of {with_article(word)}" for word in OBJECTS]
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(one) for one in pictures]), normalize=True)
        texts = model.encode_text(tokenizer(prompts), normalize=True)
        clip = openclip.load(folder, device="cpu")
        own = clip.pictures(clip.preprocess(pictures))
    torch.testing.assert_close(own, images, rtol=0, atol=1e-4)
    torch.testing.assert_close(clip.texts(prompts), texts, rtol=0, atol=1e-4)
    assert clip.grid == model.visual.grid_size and clip.trunk.depth == 12 and clip.trunk.heads >= 6


def test_no_layer_is_idle_and_the_last_four_layers_heads_tell_pictures_apart(folder: Path) -> None:
    clip = openclip.load(folder, device="cpu")
    pictures = [draw(layout(SEED, k, STREAMS["ordinary"]), DEMO / "glyphs") for k in range(64)]
    with torch.no_grad():
        heads = terms(clip, clip.preprocess(pictures)).heads  # [n, layers, heads, embedding]
    spread = (heads - heads.mean(0)).square().sum(-1).mean(0).sqrt()  # of a unit embedding
    assert (spread.amax(1) > 0.01).all()
    assert (spread[-4:] > 0.004).all()  # the least of clip-large moves it by 0.0047, the most by 0.2


def test_together_they_are_small_half_precision_and_safetensors_only() -> None:
    files = [path for name in SIZES for path in (DEMO / name).iterdir()]
    assert sum(path.stat().st_size for path in files) <= 15e6
    assert {path.suffix for path in files} == {".safetensors", ".json", ".csv"}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as weights:
                kinds = {weights.get_tensor(name).dtype for name in weights.keys()}  # noqa: SIM118
            assert kinds == {np.dtype(np.float16)}


def test_the_picture_size_does_not_matter_to_the_preprocessing(folder: Path) -> None:
    _, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    assert preprocess(Image.new("RGB", (300, 100))).shape == (3, 64, 64)
