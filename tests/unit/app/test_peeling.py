"""One picture through the captioner gives what the pipeline's files give of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from vitpeel import activations, caption_tables, heads, heatmap_files, models
from vitpeel.app import peeling
from vitpeel.config import Decoding
from vitpeel.datasets.pictures import Picture, open_rgb
from vitpeel.heatmaps import Outliers
from vitpeel.models import Model
from vitpeel.sweep import unedited

HOW = Outliers(rule="top", share=0.1)
DECODING = Decoding(beams=2, max_new_tokens=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("tiny"), tiny.config())


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return models.load("instructblip", folder, prompt=tiny.PROMPT, device="cpu")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    path = tmp_path_factory.mktemp("picture") / "a.png"
    noise = np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((48, 40)).save(path)
    return Picture("a", path)


def test_captions_and_maps_are_those_of_the_pipeline(
    model: Model, folder: Path, picture: Picture, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    found = peeling.peel(
        model, picture, open_rgb(picture.path), DECODING, 16, HOW, lambda *done: told.append(done)
    )
    depth = model.trunk.depth
    origin = activations.origin_of(model, folder, "float32")
    files = tmp_path / "residuals.safetensors", tmp_path / "attention.safetensors"
    activations.capture(model, [picture], files[0], files[1], origin, 1)
    heatmap_files.write([files[1]], tmp_path / "heatmaps.safetensors", HOW)
    rows = activations.cached_layers(files[0], origin)
    expected = caption_tables.caption(model, rows, ["a"], [unedited(depth)], DECODING, 16)
    assert found.captions["caption"].tolist() == expected["caption"].tolist()
    assert len(set(expected["caption"])) > 1
    ((_, raw, handled, _),) = heatmap_files.every(tmp_path / "heatmaps.safetensors")
    assert not np.allclose(raw, handled)
    np.testing.assert_allclose(found.maps, handled / handled.mean((1, 2), keepdims=True), rtol=1e-4)
    assert told == [(done, depth) for done in range(1, depth + 1)]


@pytest.mark.parametrize("layer", [0, 2])
def test_heads_are_those_of_figure_6(model: Model, folder: Path, picture: Picture, layer: int) -> None:
    image = open_rgb(picture.path)
    found = peeling.peel(model, picture, image, DECODING, 16, HOW)
    rows = peeling.peel_heads(model, picture, layer, "alone", DECODING, 16)
    # read with the trunk itself: the stream before, one head, then the MLP
    trunk, said = model.trunk, []
    with torch.inference_mode():
        z = trunk.embed(model.preprocess([image]))
        for before in range(layer):
            z = trunk.block(before, z)
        for head in range(trunk.heads):
            scale = torch.eye(trunk.heads)[head]
            z_hat = trunk.attention(layer, z, scale) + z
            own = trunk.mlp(layer, z_hat) + z_hat
            said.append(next(iter(model.captioner.caption([(head, own[0])], DECODING, 16))).text)
    assert rows.loc[rows["part"] == "head", "caption"].tolist() == said
    assert rows.loc[rows["part"] == "layer", "caption"].item() == found.caption(layer)


def test_tables_of_the_heads_are_those_of_the_pipelines_files(
    model: Model, folder: Path, picture: Picture, tmp_path: Path
) -> None:
    found = peeling.peel(model, picture, open_rgb(picture.path), DECODING, 16, HOW)
    origin = activations.origin_of(model, folder, "float32")
    activations.capture(model, [picture], None, tmp_path / "attention.safetensors", origin, 1)
    for layer in (0, 2):
        expected = heads.fig6_heatmaps([tmp_path / "attention.safetensors"], ["a"], layer, HOW)
        key = ["layer", "head", "row", "column"]
        both = [
            table.assign(head=table["head"].fillna(-1)).set_index(key)["attention"].sort_index()
            for table in (peeling.head_tables(found, layer), expected)
        ]
        assert len(both[0]) == len(both[1])
        np.testing.assert_allclose(both[0], both[1], rtol=1e-4)
