"""Equation 7 as a map over patches."""

import numpy as np
import pytest

from vitpeel import heatmaps


def attention(layers: int = 2, heads: int = 3, tokens: int = 7) -> np.ndarray:
    """Random rows that sum to one, as a softmax leaves them."""
    scores = np.random.default_rng(0).random((layers, heads, tokens))
    return scores / scores.sum(-1, keepdims=True)


def test_a_map_is_the_mean_over_heads_in_the_patches_order() -> None:
    rows = attention()
    maps = heatmaps.maps(rows, (2, 3))
    assert maps.shape == (2, 2, 3)
    assert maps[1, 1, 0] == pytest.approx((rows[1, 0, 4] + rows[1, 1, 4] + rows[1, 2, 4]) / 3)
    # the literal Equation 7: the sum over patches is what CLS does not keep for itself
    assert maps.sum((1, 2)) == pytest.approx(1 - rows[:, :, 0].mean(1))


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 tokens is not CLS and a grid of 2 x 2"):
        heatmaps.maps(attention(), (2, 2))
