"""The heatmap perspective (section 3.4): where CLS looks, as one map over the patches a layer.

Works on cached attention with numpy alone. Equation 7 as printed sums over the patches, which leaves one
number, one minus the attention that CLS pays itself; the figures of the paper show maps, so A^l is read as
the map over patches, averaged over heads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def maps(attention: Array, grid: tuple[int, int]) -> Array:
    """A^l, Equation 7 before its sum over patches: attention of CLS to each patch, mean over heads.

    attention: [..., heads, tokens], token 0 is CLS; grid: patches down and across; returned: [..., down,
    across], each map sums to the share of attention that CLS does not keep for itself.
    """
    down, across = grid
    if attention.shape[-1] != 1 + down * across:
        raise ValueError(
            f"attention to {attention.shape[-1]} tokens is not CLS and a grid of {down} x {across} patches"
        )
    mean: Array = attention.mean(axis=-2)[..., 1:]
    return mean.reshape(*mean.shape[:-1], down, across)
