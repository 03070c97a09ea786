"""The three perspectives' changes and how they rank the layers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vitpeel import perspectives
from vitpeel.errors import VitpeelError

LAYERS = 12


def changes(measure: str, curve: np.ndarray, pictures: int = 30, noise: float = 0.1, seed: int = 0):
    values = curve + noise * np.random.default_rng(seed).normal(size=(pictures, len(curve)))
    index = pd.MultiIndex.from_product(
        [[f"p{n:02d}" for n in range(pictures)], range(1, len(curve) + 1)], names=["image_id", "layer"]
    )
    return pd.DataFrame({"change": values.ravel()}, index=index).reset_index().assign(measure=measure)


def test_spearman_is_scipys_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, size=(2, 8, 20)).astype(float)
    found = perspectives.spearman(first, second)
    np.testing.assert_allclose(found, [stats.spearmanr(a, b)[0] for a, b in zip(first, second, strict=True)])
    first[3] = 1
    assert np.isnan(perspectives.spearman(first, second)[3])


def test_each_perspective_becomes_a_number_a_layer() -> None:
    flow = pd.DataFrame(
        {"image_id": "a", "layer": [0, 0, 1], "component": "x", "norm": [3.0, 4, 2], "cosine": [0.6, 0.8, 1]}
    )
    assert perspectives.flow_change(flow)["change"].tolist() == pytest.approx([5, 2])
    maps = np.random.default_rng(0).random((2, 3, 4, 5))
    for reading in ("map", "rollout"):
        rows = perspectives.heatmap_change(zip("ab", maps, strict=True), reading)
        heat = rows.set_index(["image_id", "layer"])["change"]
        assert heat["b", 2] == pytest.approx(np.abs(maps[1, 2] - maps[1, 1]).sum())
        assert len(heat) == 4 and rows["measure"].eq(reading).all()
    literal = perspectives.heatmap_change(zip("ab", maps, strict=True), "literal")
    assert literal["change"].iloc[3] == pytest.approx(abs(maps[1, 2].sum() - maps[1, 1].sum()))
    said = pd.DataFrame(
        {"image_id": "a", "layer": 1, "metric": ["cider", "bertscore", "bleu4"], "value": [10, 0.75, 0]}
    )
    language = perspectives.language_change(said)
    assert language["change"].tolist() == [0, 0.25, 1]
    measures = ("update", "relative update", *perspectives.HEATMAPS, *language["measure"])
    names = [perspectives.perspective(name) for name in measures]
    assert names == ["data flow"] * 2 + ["heatmap"] * 3 + ["language"] * 3


def test_the_relative_update_is_over_what_the_layer_reads() -> None:
    updates = pd.DataFrame({"image_id": list("aabb"), "layer": [0, 1, 0, 1], "change": [5.0, 2, 3, 1]})
    lengths = pd.DataFrame({"image_id": list("baba"), "layer": [1, 0, 0, 1], "length": [4.0, 10, 6, 8]})
    found = perspectives.relative_change(updates.assign(measure="update"), lengths)
    assert found.set_index(["image_id", "layer"])["change"].to_dict() == {
        ("a", 0): 0.5,
        ("a", 1): 0.25,
        ("b", 0): 0.5,
        ("b", 1): 0.25,
    }
    with pytest.raises(VitpeelError, match="picture b, layer 1: in the data flow or in the attention"):
        perspectives.relative_change(updates.iloc[:3].assign(measure="update"), lengths)


def test_all_changes_are_one_table() -> None:
    flow = pd.DataFrame(
        {"image_id": "a", "layer": [0, 1], "component": "mlp", "norm": [3.0, 2], "cosine": 1.0}
    )
    lengths = pd.DataFrame({"image_id": "a", "layer": [0, 1], "length": [6.0, 8]})
    said = pd.DataFrame({"image_id": "a", "layer": [1], "metric": ["cider"], "value": [2.5]})
    maps = [("a", np.array([[[0.5, 0.5]], [[0.25, 0.5]]]))]
    found = perspectives.changes(flow, lengths, maps, "map", said)
    assert list(found.itertuples(index=False, name=None)) == [
        ("a", 0, "update", 3.0),
        ("a", 1, "update", 2.0),
        ("a", 0, "relative update", 0.5),
        ("a", 1, "relative update", 0.25),
        ("a", 1, "map", 0.25),
        ("a", 1, "cider", 0.75),
    ]


def test_correlations_of_mean_curves_and_of_pictures() -> None:
    rise = np.linspace(0, 1, LAYERS)
    together = [changes("update", rise, seed=1), changes("map", rise**2, noise=1, seed=2)]
    rows = pd.concat([*together, changes("bleu4", -rise, seed=3)])
    found = perspectives.correlations(rows, resamples=300).set_index(["first", "second", "level"])
    assert len(found) == 6
    opposed, noisy = found.loc["update", "bleu4", "mean"], found.loc["update", "map", "picture"]
    assert opposed["rho"] < -0.9 and opposed["low"] <= opposed["rho"] and opposed["high"] < -0.8
    wide = [part.pivot(index="image_id", columns="layer", values="change") for part in together]
    own = [stats.spearmanr(a, b)[0] for a, b in zip(wide[0].to_numpy(), wide[1].to_numpy(), strict=True)]
    assert noisy["rho"] == pytest.approx(np.mean(own))
    assert noisy["high"] - noisy["low"] == pytest.approx(2 * 1.96 * np.std(own) / np.sqrt(30), rel=0.25)
    assert found.loc["update", "map", "mean"]["rho"] > noisy["rho"] + 0.2
    means = [part.groupby("layer")["change"].mean() for part in together]
    assert found.loc["update", "map", "mean"]["rho"] == pytest.approx(stats.spearmanr(*means)[0])


def test_the_order_of_rows_changes_nothing() -> None:
    rows = pd.concat([changes("update", np.arange(5.0)), changes("map", np.ones(5), seed=1)])
    mixed = rows.groupby("measure", sort=False).sample(frac=1, random_state=0)
    first, second = (perspectives.correlations(own, resamples=50) for own in (rows, mixed))
    pd.testing.assert_frame_equal(first, second)


def test_only_layers_that_all_have_and_only_pictures_that_change() -> None:
    flow, said = changes("update", np.arange(6.0)), changes("bleu4", np.arange(6.0), seed=1)
    extra = flow[flow["layer"] == 1].assign(layer=0, change=99.0)
    still = said.assign(change=said["change"].where(said["image_id"] != "p03", 0.0))
    with_extra = perspectives.correlations(pd.concat([extra, flow, still]), resamples=50)
    pd.testing.assert_frame_equal(
        with_extra, perspectives.correlations(pd.concat([flow, still]), resamples=50)
    )
    assert with_extra.set_index("level")["pictures"].to_dict() == {"mean": 30, "picture": 29}
    never = perspectives.correlations(pd.concat([flow, said.assign(change=0.0)]), resamples=50)
    assert never["rho"].isna().all()


def test_curves_have_intervals() -> None:
    found = perspectives.curves(changes("update", np.arange(6.0)), resamples=200)
    rows = changes("update", np.arange(6.0)).groupby("layer")["change"]
    np.testing.assert_allclose(found["mean"], rows.mean())
    np.testing.assert_allclose(found["high"] - found["low"], 2 * 1.96 * rows.sem(), rtol=0.3)
    assert found["pictures"].eq(30).all() and found["perspective"].eq("data flow").all()


def test_what_cannot_be_compared_is_named() -> None:
    flow, said = changes("update", np.arange(6.0)), changes("bleu4", np.arange(6.0))
    with pytest.raises(VitpeelError, match=r"update and bleu4: not of the same pictures \(30 and 29\)"):
        perspectives.correlations(pd.concat([flow, said[said["image_id"] != "p03"]]), resamples=20)
    with pytest.raises(VitpeelError, match="no layer in common"):
        perspectives.correlations(pd.concat([flow, said.assign(layer=said["layer"] + 20)]), resamples=20)
