"""Intervals against SciPy's bootstrap, a naive loop, and pycocoevalcap on a drawn corpus."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vitpeel.errors import VitpeelError
from vitpeel.scores import bleu, bootstrap, references

Captioned = tuple[pd.DataFrame, dict[str, list[str]]]


def long_table(values: np.ndarray, metric: str = "cider") -> pd.DataFrame:
    """values: [pictures, layers]."""
    pictures, layers = values.shape
    index = pd.MultiIndex.from_product(
        [[f"p{n:03d}" for n in range(pictures)], range(layers)], names=["image_id", "layer"]
    )
    frame = pd.DataFrame({"value": values.ravel()}, index=index).reset_index()
    head = pd.array([pd.NA] * len(frame), dtype="Int16")
    return frame.astype({"layer": "int16"}).assign(variant="unedited", head=head, metric=metric)


def no_captions() -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(dtype="str") for name in ("image_id", "variant", "caption")})
    return frame.assign(layer=pd.Series(dtype="int16"), head=pd.Series(dtype="Int16"))


def test_intervals_agree_with_scipy() -> None:
    values = np.random.default_rng(0).gamma(2, size=(150, 3))
    found = bootstrap.summarise(long_table(values), no_captions(), "drawn", resamples=9999, seed=1)
    for layer in range(3):
        theirs = stats.bootstrap(
            (values[:, layer],), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(2)
        ).confidence_interval
        row = found[found["layer"] == layer].iloc[0]
        width = theirs.high - theirs.low
        assert row["mean"] == pytest.approx(values[:, layer].mean())
        assert abs(row["low"] - theirs.low) < 0.05 * width and abs(row["high"] - theirs.high) < 0.05 * width


def test_layers_share_their_resamples() -> None:
    first = np.random.default_rng(3).normal(size=40)
    table = long_table(np.stack([first, first + 0.25], axis=1))
    gain = bootstrap.gain_to_last(table, "cider", resamples=200).iloc[0]
    assert [gain["gain"], gain["gain_low"], gain["gain_high"]] == pytest.approx([0.25] * 3)


def test_same_seed_same_numbers_whatever_the_order_or_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    table = long_table(np.random.default_rng(4).normal(size=(30, 2)))
    expected = bootstrap.estimate(table, "cider", resamples=50, seed=5).draws
    monkeypatch.setattr(bootstrap, "_CELLS", 100)
    again = bootstrap.estimate(table.sample(frac=1, random_state=0), "cider", resamples=50, seed=5).draws
    np.testing.assert_allclose(again, expected, rtol=1e-12)
    assert not np.allclose(bootstrap.estimate(table, "cider", resamples=50, seed=6).draws, expected)


def test_corpus_bleu_is_recomputed_on_every_draw(captioned: Captioned) -> None:
    captions, written = captioned
    scores = references.score(captions, written, ["bleu4"])
    found = bootstrap.estimate(scores, "bleu4", resamples=3, seed=8)
    times = np.random.default_rng(8).multinomial(12, [1 / 12] * 12, size=3)
    for draw in range(3):
        # the same draw as a corpus of its own, in which a picture may stand several times
        copies = [
            (image, n) for image, count in zip(found.pictures, times[draw], strict=True) for n in range(count)
        ]
        drawn = pd.concat(
            [captions[captions["image_id"] == image].assign(image_id=f"{image}-{n}") for image, n in copies]
        )
        corpus = references.score(drawn, {f"{image}-{n}": written[image] for image, n in copies}, ["bleu4"])
        expected = bootstrap.estimate(corpus, "bleu4", resamples=1, seed=0).point
        np.testing.assert_allclose(found.draws[draw], expected, rtol=1e-9)


def test_sentence_bleu_is_a_mean_and_corpus_bleu_is_not(captioned: Captioned) -> None:
    captions, written = captioned
    scores = references.score(captions, written, ["bleu4"])
    found = bootstrap.summarise(scores, captions, "drawn", resamples=10)
    assert set(found["metric"]) == {"bleu4", "bleu4_sentence"} and not set(found["metric"]) & set(bleu.COUNTS)
    sentence = scores[scores["metric"] == "bleu4"].groupby("layer")["value"].mean()
    np.testing.assert_allclose(found[found["metric"] == "bleu4_sentence"]["mean"], sentence)
    assert not np.allclose(found[found["metric"] == "bleu4"]["mean"], sentence)


def test_heads_and_whole_layers_stay_apart() -> None:
    whole = long_table(np.ones((5, 2)))
    both = pd.concat([whole, whole.assign(head=pd.array([3] * 10, dtype="Int16"), value=2.0)])
    found = bootstrap.summarise(both, no_captions(), "drawn", resamples=10)
    assert found["head"].isna().tolist() == [True, False] * 2
    assert found["mean"].tolist() == [1.0, 2.0] * 2
    assert (bootstrap.gain_to_last(both, "cider", resamples=10)["gain"] == 0).all()


@pytest.mark.parametrize("fault", ["p001 has no score at layer 1", "more than one score"])
def test_holes_and_doubles_are_refused(fault: str) -> None:
    table = long_table(np.ones((5, 2)))
    broken = table.drop(index=3) if "no score" in fault else pd.concat([table, table.iloc[[3]]])
    with pytest.raises(VitpeelError, match=fault):
        bootstrap.estimate(broken, "cider", resamples=10, seed=0)


def test_missing_metric_names_what_there_is() -> None:
    with pytest.raises(VitpeelError, match=r"bertscore: no such metric in the scores. There are: cider\."):
        bootstrap.estimate(long_table(np.ones((2, 2))), "bertscore", resamples=10, seed=0)


def test_needs_no_torch() -> None:
    code = "import sys; from vitpeel.scores import bootstrap; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
