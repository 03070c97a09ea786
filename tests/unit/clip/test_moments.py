"""Moments equal numpy's over the contributions themselves, whatever the batches and the shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_clip
import torch
from tiny_clip import EMBEDDING, HEAD, HEADS
from torch import Tensor
from torch.testing import assert_close

from vitpeel.clip import contributions, moments
from vitpeel.clip.contributions import Features
from vitpeel.clip.moments import Moments
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.models.openclip import Clip
from vitpeel.provenance import Provenance, canonical

COUNT, LAYERS = 60, (1, 2)
MADE = Provenance(checkpoint="c", config=canonical({"layers": LAYERS}))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return tiny_clip.clip()[1]


@pytest.fixture(scope="module")
def maps(clip: Clip) -> Tensor:
    return contributions.maps(clip, LAYERS)


@pytest.fixture(scope="module")
def captured(clip: Clip) -> Features:
    return contributions.features(clip, tiny_clip.pixels(COUNT), LAYERS)


def split(found: Features, *sizes: int) -> list[Features]:
    """The same in batches."""
    return [
        Features(*parts) for parts in zip(found.heads.split(sizes), found.scalars.split(sizes), strict=True)
    ]


def assert_same(found: Moments, expected: Moments) -> None:
    """Up to 1e-12 of each moment's largest value."""
    assert (found.layers, found.pictures) == (expected.layers, expected.pictures)
    for own, other in ((found.total, expected.total), (found.products, expected.products)):
        assert_close(own / other.abs().max(), other / other.abs().max(), atol=1e-12, rtol=0)


def test_moments_equal_numpys_over_the_contributions(clip: Clip, maps: Tensor, captured: Features) -> None:
    whole = contributions.terms(clip, tiny_clip.pixels(COUNT)).heads.double().numpy()
    exact = contributions.expand(Features(captured.heads.double(), captured.scalars.double()), maps).numpy()
    sums = moments.sums(LAYERS, maps, split(captured, 7, 20, 33))
    for layer in LAYERS:
        for head in range(HEADS):
            found = sums.head(layer, head)
            assert found.pictures == COUNT
            for rows, atol in ((exact[:, LAYERS.index(layer), head], 1e-14), (whole[:, layer, head], 1e-6)):
                np.testing.assert_allclose(found.mean, rows.mean(0), atol=atol, rtol=0)
                np.testing.assert_allclose(found.second, rows.T @ rows / COUNT, atol=atol, rtol=0)


def test_contributions_span_no_more_than_a_head_and_its_constants(maps: Tensor, captured: Features) -> None:
    second = moments.sums(LAYERS, maps, [captured]).head(2, 3).second
    values = torch.linalg.eigvalsh(second)
    assert EMBEDDING > HEAD + 3
    assert int((values > 1e-13 * values[-1]).sum()) == HEAD + 3


def test_batches_and_shards_change_nothing(maps: Tensor, captured: Features) -> None:
    expected = moments.sums(LAYERS, maps, [captured])
    for sizes in ((60,), (1,) * 60, (59, 1), (13, 13, 13, 21)):
        assert_same(moments.sums(LAYERS, maps, split(captured, *sizes)), expected)
    shards = [moments.sums(LAYERS, maps, [part]) for part in split(captured, 20, 40)]
    assert_same(shards[1] + moments.sums(LAYERS, maps, []) + shards[0], expected)


def test_large_values_are_not_lost_among_small_ones(maps: Tensor, captured: Features) -> None:
    """Sums in float32 would part: some pictures have an embedding a thousand times as short."""
    scalars = captured.scalars.clone()
    scalars[::9, 2] /= 1000
    uneven = Features(captured.heads, scalars)
    forward = moments.sums(LAYERS, maps, split(uneven, *[1] * COUNT))
    assert_same(moments.sums(LAYERS, maps, split(uneven, *[1] * COUNT)[::-1]), forward)


def test_features_in_half_precision_are_summed_in_float64(maps: Tensor, captured: Features) -> None:
    half = Features(captured.heads.half(), captured.scalars)
    wide = Features(half.heads.double(), half.scalars.double())
    assert_same(moments.sums(LAYERS, maps, [half]), moments.sums(LAYERS, maps, [wide]))


def saved(folder: Path, maps: Tensor, parts: Sequence[Sequence[Features]]) -> list[Path]:
    paths = [folder / f"moments-{number}-of-{len(parts)}.safetensors" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        moments.save(path, moments.sums(LAYERS, maps, part), MADE)
    return paths


def test_shards_on_disk_come_back_as_one(maps: Tensor, captured: Features, tmp_path: Path) -> None:
    first, second = split(captured, 20, 40)
    paths = saved(tmp_path, maps, [[first], [], split(second, 15, 25)])
    expected = moments.sums(LAYERS, maps, [captured])
    found = moments.load(paths, MADE)
    assert_same(found, expected)
    assert torch.equal(found.maps, maps)
    assert_close(found.head(1, 0).second, expected.head(1, 0).second, atol=1e-13, rtol=0)
    with pytest.raises(ProvenanceError, match="moments-0-of-3"):
        moments.load(paths, Provenance(checkpoint="another"))
    with pytest.raises(InputError, match="not one picture"):
        moments.load(paths[1:2]).head(1, 0)


def test_moments_of_other_heads_are_not_added(maps: Tensor, captured: Features) -> None:
    found = moments.sums(LAYERS, maps, [captured])
    for other in (replace(found, layers=(0, 1)), replace(found, maps=maps * 1.01)):
        with pytest.raises(ValueError, match="not the same heads"):
            found + other
    rounded = replace(found, maps=maps * (1 + 1e-15))  # by another machine
    assert (found + rounded).pictures == 2 * COUNT
