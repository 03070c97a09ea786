"""The judge's tables against numbers worked out by hand and against scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr

from vitpeel import judge_tables
from vitpeel.errors import VitpeelError
from vitpeel.judge.criteria import METRICS
from vitpeel.judge.judging import Who

WHO = Who("offline rubric", "not a language model")
RANGES = [(2, 4), (0, 4)]


def captions(pictures: int = 3, layers: int = 5) -> pd.DataFrame:
    rows = [
        (f"p{p}", variant, layer, head, f"layer {layer // 2} of p{p}", 3, False)
        for p in range(pictures)
        for variant, head in (("unedited", None), ("unedited", 0), ("averaged", None))
        for layer in range(layers)
    ]
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "int16", "head": "Int16"})


def scores(values: np.ndarray) -> pd.DataFrame:
    """values: [pictures, layers], of every metric."""
    rows = [
        (f"p{p}", "unedited", layer, None, metric, values[p, layer])
        for p, layer in np.ndindex(*values.shape)
        for metric in METRICS
    ]
    columns = ["image_id", "variant", "layer", "head", "metric", "value"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "int16", "head": "Int16"})


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(5).choice([1.0, 3.0, 5.0], size=(40, 5), p=[0.3, 0.3, 0.4])


def row(table: pd.DataFrame, layers: tuple[int, int]) -> pd.Series:
    own = table[table["metric"] == "judge_mean"]
    return own[(own["first"] == layers[0]) & (own["last"] == layers[1])].iloc[0]


def test_whole_unedited_layers_are_judged() -> None:
    found = judge_tables.within(captions(), (1, 3))
    assert found["layer"].tolist() == [1, 2, 3] * 3 and found["head"].isna().all()
    assert set(found["variant"]) == {"unedited"}
    with pytest.raises(VitpeelError, match=r"judge\.layers: layer 5 was not captioned; 0 to 4 were"):
        judge_tables.within(captions(), (3, 6))


def test_curves_are_means_of_the_judged_pictures(levels: np.ndarray) -> None:
    said = judge_tables.within(captions(50), (0, 4))  # ten of them were not judged
    table = judge_tables.fig5(scores(levels), said, WHO, resamples=200, confidence=0.9)
    assert table["metric"].drop_duplicates().tolist() == list(METRICS)
    mean = table[table["metric"] == "judge_mean"]
    np.testing.assert_allclose(mean["mean"], levels.mean(axis=0))
    assert (mean["low"] < mean["mean"]).all() and (mean["high"] > mean["mean"]).all()
    assert set(table["pictures"]) == {40} and set(table["captioned"]) == {50}
    assert set(table["judge"]) == {"offline rubric"} and set(table["about"]) == {"not a language model"}
    assert set(table["confidence"]) == {0.9}


def test_trends_against_scipy(levels: np.ndarray) -> None:
    found = row(judge_tables.trends(scores(levels), RANGES, resamples=300, seed=1), (0, 4))
    means = levels.mean(axis=0)
    assert found["rho"] == pytest.approx(spearmanr(means, range(5)).statistic)
    own = [spearmanr(levels[p], range(5)).statistic for p in range(40) if np.ptp(levels[p])]
    assert found["own_rho"] == pytest.approx(np.mean(own)) and found["own_pictures"] == len(own)
    steps = np.diff(means)
    assert found["rise"] == pytest.approx(steps.max())
    assert (found["step_from"], found["step_to"]) == (steps.argmax(), steps.argmax() + 1)
    assert found["change"] == pytest.approx(means[4] - means[0])
    for name in ("change", "rise", "rho", "own_rho"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"], name


def test_the_steepest_step_and_how_stable_it_is(levels: np.ndarray) -> None:
    found = row(judge_tables.trends(scores(levels), RANGES, resamples=2000, seed=1), (0, 4))
    # the same bootstrap, written out
    rng, share = np.random.default_rng(7), []
    for _ in range(2000):
        drawn = levels[rng.integers(0, 40, 40)].mean(axis=0)
        share.append(np.diff(drawn).argmax() == found["step_from"])
    assert 0 < found["stable"] < 1
    assert found["stable"] == pytest.approx(np.mean(share), abs=0.05)


def test_only_layers_of_the_range_count(levels: np.ndarray) -> None:
    levels[:, 1] = 5.0  # the steepest step of all is from 0 to 1
    levels[:, 0] = 1.0
    table = judge_tables.trends(scores(levels), RANGES, resamples=100)
    assert row(table, (0, 4))["step_to"] == 1 and row(table, (0, 4))["stable"] == 1
    assert row(table, (2, 4))["step_from"] >= 2
    assert len(judge_tables.trends(scores(levels), [(0, 4), (0, 4)], resamples=10)) == len(METRICS)


@pytest.mark.parametrize("pictures", [1, 4])
def test_scores_that_never_change_have_no_correlation(pictures: int) -> None:
    found = row(judge_tables.trends(scores(np.full((pictures, 5), 3.0)), RANGES, resamples=50), (0, 4))
    assert found["change"] == found["rise"] == 0 and found["own_pictures"] == 0
    assert np.isnan(found["rho"]) and np.isnan(found["own_rho"]) and np.isnan(found["rho_low"])


def test_rows_of_appendix_c(levels: np.ndarray) -> None:
    table = judge_tables.appendix_c(scores(levels), captions(), WHO, ["p2", "p0"], [4, 2, 3])
    assert table["image_id"].tolist() == ["p2"] * 3 + ["p0"] * 3
    assert table["layer"].tolist() == [2, 3, 4] * 2
    assert table["caption"].tolist()[:3] == ["layer 1 of p2", "layer 1 of p2", "layer 2 of p2"]
    assert table["repeated"].tolist() == [False, True, False] * 2
    alike = captions().assign(caption="a dog")  # another picture's row above is none of its own
    again = judge_tables.appendix_c(scores(levels), alike, WHO, ["p2", "p0"], [2, 3])
    assert again["repeated"].tolist() == [False, True] * 2
    np.testing.assert_allclose(table["judge_mean"], [*levels[2, 2:], *levels[0, 2:]])


def test_a_picture_that_was_not_judged_has_no_scores(levels: np.ndarray) -> None:
    table = judge_tables.appendix_c(scores(levels[:1]), captions(), WHO, ["p1"], [2])
    assert table["caption"].tolist() == ["layer 1 of p1"] and table["judge_mean"].isna().all()


def test_what_was_not_captioned_is_named(levels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(VitpeelError, match=r"figures\.appendix_c: no caption of picture p9 at layer 2"):
        judge_tables.appendix_c(scores(levels), captions(), WHO, ["p9"], [2])
    with pytest.raises(VitpeelError, match=r"figures\.appendix_c\.images: no caption of picture p9"):
        judge_tables.prompt(captions(), (0, 4), "p9", {"p9": tmp_path / "p9.png"}, "image")


def test_the_prompt_is_the_one_that_is_sent(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "p1.png")
    pictures = {"p1": tmp_path / "p1.png"}
    whole = judge_tables.prompt(captions(), (1, 3), "p1", pictures, "image")
    assert "Score these layers: 1, 2, 3." in whole and 'Layer 1: "layer 0 of p1"' in whole
    assert "Layer 0" not in whole and "Layer 4" not in whole
    last = judge_tables.prompt(captions(), (1, 3), "p1", pictures, "layer")
    assert "Score these layers: 3." in last and "Layer 2:" in last and "Layer 1:" not in last
