"""TextSpan on every head of the last layers of the demo CLIPs: the picks of the published algorithm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from published import transcription

from vitpeel.clip import contributions, moments, textspan
from vitpeel.clip.contributions import Features
from vitpeel.models import openclip

DEMO = Path(__file__).parents[3] / "resources/demo"
PICKS = 10


@pytest.mark.parametrize("name", ["clip-small", "clip-large"])
def test_picks_on_the_demo_heads_are_those_of_the_published_algorithm(name: str) -> None:
    clip = openclip.load(DEMO / name, device="cpu")
    sentences = (DEMO / "descriptions.txt").read_text().splitlines()
    paths = sorted((DEMO / "imagenet").glob("*.jpg")) + sorted((DEMO / "whoops").glob("*.jpg"))
    layers = contributions.last(clip.trunk, 4)
    with torch.inference_mode():
        pixels = clip.preprocess([Image.open(path).convert("RGB") for path in paths])
        total = contributions.terms(clip, pixels).total
        assert torch.allclose(total, clip.pictures(pixels), atol=1e-4)
        found = contributions.features(clip, pixels, layers)
        maps = contributions.maps(clip, layers)
        texts = clip.texts(sentences)
        table = textspan.table(name, moments.sums(layers, maps, [found]), sentences, texts, PICKS)
        whole = contributions.expand(Features(found.heads.double(), found.scalars.double()), maps)
    for (layer, head), own in table.groupby(["layer", "head"]):
        data = whole[:, layers.index(layer), head].numpy()
        rank = int(np.linalg.matrix_rank(data, rtol=1e-6))
        expected, shares = transcription(data, texts.double().numpy(), PICKS, rank)
        assert list(own["text"]) == [sentences[text] for text in expected]
        np.testing.assert_allclose(own["share"], shares, atol=1e-8)
    assert len(table) == len(layers) * clip.trunk.heads * PICKS


@pytest.mark.parametrize("name", ["clip-small", "clip-large"])
def test_batches_of_any_size_give_the_same_features_and_the_same_table(name: str) -> None:
    clip = openclip.load(DEMO / name, device="cpu")
    layers = contributions.last(clip.trunk, 4)
    sentences = (DEMO / "descriptions.txt").read_text().splitlines()
    paths = sorted((DEMO / "imagenet").glob("*.jpg"))[:48]
    with torch.inference_mode():
        pixels = clip.preprocess([Image.open(path).convert("RGB") for path in paths])
        maps, texts = contributions.maps(clip, layers), clip.texts(sentences)
        captured, tables = [], []
        for sizes in ([16, 8, 16, 8], [6] * 8, [48]):
            some = [contributions.features(clip, part, layers) for part in pixels.split(sizes)]
            captured.append(Features(*map(torch.cat, ([f.heads for f in some], [f.scalars for f in some]))))
            tables.append(textspan.table(name, moments.sums(layers, maps, some), sentences, texts, PICKS))
    for other, table in zip(captured[1:], tables[1:], strict=True):
        assert torch.equal(other.heads, captured[0].heads)
        assert torch.equal(other.scalars, captured[0].scalars)
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
