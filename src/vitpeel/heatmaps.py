"""The heatmap perspective (section 3.4): where CLS looks, as one map over the patches a layer.

Works on cached attention with numpy alone. Equation 7 as printed sums over the patches, which leaves one
number, one minus the attention that CLS pays itself; the figures of the paper show maps, so A^l is read as
the map over patches, averaged over heads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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


def enlarge(heatmap: Array, size: tuple[int, int]) -> Array:
    """A map stretched over its picture (bicubic) and scaled to 0..1 for drawing; a flat map becomes 0.

    heatmap: [down, across]; size: height and width of the picture in pixels; returned: [height, width].
    """
    height, width = size
    image = Image.fromarray(np.asarray(heatmap, dtype=np.float32))
    large = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    low, high = float(large.min()), float(large.max())
    return (large - low) / (high - low) if high > low else np.zeros_like(large)
