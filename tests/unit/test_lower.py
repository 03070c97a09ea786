"""Figure 2's variants, and the comparison of their captions with the model's."""

from collections.abc import Iterator

import pandas as pd
import pytest
import tiny
import torch
from bert_score import BERTScorer

from vitpeel import lower, means, tables
from vitpeel.edits import AverageAttentionOutput, ReplaceResidual, ReplaceSkip
from vitpeel.errors import VitpeelError
from vitpeel.means import Means
from vitpeel.models.instructblip import trunk_of
from vitpeel.scores import bertscore, bootstrap
from vitpeel.sweep import Cost, cost, sweep

LAYER = 5


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def drawn(place: means.Place = "input", seed: int = 0) -> Means:
    values = torch.randn(39, 2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Means(place, values, pictures=3)


def test_the_papers_ranges_are_54_variants() -> None:
    chosen = lower.points()
    curves = [point.curve for point in chosen]
    assert {curve: curves.count(curve) for curve in curves} == {
        "average": 21,
        "average together": 1,
        "other average": 10,
        "other average together": 1,
        "confusion": 21,
    }
    assert len({point.name for point in chosen}) == len(chosen) == 54
    single = [(p.curve, p.first) for p in chosen if p.first == p.last]
    assert single == [
        *[("average", layer) for layer in range(21)],
        *[("other average", layer) for layer in range(11, 21)],
        *[("confusion", layer) for layer in range(21)],
    ]
    assert all(p.layers == set(range(11, 21)) for p in chosen if p.curve.endswith("together"))
    assert len(lower.points(other=False)) == 43
    assert len(lower.points((0, 1), (2, 4))) == 5 + 1 + 3 + 1 + 5


def test_the_sweep_runs_three_quarters_of_the_naive_loops_blocks() -> None:
    own = drawn()
    variants = lower.variants(lower.points(), 39, own, own, drawn(seed=1))
    planned = cost(variants, 39, heads=16)
    # an average at layer l runs 39 - l blocks of its own, as does a confusion; "together" parts a block later
    edited = sum(39 - layer for layer in [*range(21), *range(11, 21), *range(21)]) + 2 * (39 - 12)
    assert planned.blocks == edited + 39 == 1546
    assert planned.naive_blocks == 55 * 39
    assert planned.blocks / (54 * 39) == pytest.approx(0.734, abs=1e-3)
    assert planned.attentions < planned.blocks - 21 - 31
    assert isinstance(planned, Cost) and planned.share == planned.blocks / planned.naive_blocks


def test_each_point_has_its_edit() -> None:
    own, inputs, other = drawn("output"), drawn(), drawn("output", seed=1)
    chosen = lower.points((0, 1), (2, 3))
    plain, *edited = lower.variants(chosen, 5, own, inputs, other)
    assert (plain.name, plain.layers, plain.edit.at(2)) == ("unedited", (4,), None)
    for point, variant in zip(chosen, edited, strict=True):
        assert (variant.name, variant.layers) == (point.name, (4,))
        kind = ReplaceSkip if point.curve == "confusion" else AverageAttentionOutput
        mean = inputs if point.curve == "confusion" else other if "other" in point.curve else own
        assert variant.edit == kind(point.layers, mean)
    *_, whole = lower.variants(chosen, 5, own, inputs, other, confusion="stream")
    assert whole.edit == ReplaceResidual(frozenset({3}), inputs)


def test_points_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ValueError, match="one after the other"):
        lower.points((0, 10), (10, 20))
    with pytest.raises(ValueError, match="other average 11: the means of another set"):
        lower.variants(lower.points(), 39, drawn(), drawn())
    with pytest.raises(ValueError, match="not at 'output'"):
        lower.variants(lower.points(other=False), 39, drawn(), drawn("output"))


def test_means_of_the_pictures_themselves_leave_a_single_picture_as_it_is() -> None:
    """The mean over one picture is that picture, so every own variant must give the unedited stream."""
    trunk = trunk_of(tiny.model(tiny.config(blocks=4)).vision_model)
    pixels = tiny.pictures(1)
    sums = means.sums(trunk, means.fresh_inputs(trunk, [pixels]), ("input", "normed", "output"))
    other = means.sums(trunk, means.fresh_inputs(trunk, [tiny.pictures(3, seed=1)])).mean("input")
    chosen = lower.points((0, 1), (2, 3))
    for place in sums.totals:
        own = sums.mean(place)
        for how in ("skip", "stream"):
            read = lower.variants(chosen, 4, own, sums.mean("input"), other, how)
            found = {reading.variant: reading.z for reading in sweep(trunk, pixels, read)}
            for point in chosen:
                same = torch.allclose(found[point.name], found["unedited"], atol=1e-4)
                assert same == ("other" not in point.curve), point.name


