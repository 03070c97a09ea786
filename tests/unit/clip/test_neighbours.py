"""Searches of the index against plain numpy on every head's whole contribution (`contributions.terms`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_clip
import torch
from numpy.typing import NDArray
from tiny_clip import EMBEDDING, HEAD, HEADS
from torch import Tensor

from vitpeel.clip import analyses, contributions
from vitpeel.clip.contributions import Features
from vitpeel.clip.neighbours import Index, Neighbour, build, nearest, open_index
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.models.openclip import Clip
from vitpeel.provenance import Provenance, canonical
from vitpeel.tables import HEAD_LABELS, NEIGHBOURS, read_table, write_table
from vitpeel.tensors import open_tensors, write_tensors

COUNT = 60
LAYERS = (1, 2)
IDS = [f"p{number:02d}" for number in range(COUNT)]
ORIGIN = Provenance(checkpoint="c0ffee", dtype="float32", config=canonical({"layers": list(LAYERS)}))
PAIR, TRIO = ((1, 0), (1, 4)), ((1, 2), (2, 3), (2, 5))
SETS = [((2, 3),), ((1, 0),), PAIR, TRIO, ((1, 1), (2, 1)), ((2, 0), (1, 5), (2, 2), (1, 3))]


@pytest.fixture(scope="module")
def found(clip: Clip) -> Features:
    with torch.inference_mode():
        return contributions.features(clip, tiny_clip.pixels(COUNT), LAYERS)


@pytest.fixture(scope="module")
def whole(clip: Clip) -> NDArray[np.float64]:
    """Of every picture, layer and head, [n, 2, heads, embedding]."""
    with torch.inference_mode():
        return contributions.terms(clip, tiny_clip.pixels(COUNT)).heads[:, LAYERS].double().numpy()


@pytest.fixture(scope="module")
def maps(clip: Clip) -> Tensor:
    return contributions.maps(clip, LAYERS)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, found: Features, maps: Tensor) -> Index:
    folder = tmp_path_factory.mktemp("index")
    build(folder / "index.safetensors", save(folder, found), maps, [PAIR, TRIO])
    return open_index(folder / "index.safetensors", ORIGIN)


def save(
    folder: Path,
    found: Features,
    cuts: Sequence[int] = (),
    ids: Sequence[str] = IDS,
    origin: Provenance = ORIGIN,
) -> list[Path]:
    files = []
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(ids)], strict=True)):
        files.append(folder / f"features-{number}.safetensors")
        own = {"heads": found.heads[start:stop], "scalars": found.scalars[start:stop]}
        write_tensors(files[-1], own, origin, ids[start:stop])
    return files


def plain(
    whole: NDArray[np.float64],
    places: Sequence[tuple[int, int]],
    query: NDArray[np.float64],
    measure: str,
    ids: Sequence[str] = IDS,
) -> list[tuple[str, float]]:
    """All pictures, the nearest first."""
    scores = []
    for picture in whole:
        vector = sum(picture[LAYERS.index(layer), head] for layer, head in places)
        product = float(np.dot(vector, query))
        if measure == "cosine":
            product /= float(np.linalg.norm(vector) * np.linalg.norm(query))
        scores.append(product)
    return sorted(zip(ids, scores, strict=True), key=lambda one: (-one[1], one[0]))


def check(ours: Sequence[Neighbour], expected: Sequence[tuple[str, float]]) -> None:
    assert [one.image_id for one in ours] == [name for name, _ in expected]
    np.testing.assert_allclose([one.score for one in ours], [score for _, score in expected], atol=3e-6)


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize("places", SETS)
def test_neighbours_of_a_picture_that_is_not_in_the_index(
    clip: Clip, index: Index, whole: NDArray[np.float64], places: Any, measure: Any
) -> None:
    pixels = tiny_clip.pixels(3, seed=9)
    own = contributions.terms(clip, pixels).heads.double().numpy()
    queries = index.represent(contributions.features(clip, pixels, LAYERS), places)
    for row, query in zip(own, queries, strict=True):
        vector = sum(row[layer, head] for layer, head in places)
        np.testing.assert_allclose(query, vector, atol=1e-6)
        check(nearest(index, query, places, 8, measure), plain(whole, places, vector, measure)[:8])


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize("places", SETS)
def test_neighbours_of_a_text(
    clip: Clip, index: Index, whole: NDArray[np.float64], places: Any, measure: Any
) -> None:
    for text in clip.texts(["a red car", "snow on a house"]):
        expected = plain(whole, places, text.double().numpy(), measure)
        check(nearest(index, text, places, COUNT, measure), expected)


def test_a_set_of_heads_is_searched_alike_whether_its_lengths_are_stored_or_not(
    tmp_path: Path, found: Features, maps: Tensor, index: Index
) -> None:
    build(tmp_path / "index.safetensors", save(tmp_path, found), maps)
    bare = open_index(tmp_path / "index.safetensors")
    with open_tensors(index.path) as stored, open_tensors(bare.path) as without:
        assert set(stored.names) - set(without.names) == {"length L1.H0 L1.H4", "length L1.H2 L2.H3 L2.H5"}
    query = torch.randn(EMBEDDING, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # the second time they are kept
        assert nearest(bare, query, TRIO, 8) == nearest(index, query, TRIO, 8)
    assert nearest(index, query, TRIO[::-1], 8) == nearest(index, query, (*TRIO, TRIO[0]), 8)


@pytest.mark.parametrize(("cuts", "batch"), [((), 7), ((1, 25, 59), 1024), ((20, 40), 1)])
def test_shards_and_batches_change_nothing(
    tmp_path: Path, found: Features, maps: Tensor, index: Index, cuts: Sequence[int], batch: int
) -> None:
    path = tmp_path / "index.safetensors"
    build(path, save(tmp_path, found, cuts), maps, [PAIR, TRIO], batch)
    with open_tensors(path) as ours, open_tensors(index.path) as once:
        assert ours.names == once.names and ours.image_ids == once.image_ids == tuple(IDS)
        for name in ours.names:
            np.testing.assert_allclose(ours.rows(name), once.rows(name), rtol=1e-6, atol=1e-7)


def test_a_search_reads_the_rows_of_its_heads_only(tmp_path: Path, found: Features, maps: Tensor) -> None:
    path = tmp_path / "index.safetensors"
    build(path, save(tmp_path, found), maps, [PAIR])
    query = torch.ones(EMBEDDING)
    before = nearest(open_index(path), query, PAIR, 8)
    with open_tensors(path) as file:
        places = {name: file._starts[name] for name in file.names if name.startswith("rows ")}
        nothing = np.full(file.shape("rows L1.H0"), np.nan, np.float32).tobytes()
    with path.open("r+b") as raw:
        for name, start in places.items():
            if name not in ("rows L1.H0", "rows L1.H4"):
                raw.seek(start)
                raw.write(nothing)
    assert nearest(open_index(path), query, PAIR, 8) == before
    other = open_index(path).rows[2, 3]
    assert np.isnan(other).all() and not other.flags.writeable  # mapped, not read


def test_of_equal_pictures_the_smaller_id_comes_first(tmp_path: Path, found: Features, maps: Tensor) -> None:
    twins = [3, 8, 3, 5, 3, 8, 3, 3, 11, 3, 3]
    ids = ["k", "b", "j", "c", "e", "x", "d", "i", "l", "f", "a"]
    same = Features(found.heads[twins], found.scalars[twins])
    build(tmp_path / "index.safetensors", save(tmp_path, same, ids=ids), maps)
    index = open_index(tmp_path / "index.safetensors")
    own = Features(found.heads[3:4], found.scalars[3:4])
    for places in (((1, 2),), TRIO):
        query = index.represent(own, places)[0]
        best = nearest(index, query, places, 5)
        assert [one.image_id for one in best] == ["a", "d", "e", "f", "i"]
        assert len({one.score for one in best}) == 1 and best[0].score == pytest.approx(1, abs=1e-6)


def test_pictures_that_are_left_out_are_not_found(index: Index, found: Features) -> None:
    query = index.represent(Features(found.heads[7:8], found.scalars[7:8]), PAIR)[0]
    first, *others = nearest(index, query, PAIR, 6)
    assert first.image_id == "p07" and first.score == pytest.approx(1, abs=1e-6)
    assert nearest(index, query, PAIR, 5, leave_out={"p07", "elsewhere"}) == others
    assert len(nearest(index, query, PAIR, 1000, leave_out=["p07"])) == COUNT - 1
    assert nearest(index, query, PAIR, 5, leave_out=IDS) == []


@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_heads_that_nearly_cancel_are_ranked_as_in_double_precision(
    tmp_path: Path, maps: Tensor, measure: Any
) -> None:
    """The sum is a million times smaller than its parts, so that a scan in float32 alone ranks it wrongly."""
    draw = torch.Generator().manual_seed(0)
    one = torch.randn(2000, HEAD, generator=draw)
    heads = torch.zeros(2000, 2, HEADS, HEAD)
    heads[:, 0, 0], heads[:, 0, 1] = one, -one + 1e-6 * torch.randn(2000, HEAD, generator=draw)
    scalars = torch.ones(2000, 3)
    scalars[:, 1:] += 0.1 * torch.rand(2000, 2, generator=draw)
    same = maps.clone()
    same[0, 1, :, :HEAD] = same[0, 0, :, :HEAD]
    same[0, 1, :, HEAD:] = -same[0, 0, :, HEAD:]
    ids = [f"p{number:04d}" for number in range(2000)]
    build(tmp_path / "index.safetensors", save(tmp_path, Features(heads, scalars), ids=ids), same)
    index, places = open_index(tmp_path / "index.safetensors"), ((1, 0), (1, 1))
    query = torch.randn(EMBEDDING, generator=draw).double().numpy()
    parts = [index.rows[place].astype(np.float64) @ index.basis(place).T for place in places]
    scores = (parts[0] + parts[1]) @ query
    if measure == "cosine":
        scores /= np.linalg.norm(parts[0] + parts[1], axis=1) * np.linalg.norm(query)
    expected = [ids[at] for at in np.argsort(-scores)[:8]]
    assert [one.image_id for one in nearest(index, query, places, 8, measure)] == expected


def test_a_contribution_of_nothing_has_cosine_zero(tmp_path: Path, maps: Tensor) -> None:
    heads, scalars = torch.randn(4, 2, HEADS, HEAD), torch.ones(4, 3)
    heads[2] = 0
    through = maps.clone()
    through[..., HEAD:] = 0
    ids = ["a", "b", "c", "d"]
    build(tmp_path / "index.safetensors", save(tmp_path, Features(heads, scalars), ids=ids), through)
    index = open_index(tmp_path / "index.safetensors")
    for places in (((1, 2),), PAIR):
        scores = dict(nearest(index, np.ones(EMBEDDING), places, 4))
        assert scores["c"] == 0 and all(scores[name] for name in "abd")
        assert all(one.score == 0 for one in nearest(index, np.zeros(EMBEDDING), places, 4))


def test_what_cannot_be_searched_is_refused(
    tmp_path: Path, found: Features, maps: Tensor, index: Index
) -> None:
    for places in (((0, 1),), ((2, HEADS),)):
        with pytest.raises(InputError, match=r"no such head here; L1\.H0 to L2\.H5 are there"):
            nearest(index, np.ones(EMBEDDING), places, 4)
        with pytest.raises(InputError, match="no such head here"):
            index.represent(found, places)
    with pytest.raises(InputError, match="no head is named"):
        nearest(index, np.ones(EMBEDDING), (), 4)
    with pytest.raises(ProvenanceError, match="made with checkpoint c0ffee, but this run has another"):
        open_index(index.path, Provenance(checkpoint="another"))
    files = save(tmp_path, found, (30,))
    with pytest.raises(InputError, match="a picture is in two of"):
        build(tmp_path / "index.safetensors", [files[0], files[0]], maps)
    other = Provenance(checkpoint="another", dtype="float32", config=ORIGIN.config)
    second = save(tmp_path / "other", found, (30,), origin=other)[1]
    with pytest.raises(ProvenanceError):
        build(tmp_path / "index.safetensors", [files[0], second], maps)
    assert not (tmp_path / "index.safetensors").exists()


def labels() -> pd.DataFrame:
    named = {(1, 0): "colors", (1, 4): "Color", (2, 3): "animals", (2, 5): "none"}
    rows = [("tiny", *place, label, "lexicon", 3, 5) for place, label in named.items()]
    return pd.DataFrame(rows, columns=HEAD_LABELS.names)


def test_the_table_holds_what_the_searches_find(tmp_path: Path, clip: Clip, index: Index) -> None:
    pictures = dict(zip(IDS, tiny_clip.photos(*[(40, 32)] * 3), strict=False))
    asked = [
        analyses.by_property(labels(), "tiny", "p01", "colors"),
        analyses.by_picture(labels(), "tiny", "p02", (2, 3)),
        analyses.by_property(labels(), "tiny", "p00", "animal"),
        analyses.by_text(labels(), "tiny", "a red car", (2, 5)),
    ]
    rows = analyses.neighbours(clip, index, "tiny", asked, pictures, 3, "dot")
    write_table(tmp_path / "neighbours.parquet", rows, NEIGHBOURS, ORIGIN)
    rows = read_table(tmp_path / "neighbours.parquet", NEIGHBOURS)
    assert rows["analysis"].tolist() == [
        *["property"] * 3,
        *["picture"] * 3,
        *["property"] * 3,
        *["text"] * 3,
    ]
    assert rows["query"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert rows["rank"].tolist() == [1, 2, 3] * 4
    first, text = rows.iloc[0], rows.iloc[-1]
    assert (first["asked"], first["label"], first["heads"]) == ("p01", "colors", "L1.H0 L1.H4")
    assert (text["asked"], text["label"], text["heads"]) == ("a red car", "none", "L2.H5")
    own = contributions.features(clip, clip.preprocess([pictures["p01"]]), LAYERS)
    expected = nearest(index, index.represent(own, PAIR)[0], PAIR, 3, "dot")
    assert list(zip(rows["image_id"][:3], rows["score"][:3], strict=True)) == expected
    said = nearest(index, clip.texts(["a red car"])[0], ((2, 5),), 3, "dot")
    assert list(zip(rows["image_id"][-3:], rows["score"][-3:], strict=True)) == said


def test_no_picture_is_its_own_neighbour_where_both_sets_are_one(clip: Clip, index: Index) -> None:
    search = [analyses.by_picture(labels(), "tiny", "p02", (2, 3))]
    (picture,) = tiny_clip.photos((32, 32))
    every, others = (
        analyses.neighbours(clip, index, "tiny", search, {"p02": picture}, COUNT, same_set=same)
        for same in (False, True)
    )
    assert len(every) == COUNT and len(others) == COUNT - 1
    assert set(every["image_id"]) - set(others["image_id"]) == {"p02"}
