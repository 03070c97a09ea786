"""The plateau test on pictures drawn with a known plateau, and against intervals of scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from captioned_pictures import build_captions
from scipy import stats

from vitpeel.scores import bootstrap, plateau, references


def long_table(values: np.ndarray, metric: str = "cider") -> pd.DataFrame:
    """values: [pictures, layers]."""
    index = pd.MultiIndex.from_product(
        [[f"p{n:03d}" for n in range(len(values))], range(values.shape[1])], names=["image_id", "layer"]
    )
    frame = pd.DataFrame({"value": values.ravel()}, index=index).reset_index()
    head = pd.array([pd.NA] * len(frame), dtype="Int16")
    return frame.astype({"layer": "int16"}).assign(variant="unedited", head=head, metric=metric)


def drawn(rng: np.random.Generator, curve: np.ndarray, pictures: int, kind: str) -> np.ndarray:
    """Scores [pictures, layers] whose expectation is `curve`; neighbouring layers are alike."""
    size = (pictures, len(curve))
    if kind == "sparse":  # one caption in ten changes from a layer to the next
        change = (rng.random(size) < 0.1) * rng.choice([-1.0, 1.0], size)
    else:
        change = rng.normal(size=size) if kind == "normal" else rng.exponential(size=size) - 1
    return np.asarray(curve + rng.normal(size=(pictures, 1)) + np.cumsum(change, axis=1))


@pytest.mark.parametrize(
    ("kind", "pictures"), [("normal", 12), ("normal", 60), ("sparse", 60), ("skewed", 60)]
)
def test_error_rates_are_what_the_confidence_says(kind: str, pictures: int) -> None:
    rng = np.random.default_rng(5)
    true, runs = 3, 150
    curve = np.minimum(np.arange(7), true) * 2.0
    expected = np.triu(curve[None, :] - curve[:, None], 1)
    later = held = 0
    for run in range(runs):
        values = long_table(drawn(rng, curve, pictures, kind))
        found = plateau.bands(bootstrap.estimate(values, "cider", 300, run), 0.9, run)
        later += found.plateau > true
        inside = (found.low - 1e-9 <= expected) & (expected <= found.high + 1e-9)
        held += inside[np.triu_indices(7, 1)].all()
    # a rate at its limit goes over these in one run of ten thousand
    assert later <= stats.binom.ppf(0.9999, runs, 0.05)
    assert held >= stats.binom.ppf(0.0001, runs, 0.88)  # 90 %, and a little for so few resamples


def test_each_pair_at_its_own_level_would_find_plateaus_too_late() -> None:
    """What the simultaneous band is for: the same pictures, every pair judged at 90 % by itself."""
    rng = np.random.default_rng(5)
    alone = 0
    for run in range(100):
        values = long_table(drawn(rng, np.zeros(12), 60, "normal"))
        draws = bootstrap.estimate(values, "cider", 200, run).draws
        low = np.quantile(draws[:, None, :] - draws[:, :, None], 0.05, axis=0)
        alone += bool((np.triu(low, 1) > 0).any())
    assert alone > 30


def test_a_clear_plateau_is_found_where_it_is() -> None:
    curve = np.minimum(np.arange(39), 35) * 0.3
    rows = plateau.table(long_table(drawn(np.random.default_rng(1), curve, 200, "sparse")), "cider", 500)
    found = rows[rows["plateau"]].iloc[0]
    assert found["layer"] == 35 and found["plateau_low"] <= 35 <= found["plateau_high"]
    assert found["share"] > 0.5
    assert found["better"] == found["worse"] == 0 and 0 < found["most"] < 0.3
    assert (rows["better"][:35] > 0).all() and rows["share"].sum() == pytest.approx(1)
    assert (rows["most"][:38] >= rows["last_band_high"][:38]).all() and np.isnan(rows["most"][38])


def test_gains_and_their_own_intervals_are_the_paired_ones() -> None:
    values = np.random.default_rng(0).gamma(2, size=(150, 3))
    rows = plateau.table(long_table(values), "cider", resamples=9999, seed=1)
    for layer, name, other in ((0, "next", 1), (0, "last", 2), (1, "next", 2), (1, "last", 2)):
        difference = values[:, other] - values[:, layer]
        theirs = stats.bootstrap(
            (difference,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(2)
        ).confidence_interval
        row, width = rows.iloc[layer], theirs.high - theirs.low
        assert row[f"{name}_gain"] == pytest.approx(difference.mean())
        assert abs(row[f"{name}_low"] - theirs.low) < 0.05 * width
        assert abs(row[f"{name}_high"] - theirs.high) < 0.05 * width
        # three pairs: wider than one at its own, narrower than Bonferroni's
        reach = (row[f"{name}_band_high"] - row[f"{name}_band_low"]) / 2 / stats.sem(difference)
        assert stats.t.isf(0.025, 149) < reach < 1.02 * stats.t.isf(0.025 / 3, 149)
    assert rows.iloc[2][["next_gain", "last_gain", "next_low", "last_band_high"]].isna().all()


def test_gains_agree_with_figure_3s() -> None:
    values = long_table(np.random.default_rng(3).normal(size=(40, 4)))
    ours = plateau.table(values, "cider", resamples=200, seed=4).head(3)
    theirs = bootstrap.gain_to_last(values, "cider", resamples=200, seed=4).head(3)
    np.testing.assert_allclose(ours[["last_gain", "last_low", "last_high"]], theirs.iloc[:, 3:].astype(float))


def test_layers_that_say_the_same_are_no_gain() -> None:
    first = np.random.default_rng(3).normal(size=40) / 3
    rounded = np.nextafter(first, 9)  # as where the same numbers are added up in another order
    same = plateau.table(long_table(np.stack([first, rounded] * 3 + [first], axis=1)), "cider", 200)
    assert same["plateau"].tolist() == [True] + [False] * 6
    assert (same["most"][:6] == 0).all() and (same["share"][:1] == 1).all()
    constant = plateau.table(long_table(np.stack([first, first + 0.25, first + 0.25], axis=1)), "cider", 200)
    assert constant["plateau"].tolist() == [False, True, False]
    assert constant["most"].tolist()[:2] == pytest.approx([0.25, 0])


def test_a_fall_is_a_peak_and_a_steady_rise_has_no_plateau() -> None:
    rng = np.random.default_rng(6)
    falls = plateau.table(long_table(drawn(rng, -np.arange(5.0), 60, "sparse")), "cider", 200)
    assert falls["plateau"].tolist() == [True] + [False] * 4 and falls["worse"][0] == 4
    rises = plateau.table(long_table(drawn(rng, np.arange(5.0), 60, "sparse")), "cider", 200)
    assert rises["plateau"].tolist() == [False] * 4 + [True] and rises["better"].tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("layers", [1, 3])
def test_a_single_picture_has_no_interval(layers: int) -> None:
    rows = plateau.table(long_table(np.arange(float(layers))[None]), "cider", resamples=100)
    assert not rows["plateau"].any() and rows["pictures"].eq(1).all()
    assert rows["last_gain"].tolist()[:-1] == [2.0, 1.0][: layers - 1]
    assert (
        rows[["last_low", "next_band_high", "most", "share", "plateau_low", "critical"]].isna().all(axis=None)
    )


def test_a_single_layer_is_its_own_plateau() -> None:
    rows = plateau.table(long_table(np.random.default_rng(0).normal(size=(9, 1))), "cider", resamples=100)
    assert rows["plateau"].tolist() == [True] and np.isnan(rows["most"][0])


def test_corpus_bleu_and_heads_aside() -> None:
    captions, written = build_captions(30, 4)
    scores = references.score(captions, written, ["bleu4"])
    rows = plateau.table(scores, "bleu4", resamples=200)
    expected = bootstrap.estimate(scores, "bleu4", 1, 0).point
    np.testing.assert_allclose(rows["mean"], expected)
    np.testing.assert_allclose(rows["last_gain"][:3], expected[3] - expected[:3])
    head = scores.assign(head=pd.array([0] * len(scores), dtype="Int16"))
    both = pd.concat([scores, head, scores.assign(variant="other")])
    pd.testing.assert_frame_equal(plateau.table(both, "bleu4", resamples=200), rows)
