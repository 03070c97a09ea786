"""BERTScore against bert-score's own scorer, with the bundled MiniLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bert_score import BERTScorer

from vitpeel import tables
from vitpeel.errors import InputError, VitpeelError
from vitpeel.scores import bertscore

Captioned = tuple[pd.DataFrame, dict[str, list[str]]]
LAYER = 5


def score(captions: pd.DataFrame, **settings: object) -> pd.DataFrame:
    return bertscore.score(captions, bertscore.BUNDLED, LAYER, **settings)


def test_equals_bert_score(captioned: Captioned) -> None:
    captions, _ = captioned
    scorer = BERTScorer(
        model_type=str(bertscore.model_folder(bertscore.BUNDLED)), num_layers=LAYER, device="cpu"
    )
    scorer._tokenizer.model_max_length = 512
    rows = captions[captions["caption"] != ""]
    _, _, expected = scorer.score(
        rows["caption"].tolist(), bertscore.last_layer(captions)[rows.index].tolist()
    )
    expected = rows.assign(expected=expected.numpy())[["image_id", "layer", "expected"]]
    merged = score(captions).merge(expected, on=["image_id", "layer"])
    assert len(merged) == len(rows)
    np.testing.assert_allclose(merged["value"], merged["expected"], atol=1e-6)


def test_empty_is_zero_equal_is_one_and_the_table_fits(captioned: Captioned) -> None:
    captions, _ = captioned
    found = score(captions)
    assert set(found.columns) == set(tables.SCORES.names) and len(found) == len(captions)
    empty = found[(found["image_id"] == "picture01") & (found["layer"] == 0)]
    assert empty["value"].tolist() == [0.0]
    assert (found[found["layer"] == 3]["value"] == 1.0).all()
    assert found["value"].between(0, 1).all()
    nothing = score(captions.assign(caption=""))
    assert (nothing["value"] == 0).all()


def test_the_order_of_rows_changes_no_bit_and_the_batch_hardly_any(captioned: Captioned) -> None:
    captions, _ = captioned
    expected = score(captions, batch=4)
    shuffled = score(captions.sample(frac=1, random_state=0), batch=4)
    pd.testing.assert_frame_equal(shuffled, expected, check_exact=True)
    pd.testing.assert_frame_equal(score(captions, batch=64), expected, atol=1e-6)


def test_a_caption_longer_than_the_model_reads_is_cut(captioned: Captioned) -> None:
    captions = captioned[0].copy()
    captions.loc[0, "caption"] = "a giraffe " * 600
    assert 0 < score(captions)["value"].iloc[0] <= 1


def test_a_model_that_cannot_be_used_is_named(captioned: Captioned, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without config\.json"):
        bertscore.score(captioned[0], tmp_path, LAYER)
    with pytest.raises(InputError, match="layer 7: allowed are 1 to 6"):
        bertscore.score(captioned[0], bertscore.BUNDLED, 7)


def test_a_picture_without_a_last_caption_is_named(captioned: Captioned) -> None:
    captions = captioned[0]
    short = captions[(captions["image_id"] != "picture05") | (captions["layer"] < 3)]
    with pytest.raises(VitpeelError, match="picture05"):
        score(short)
