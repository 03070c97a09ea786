"""Equations 7 and 8, rollout, and outlier tokens."""

import numpy as np
import pytest
from scipy import ndimage, stats

from vitpeel import heatmaps
from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Outliers


def attention(layers: int = 2, heads: int = 3, tokens: int = 7) -> np.ndarray:
    """Random rows that sum to one, as a softmax leaves them."""
    scores = np.random.default_rng(0).random((layers, heads, tokens))
    return scores / scores.sum(-1, keepdims=True)


def all_attention(layers: int = 4, heads: int = 3, tokens: int = 7) -> np.ndarray:
    scores = np.random.default_rng(0).gamma(0.5, size=(layers, heads, tokens, tokens))
    return scores / scores.sum(-1, keepdims=True)


def norms() -> np.ndarray:
    """2 pictures, 3 layers, 12 patches; the only outlier: picture 1, layer 2, patch 5."""
    made = np.random.default_rng(0).uniform(28, 32, size=(2, 3, 12))
    made[1, 2, 5] = 90
    return made


def test_a_map_is_the_mean_over_heads_in_the_patches_order() -> None:
    rows = attention()
    maps = heatmaps.maps(rows, (2, 3))
    assert maps.shape == (2, 2, 3)
    assert maps[1, 1, 0] == pytest.approx((rows[1, 0, 4] + rows[1, 1, 4] + rows[1, 2, 4]) / 3)


def test_the_literal_equation_7_is_what_cls_does_not_keep_for_itself() -> None:
    rows = attention()
    assert heatmaps.literal(rows) == pytest.approx(1 - rows[:, :, 0].mean(1))
    assert heatmaps.literal(rows) == pytest.approx(heatmaps.maps(rows, (2, 3)).sum((1, 2)))


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 tokens is not CLS and a grid of 2 x 2"):
        heatmaps.maps(attention(), (2, 2))


def test_rollout_is_the_product_of_all_layers_below() -> None:
    weights = all_attention()
    rows = list(heatmaps.rollout(weights))
    mixed = [0.5 * layer.mean(0) + 0.5 * np.eye(7) for layer in weights]
    for layer, row in enumerate(rows):
        # the last factor reads layer 0's input
        expected = mixed[0] if not layer else np.linalg.multi_dot(mixed[layer::-1])
        np.testing.assert_allclose(row, expected[0])
        assert row.sum() == pytest.approx(1)
    batched = list(heatmaps.rollout(np.stack([weights, weights[::-1]], axis=1)))
    np.testing.assert_allclose(batched[3][0], rows[3])
    assert not np.allclose(batched[3][1], rows[3])
    assert heatmaps.on_grid(rows[3], (2, 3))[1, 2] == rows[3][6]


def test_delta_maps_and_their_l1() -> None:
    maps = heatmaps.maps(attention(layers=3), (2, 3))
    delta = heatmaps.delta(maps[None])[0]
    np.testing.assert_allclose(delta[1], maps[2] - maps[1])
    assert heatmaps.l1(delta)[1] == pytest.approx(np.abs(maps[2] - maps[1]).sum())


def test_outliers_by_median_and_deviation_of_their_own_picture_and_layer() -> None:
    found = heatmaps.find_outliers(norms(), Outliers())
    assert np.argwhere(found).tolist() == [[1, 2, 5]]
    row = norms()[0, 1]
    deviation = stats.median_abs_deviation(row)
    k = (np.sort(row)[-2:].mean() - np.median(row)) / deviation  # between the two largest norms
    only = heatmaps.find_outliers(row, Outliers(k=k))
    assert np.flatnonzero(only).tolist() == [row.argmax()]


def test_the_other_rules() -> None:
    assert heatmaps.find_outliers(norms(), Outliers(rule="absolute", norm=50)).sum() == 1
    assert not heatmaps.find_outliers(norms(), Outliers(rule="off")).any()
    top = heatmaps.find_outliers(norms(), Outliers(rule="top", share=0.25))
    assert (top.sum(-1) == 3).all() and top[1, 2, 5]
    assert norms()[top].min() > np.median(norms())
    assert not heatmaps.find_outliers(norms(), Outliers(rule="top", share=0.01)).any()
    assert heatmaps.find_outliers(np.ones((1, 8)), Outliers(rule="top", share=0.25)).sum() == 2  # ties


def test_handled_maps() -> None:
    maps = np.random.default_rng(1).random((2, 5, 6))
    holes = np.zeros((2, 5, 6), dtype=bool)
    holes[0, 2, 3] = holes[0, 0, 0] = True
    masked = heatmaps.handle(maps, holes, Outliers(fill="masked", renormalise=False))
    assert (masked[holes] == 0).all() and (masked[~holes] == maps[~holes]).all()
    filled = heatmaps.handle(maps, holes, Outliers(renormalise=False))
    footprint = np.ones((3, 3))
    footprint[1, 1] = 0
    around = ndimage.convolve(maps[0], footprint, mode="constant")
    assert filled[0, 2, 3] == pytest.approx(around[2, 3] / 8)
    assert filled[0, 0, 0] == pytest.approx(around[0, 0] / 3)
    assert (filled[~holes] == maps[~holes]).all()
    whole = heatmaps.handle(maps, holes, Outliers())
    np.testing.assert_allclose(whole.sum((1, 2)), maps.sum((1, 2)))
    np.testing.assert_allclose(whole[0] / whole[0, 4, 5], filled[0] / filled[0, 4, 5])
    np.testing.assert_array_equal(whole[1], maps[1])


def test_a_hole_wider_than_its_rim_is_filled_from_outside_in() -> None:
    holes = np.zeros((1, 7, 7), dtype=bool)
    holes[0, 1:6, 1:6] = True
    maps = np.where(holes, 1e6, 2.0)
    np.testing.assert_allclose(heatmaps.handle(maps, holes, Outliers(renormalise=False)), 2.0)


def test_a_map_of_outliers_only_is_refused() -> None:
    with pytest.raises(
        VitpeelError, match=r"\(layer 1\) is an outlier by perspectives\.outliers\.rule: absolute"
    ):
        outliers = np.array([[[False, True], [True, True]], [[True, True], [True, True]]])
        heatmaps.handle(np.ones((2, 2, 2)), outliers, Outliers(rule="absolute"))