def captioned() -> pd.DataFrame:
    said = {
        "unedited": ["a giraffe on a snowy mountain", "a black and white photo of a dog", "an owl in a room"],
        "average 0": ["a large animal outdoors", "a black and white photo of a dog", "an owl  in a room "],
        "confusion 0": ["a monochrome picture", "a grey-scale photo", ""],
    }
    rows = [
        (f"p{number}", variant, 38, None, caption, 3, False)
        for variant, captions in said.items()
        for number, caption in enumerate(captions)
    ]
    return pd.DataFrame(rows, columns=tables.CAPTIONS.names).astype({"head": "Int16"})


def test_captions_are_compared_with_the_unedited_ones() -> None:
    captions = captioned()
    scores = lower.compare(captions, bertscore.BUNDLED, LAYER)
    assert set(scores.columns) == set(tables.SCORES.names)
    assert len(scores) == 3 * len(captions)
    value = scores.set_index(["metric", "variant", "image_id"])["value"]
    assert value["exact", "unedited"].tolist() == [1, 1, 1] == value["bertscore", "unedited"].tolist()
    assert value["exact", "average 0"].tolist() == [0, 1, 1]
    assert value["exact", "confusion 0"].tolist() == [0, 0, 0]
    assert value["colourless", "unedited"].tolist() == [0, 1, 0]
    assert value["colourless", "confusion 0"].tolist() == [1, 1, 0]
    scorer = BERTScorer(
        model_type=str(bertscore.model_folder(bertscore.BUNDLED)), num_layers=LAYER, device="cpu"
    )
    scorer._tokenizer.model_max_length = 512
    _, _, expected = scorer.score(["a large animal outdoors"], ["a giraffe on a snowy mountain"])
    assert value["bertscore", "average 0", "p0"] == pytest.approx(expected.item(), abs=1e-5)
    assert value["bertscore", "confusion 0", "p2"] == 0
    shuffled = lower.compare(captions.sample(frac=1, random_state=1), bertscore.BUNDLED, LAYER)
    pd.testing.assert_frame_equal(shuffled, scores, check_exact=True)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a Black-and-White photograph of a car", True),
        ("a b&w photo", True),
        ("a greyscale image of a cat", True),
        ("an old sepia picture", True),
        ("a colorless drawing", True),
        ("a black cat and a white dog", False),
        ("a white statue", False),
        ("a grey elephant", False),
        ("", False),
    ],
)
def test_colourless_wording(caption: str, expected: bool) -> None:
    assert lower.is_colourless(caption) == expected


def test_a_picture_without_an_unedited_caption_is_named() -> None:
    captions = captioned()
    with pytest.raises(VitpeelError, match="picture p1: no unedited caption at layer 38"):
        lower.unedited_captions(captions.drop(index=1))


def test_the_table_behind_the_figure() -> None:
    captions = captioned()
    chosen = (lower.Point("average", 0, 0), lower.Point("confusion", 0, 0))
    scores = lower.compare(captions, bertscore.BUNDLED, LAYER)
    summary = bootstrap.summarise(scores, captions, "whoops", resamples=50)
    table = lower.figure_table(summary, chosen)
    assert table["curve"].tolist() == ["unedited"] * 3 + ["average"] * 3 + ["confusion"] * 3
    assert table["first"].isna().tolist() == [True] * 3 + [False] * 6
    exact = table[table["metric"] == "exact"].set_index("curve")
    assert exact["mean"].tolist() == pytest.approx([1, 2 / 3, 0])
    assert (exact["pictures"] == 3).all() and exact["empty"].tolist() == [0, 0, 1]
    with pytest.raises(VitpeelError, match="average 1: no such variant"):
        lower.figure_table(summary, [lower.Point("average", 1, 1)])


def test_captions_side_by_side() -> None:
    page = lower.side_by_side(captioned(), ["p2", "p0"])
    assert list(page.index) == ["p2", "p0"]
    assert list(page.columns) == ["unedited", "average 0", "confusion 0"]
    assert page.loc["p0", "confusion 0"] == "a monochrome picture"
    with pytest.raises(VitpeelError, match="picture z"):
        lower.side_by_side(captioned(), ["z"])
