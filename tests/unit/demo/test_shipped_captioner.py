"""What the shipped captioner promises on the 200 unusual pictures, pairs that training never showed."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from vitpeel import models
from vitpeel.config import Decoding
from vitpeel.datasets import folder
from vitpeel.datasets.pictures import open_rgb
from vitpeel.demo.words import PROMPT, objects_in
from vitpeel.scores import references
from vitpeel.sweep import Variant, sweep

DEMO = Path(__file__).parents[3] / "resources" / "demo"
LAYERS = (5, 15, 25, 32, 38)


@pytest.fixture(scope="module")
def pictures() -> list:
    return list(folder.index(DEMO / "whoops", DEMO / "whoops" / "captions.csv").pictures)


@pytest.fixture(scope="module")
def captions(pictures: list) -> pd.DataFrame:
    model = models.load("instructblip", DEMO / "captioner", prompt=PROMPT, device="cpu")
    pixels = model.preprocess([open_rgb(picture.path) for picture in pictures])
    with torch.inference_mode():
        readings = list(sweep(model.trunk, pixels, [Variant("unedited", LAYERS)]))
    rows = (
        ((picture.image_id, reading.layer), z)
        for reading in readings
        for picture, z in zip(pictures, reading.z, strict=True)
    )
    said = model.captioner.caption(rows, Decoding(), batch=200)
    table = pd.DataFrame([(*row.key, row.text) for row in said], columns=["image_id", "layer", "caption"])
    return table.assign(variant="unedited", head=pd.NA)


@pytest.fixture(scope="module")
def right_objects(pictures: list, captions: pd.DataFrame) -> pd.Series:
    """Return the share of pictures whose caption names exactly the objects shown, a layer a row."""
    shown = {picture.image_id: objects_in(picture.references[0]) for picture in pictures}
    right = [
        objects_in(caption) == shown[image]
        for image, caption in zip(captions["image_id"], captions["caption"], strict=True)
    ]
    return pd.Series(right).groupby(captions["layer"]).mean()


def test_the_last_layer_names_the_right_objects(right_objects: pd.Series) -> None:
    assert right_objects[38] >= 0.80


def test_an_early_layer_does_not(right_objects: pd.Series) -> None:
    assert right_objects[5] <= 0.15


def test_understanding_rises_with_depth(right_objects: pd.Series) -> None:
    assert right_objects[[15, 25, 32, 38]].is_monotonic_increasing
    assert right_objects[38] - right_objects[25] > 0.1


def test_cider_of_the_last_layer(pictures: list, captions: pd.DataFrame) -> None:
    last = captions[captions["layer"] == 38]
    gold = {picture.image_id: picture.references for picture in pictures}
    scores = references.score(last, gold, metrics=("cider",))
    assert scores.loc[scores["metric"] == "cider", "value"].mean() >= 1.2


def test_the_checkpoint_is_small_and_half_precision() -> None:
    from safetensors import safe_open

    weights = DEMO / "captioner" / "model.safetensors"
    assert sum(path.stat().st_size for path in weights.parent.rglob("*") if path.is_file()) <= 20e6
    with safe_open(weights, framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
