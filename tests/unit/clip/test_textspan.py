"""TextSpan from moments picks what the published algorithm, transcribed, picks from the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tiny_clip
import torch
from published import Floats, transcription, unit
from tiny_clip import HEAD, HEADS
from torch import Tensor

from vitpeel.clip import contributions, moments, textspan
from vitpeel.clip.moments import HeadMoments
from vitpeel.errors import VitpeelError
from vitpeel.provenance import Provenance
from vitpeel.tables import HEAD_TEXTS, read_table, write_table


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def moments_of(data: Floats) -> HeadMoments:
    """Of any data: the coordinates are the data."""
    rows = torch.from_numpy(data)
    return HeadMoments(len(rows), rows.sum(0), rows.T @ rows, torch.eye(rows.shape[1], dtype=rows.dtype))


def moments_through(coordinates: Floats, through: Floats) -> HeadMoments:
    """Of coordinates [n, r] and their map [d, r]."""
    rows = torch.from_numpy(coordinates)
    return HeadMoments(len(rows), rows.sum(0), rows.T @ rows, torch.from_numpy(through))


@dataclass(frozen=True)
class Problem:
    """data: coordinates @ through.T, [pictures, d]; texts: unit rows, [count, d]."""

    coordinates: Floats
    through: Floats
    texts: Floats

    @property
    def data(self) -> Floats:
        return self.coordinates @ self.through.T


def problem(seed: int, pictures: int = 90, d: int = 24, r: int = 11, count: int = 120) -> Problem:
    """A random head: strong and weak directions, a mean far from zero, texts near the data or anywhere."""
    draw = np.random.default_rng(seed)
    coordinates = draw.normal(size=(pictures, r)) * 0.7 ** np.arange(r) + 2 * draw.normal(size=r)
    through = draw.normal(size=(d, r))
    near = draw.normal(size=(count, r)) @ through.T
    return Problem(coordinates, through, unit(near + 3 * draw.normal(size=(count, d))))


def picked(moments: HeadMoments, texts: Floats, picks: int, rank: int | None = None) -> list[int]:
    found = textspan.textspan(moments, torch.from_numpy(texts), picks, rank)
    return [pick.text for pick in found]


@pytest.mark.parametrize("seed", range(20))
def test_picks_are_those_of_the_published_algorithm(seed: int) -> None:
    made = problem(seed)
    expected, shares = transcription(made.data, made.texts, picks=10, rank=11)
    assert len(set(expected)) == 10
    found = textspan.textspan(
        moments_through(made.coordinates, made.through), torch.from_numpy(made.texts), 10
    )
    assert [pick.text for pick in found] == expected
    np.testing.assert_allclose([pick.share for pick in found], shares, atol=1e-9)
    assert picked(moments_of(made.data), made.texts, 10) == expected


@pytest.mark.parametrize("rank", [3, 8])
@pytest.mark.parametrize("seed", range(20, 25))
def test_a_rank_cuts_the_span_as_the_published_algorithm_does(seed: int, rank: int) -> None:
    """The data have more dimensions than the span is given."""
    made = problem(seed, r=16)
    expected, shares = transcription(made.data, made.texts, picks=rank, rank=rank)
    assert expected != transcription(made.data, made.texts, picks=rank, rank=16)[0]
    found = textspan.textspan(moments_of(made.data), torch.from_numpy(made.texts), rank, rank)
    assert [pick.text for pick in found] == expected
    np.testing.assert_allclose([pick.share for pick in found], shares, atol=1e-9)


def test_a_rank_beyond_the_numerical_one_adds_nothing() -> None:
    made = problem(1)
    head = moments_of(made.data)
    assert textspan.span(head, 80).shape == textspan.span(head).shape == (24, 11)
    assert picked(head, made.texts, 10, rank=80) == picked(head, made.texts, 10)


def test_the_span_is_that_of_the_uncentred_data() -> None:
    made = problem(2)
    _, _, vh = np.linalg.svd(made.data, full_matrices=False)
    for rank in (1, 5, 11):
        basis = textspan.span(moments_of(made.data), rank).numpy()
        np.testing.assert_allclose(basis @ basis.T, vh[:rank].T @ vh[:rank], atol=1e-8)


def test_shares_fall_short_of_one_by_what_is_left() -> None:
    made = problem(3)
    head = moments_through(made.coordinates, made.through)
    shares = [pick.share for pick in textspan.textspan(head, torch.from_numpy(made.texts), 11)]
    assert len(shares) == 11
    assert sum(shares) == pytest.approx(1, abs=1e-9)  # eleven texts span all eleven dimensions
    some = [pick.share for pick in textspan.textspan(head, torch.from_numpy(made.texts), 4)]
    assert some == shares[:4] and sum(some) < 1
    cut = textspan.textspan(head, torch.from_numpy(made.texts), 4, rank=2)
    assert len(cut) == 2 and sum(pick.share for pick in cut) < 1


def test_the_first_of_equal_texts_is_picked_and_the_other_is_not_picked_again() -> None:
    made = problem(4)
    expected, _ = transcription(made.data, made.texts, 6, rank=11)
    twice = np.concatenate([made.texts[:5], made.texts])
    again = [pick if pick < 5 else pick + 5 for pick in expected]
    assert picked(moments_of(made.data), twice, 6) == again
    opposite = np.concatenate([made.texts, -made.texts])  # varies as much
    assert picked(moments_of(made.data), opposite, 6) == expected
    longer = np.nextafter(made.texts, 2 * made.texts)  # equal but for the last bit
    assert picked(moments_of(made.data), np.concatenate([made.texts, longer]), 6) == expected


def test_when_the_span_is_exhausted_there_are_fewer_picks() -> None:
    made = problem(5)
    head = moments_of(made.data)
    assert len(picked(head, made.texts, 60)) == 11  # of the head's
    assert sorted(picked(head, made.texts[:4], 60)) == [0, 1, 2, 3]  # of the texts'
    assert len(picked(head, np.repeat(made.texts[:3], 20, axis=0), 60)) == 3
    assert picked(head, made.texts[:0], 60) == []
    mixed = unit(np.concatenate([made.texts[:3], made.texts[:1] + made.texts[1:2]]))
    assert len(picked(head, mixed, 60)) == 3  # the fourth is a sum of two


def test_texts_that_are_noise_of_the_span_are_not_picked() -> None:
    """They miss the span but for float32 rounding, which is no direction to divide by."""
    made = problem(6)
    basis = textspan.span(moments_of(made.data)).numpy()
    outside = unit(made.texts - made.texts @ basis @ basis.T)
    assert picked(moments_of(made.data), outside, 10) == []
    rounded = outside.astype("float32").astype("float64")
    assert picked(moments_of(made.data), rounded, 10) == []
    assert picked(moments_of(made.data), np.concatenate([rounded, made.texts[:2]]), 10) in (
        [120, 121],
        [121, 120],
    )


def test_a_head_that_gives_every_picture_the_same_has_no_texts() -> None:
    made = problem(7)
    same = np.repeat(made.data[:1], 50, axis=0)
    assert picked(moments_of(same), made.texts, 5) == []
    assert picked(moments_of(np.zeros_like(same)), made.texts, 5) == []


def test_heads_of_a_model() -> None:
    """From its features to the table, against the algorithm on its contributions."""
    _, clip = tiny_clip.clip()
    layers, pixels = (1, 2), tiny_clip.pixels(80)
    maps = contributions.maps(clip, layers)
    found = contributions.features(clip, pixels, layers)
    sums = moments.sums(layers, maps, [found])
    draw = np.random.default_rng(0)
    texts = torch.from_numpy(unit(draw.normal(size=(50, tiny_clip.EMBEDDING)))).float()
    names = [f"text {number}" for number in range(50)]
    table = textspan.table("tiny", sums, names, texts, picks=5)
    assert len(table) == len(layers) * HEADS * 5
    whole = contributions.expand(contributions.Features(found.heads.double(), found.scalars.double()), maps)
    for (layer, head), own in table.groupby(["layer", "head"]):
        data = whole[:, layers.index(layer), head].numpy()
        expected, shares = transcription(data, texts.double().numpy(), 5, rank=HEAD + 3)
        assert list(own["rank"]) == [1, 2, 3, 4, 5]
        assert list(own["text"]) == [names[text] for text in expected]
        np.testing.assert_allclose(own["share"], shares, atol=1e-9)
    with pytest.raises(VitpeelError, match=r"49 texts, but 50 embeddings"):
        textspan.table("tiny", sums, names[1:], texts, picks=5)


def test_the_table_is_of_its_schema(tmp_path: Path) -> None:
    _, clip = tiny_clip.clip()
    found = contributions.features(clip, tiny_clip.pixels(10), (2,))
    sums = moments.sums((2,), contributions.maps(clip, (2,)), [found])
    texts: Tensor = torch.eye(tiny_clip.EMBEDDING)[:3]
    table = textspan.table("tiny", sums, ["a", "b", "c"], texts, picks=60)
    write_table(tmp_path / "texts.parquet", table, HEAD_TEXTS, Provenance())
    read = read_table(tmp_path / "texts.parquet", HEAD_TEXTS)
    assert read["rank"].tolist() == [1, 2, 3] * HEADS
    assert read["share"].tolist() == table["share"].tolist()
