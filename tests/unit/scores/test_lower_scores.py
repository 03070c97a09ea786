"""Captions of the edited model are compared as bert-score and a reader would."""

import pandas as pd
import pytest
from bert_score import BERTScorer

from vitpeel import tables
from vitpeel.errors import VitpeelError
from vitpeel.scores import bertscore, lower

LAYER = 5
SAID = {
    "unedited": ["a giraffe on a snowy mountain", "a black and white photo of a dog", "an owl in a room"],
    "average 0": ["a large animal outdoors", "a black and white photo of a dog", "an owl  in a room "],
    "confusion 0": ["a monochrome picture", "a grey-scale photo", ""],
}


@pytest.fixture
def captions() -> pd.DataFrame:
    rows = [
        (f"p{number}", variant, 38, None, caption, 3, False)
        for variant, said in SAID.items()
        for number, caption in enumerate(said)
    ]
    return pd.DataFrame(rows, columns=tables.CAPTIONS.names).astype({"head": "Int16"})


@pytest.fixture(scope="module")
def scorer() -> BERTScorer:
    folder = str(bertscore.model_folder(bertscore.BUNDLED))
    made = BERTScorer(model_type=folder, num_layers=LAYER, device="cpu")
    made._tokenizer.model_max_length = 512
    return made


def test_captions_are_compared_with_the_unedited_ones(captions: pd.DataFrame, scorer: BERTScorer) -> None:
    scores = lower.compare(captions, bertscore.BUNDLED, LAYER)
    assert set(scores.columns) == set(tables.SCORES.names)
    assert len(scores) == 3 * len(captions)
    value = scores.set_index(["metric", "variant", "image_id"])["value"]
    assert value["exact", "unedited"].tolist() == [1, 1, 1] == value["bertscore", "unedited"].tolist()
    assert value["exact", "average 0"].tolist() == [0, 1, 1]
    assert value["exact", "confusion 0"].tolist() == [0, 0, 0]
    assert value["colourless", "unedited"].tolist() == [0, 1, 0]
    assert value["colourless", "confusion 0"].tolist() == [1, 1, 0]
    _, _, expected = scorer.score(["a large animal outdoors"], ["a giraffe on a snowy mountain"])
    assert value["bertscore", "average 0", "p0"] == pytest.approx(expected.item(), abs=1e-5)
    assert value["bertscore", "confusion 0", "p2"] == 0
    shuffled = lower.compare(captions.sample(frac=1, random_state=1), bertscore.BUNDLED, LAYER)
    pd.testing.assert_frame_equal(shuffled, scores, check_exact=True)


def test_a_given_baseline_rescales_bertscore_and_nothing_else(captions: pd.DataFrame) -> None:
    plain = lower.compare(captions, bertscore.BUNDLED, LAYER)
    base = lower.baseline(captions, 0.25, 1, bertscore.BUNDLED, LAYER, 64)
    assert (base.rule, base.value) == ("given", 0.25)
    rescaled = lower.compare(captions, bertscore.BUNDLED, LAYER, base=base)
    similar = plain["metric"] == "bertscore"
    pd.testing.assert_frame_equal(rescaled[~similar], plain[~similar])
    by_hand = [(f1 - 0.25) / 0.75 for f1 in plain["value"][similar]]
    assert rescaled["value"][similar].tolist() == pytest.approx(by_hand, abs=1e-12)
    assert rescaled["value"].max() == 1 and rescaled["value"].min() == pytest.approx(-1 / 3)


def test_chance_is_the_mean_over_captions_of_other_pictures(
    captions: pd.DataFrame, scorer: BERTScorer
) -> None:
    said = SAID["unedited"]
    pairs = [(one, two) for one in said for two in said if one != two]
    _, _, expected = scorer.score([one for one, _ in pairs], [two for _, two in pairs])
    mean = expected.mean().item()
    measured = lower.baseline(captions, "measured", 1, bertscore.BUNDLED, LAYER, 64)
    assert (measured.rule, measured.pairs) == ("measured", 6)
    assert measured.value == measured.chance == pytest.approx(mean, abs=1e-5)
    assert measured.rescaled(pd.Series([mean, 1.0])).tolist() == pytest.approx([0, 1], abs=1e-4)
    none = lower.baseline(captions, None, 1, bertscore.BUNDLED, LAYER, 64)
    assert none.chance == measured.chance
    assert none.rescaled(pd.Series([0.3])).tolist() == [0.3]
    assert none.frame().columns.tolist() == ["rule", "value", "chance", "pairs"]


def test_pairs_are_seeded_and_of_different_pictures() -> None:
    rows = [(f"p{n:02d}", "unedited", 2, None, f"caption {n}", 2, False) for n in range(30)]
    rows += [(f"p{n:02d}", "average 0", 2, None, "another", 1, False) for n in range(30)]
    captions = pd.DataFrame(rows, columns=tables.CAPTIONS.names)
    pairs = lower.other_pictures(captions, seed=3)
    assert len(pairs) == 30 * lower.PAIRED
    assert (pairs["caption"] != pairs["other"]).all() and "another" not in set(pairs["caption"])
    assert (pairs.groupby("image_id")["other"].nunique() == lower.PAIRED).all()
    again = lower.other_pictures(captions.sample(frac=1, random_state=0), seed=3)
    pd.testing.assert_frame_equal(again, pairs)
    assert not lower.other_pictures(captions, seed=4).equals(pairs)


def test_what_cannot_be_measured_is_refused(captions: pd.DataFrame) -> None:
    one = captions[captions["image_id"] == "p0"]
    with pytest.raises(VitpeelError, match=r"lower\.baseline: a single picture has no other"):
        lower.baseline(one, "measured", 1, bertscore.BUNDLED, LAYER, 64)
    assert lower.baseline(one, None, 1, bertscore.BUNDLED, LAYER, 64).chance is None
    same = captions.assign(caption="a dog")
    with pytest.raises(VitpeelError, match="captions of all pictures are the same"):
        lower.baseline(same, "measured", 1, bertscore.BUNDLED, LAYER, 64)


def test_a_picture_without_an_unedited_caption_is_named(captions: pd.DataFrame) -> None:
    with pytest.raises(VitpeelError, match="picture p1: no unedited caption at layer 38"):
        lower.unedited_captions(captions.drop(index=1))


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
