"""Maps over patches against contributions, and against what must follow from moving a picture's patches."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import tiny_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from tiny_clip import EMBEDDING, HEADS
from torch import Tensor
from torch.testing import assert_close

from vitpeel.clip import analyses, contributions, head_places, segmentation
from vitpeel.errors import InputError
from vitpeel.models import openclip
from vitpeel.models.openclip import Clip
from vitpeel.provenance import Provenance
from vitpeel.tables import HEAD_LABELS, SEGMENTATIONS, read_table, write_table

PLACES = ((1, 0), (2, 3), (2, 5), (0, 4))


def texts(count: int = 2) -> Tensor:
    drawn = torch.randn(count, EMBEDDING, generator=torch.Generator().manual_seed(3))
    return drawn / drawn.norm(dim=1, keepdim=True)


def test_a_map_and_the_part_of_cls_add_up_to_the_heads_contribution(clip: Clip) -> None:
    pixels, text = tiny_clip.pixels(4), texts(1)[0]
    heads = contributions.terms(clip, pixels).heads
    for place in PLACES:
        found = segmentation.topic(clip, pixels, text, [place])
        assert found.shape == (4, 4, 4) and found.dtype == torch.float32
        cls = contributions.token_contributions(clip, pixels, *place)[:, 0] @ text
        assert_close(found.sum((1, 2)) + cls, heads[:, *place] @ text, atol=1e-6, rtol=1e-5)


def test_several_heads_are_the_sum_of_each_and_a_head_named_twice_counts_once(clip: Clip) -> None:
    pixels, text = tiny_clip.pixels(2), texts(1)[0]
    each = [segmentation.topic(clip, pixels, text, [place]) for place in PLACES]
    assert_close(segmentation.topic(clip, pixels, text, PLACES), torch.stack(each).sum(0))
    assert_close(segmentation.topic(clip, pixels, text, [*PLACES, PLACES[1]]), torch.stack(each).sum(0))


def test_a_contrast_is_over_exactly_the_heads_it_names(clip: Clip) -> None:
    pixels, (one, other) = tiny_clip.pixels(2), texts(2)
    found = segmentation.contrast(clip, pixels, one, other, PLACES)
    single = [
        segmentation.topic(clip, pixels, one, [place]) - segmentation.topic(clip, pixels, other, [place])
        for place in PLACES
    ]
    assert_close(found, torch.stack(single).sum(0), atol=1e-6, rtol=1e-5)
    assert_close(segmentation.contrast(clip, pixels, other, one, PLACES), -found)
    every = head_places.all_heads(contributions.last(clip.trunk, 2), HEADS)
    assert not torch.allclose(segmentation.contrast(clip, pixels, one, other, every), found, atol=1e-4)


@pytest.mark.parametrize("size", [32, (32, 48)])
def test_a_picture_moved_by_a_patch_moves_its_map(size: int | tuple[int, int]) -> None:
    """Where every patch has the same position, a model cannot tell pictures that are moved around apart."""
    own = tiny_clip.clip(tiny_clip.config(image_size=size))[1]
    positions = own.trunk.positions.clone()
    positions[1:] = positions[1]
    blind = replace(own, trunk=replace(own.trunk, positions=positions))
    down, across = blind.grid
    pixels = tiny_clip.pixels(1, 48)[:, :, : 8 * down, : 8 * across]
    before = segmentation.topic(blind, pixels, texts(1)[0], [(2, 1)])
    assert before.shape == (1, down, across)
    for shift in ((1, 0), (0, 1), (2, -1)):
        moved = pixels.roll((8 * shift[0], 8 * shift[1]), (2, 3))
        after = segmentation.topic(blind, moved, texts(1)[0], [(2, 1)])
        assert_close(after, before.roll(shift, (1, 2)), atol=1e-6, rtol=1e-4)
        assert not torch.allclose(after, before, atol=1e-4)


def test_pictures_beside_each_other_do_not_change_a_map(clip: Clip) -> None:
    pixels, text = tiny_clip.pixels(5), texts(1)[0]
    together = segmentation.topic(clip, pixels, text, PLACES)
    alone = torch.cat([segmentation.topic(clip, one[None], text, PLACES) for one in pixels])
    assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_a_head_that_is_not_there_is_refused(clip: Clip) -> None:
    with pytest.raises(InputError, match=r"L2\.H6: no such head here; L0\.H0 to L2\.H5 are there"):
        segmentation.topic(clip, tiny_clip.pixels(1), texts(1)[0], [(2, 6)])


def test_a_picture_of_the_models_size_is_seen_as_it_is(clip: Clip) -> None:
    photos = tiny_clip.photos((32, 32), (32, 32))
    shown = segmentation.seen(clip.preprocess(photos), clip.preprocessing)
    np.testing.assert_array_equal(shown, np.stack([np.asarray(photo) for photo in photos]))


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_other_pictures_are_seen_as_open_clip_resizes_and_crops_them(mode: str) -> None:
    pictures = PreprocessCfg(size=24, mean=(0.3, 0.4, 0.5), std=(0.2, 0.9, 0.5), resize_mode=mode)
    plain = copy(pictures)
    plain.mean, plain.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    made = tiny_clip.model(tiny_clip.config(image_size=24))
    clip = openclip.clip_of(made, open_clip.SimpleTokenizer(), pictures)
    photos = tiny_clip.photos((80, 40), (24, 60))
    expected = torch.stack([image_transform_v2(plain, is_train=False)(photo) for photo in photos])
    shown = segmentation.seen(clip.preprocess(photos), clip.preprocessing)
    np.testing.assert_array_equal(shown, (255 * expected).round().byte().permute(0, 2, 3, 1).numpy())
    assert shown.shape == (2, 24, 24, 3)


def test_the_table_says_what_each_map_is(tmp_path: Path, clip: Clip) -> None:
    rows = [("tiny", 2, 3, "colors", "lexicon", 3, 5)]
    labels = pd.DataFrame(rows, columns=HEAD_LABELS.names)
    pictures: dict[str, Image.Image] = dict(zip("ab", tiny_clip.photos((40, 32), (32, 60)), strict=True))
    wanted = [
        analyses.topic(labels, "tiny", ["b", "a"], "a red car", (2, 3)),
        analyses.contrast("a", "a dog", "a cat", PLACES),
        analyses.topic(labels, "tiny", ["a"], "a tree", (2, 3)),
    ]
    found = analyses.maps(clip, "tiny", wanted, pictures)
    write_table(tmp_path / "maps.parquet", found.table, SEGMENTATIONS, Provenance())
    table = read_table(tmp_path / "maps.parquet", SEGMENTATIONS)
    assert table["analysis"].tolist() == ["topic", "topic", "contrast", "topic"]
    assert table["query"].tolist() == [0, 0, 0, 1] and table["image_id"].tolist() == ["b", "a", "a", "a"]
    assert table["text"].tolist() == ["a red car", "a red car", "a dog", "a tree"]
    assert table["against"].isna().tolist() == [True, True, False, True]
    assert table["label"].tolist() == ["colors", "colors", "", "colors"]
    assert table["heads"].tolist() == ["L2.H3", "L2.H3", "L0.H4 L1.H0 L2.H3 L2.H5", "L2.H3"]
    assert found.maps.shape == (4, 4, 4) and found.pictures.shape == (4, 32, 32, 3)
    for row, (image_id, text) in enumerate((("b", "a red car"), ("a", "a red car"))):
        pixels = clip.preprocess([pictures[image_id]])
        expected = segmentation.topic(clip, pixels, clip.texts([text])[0], [(2, 3)])[0]
        assert_close(torch.from_numpy(found.maps[row]), expected)
        np.testing.assert_array_equal(found.pictures[row], segmentation.seen(pixels, clip.preprocessing)[0])
    one, other = clip.texts(["a dog", "a cat"])
    expected = segmentation.contrast(clip, clip.preprocess([pictures["a"]]), one, other, PLACES)[0]
    assert_close(torch.from_numpy(found.maps[2]), expected)
