"""The heatmap perspective (section 3.4): where CLS looks, as one map over the patches a layer.

Works on cached attention with numpy alone. Equation 7 as printed sums over the patches, which leaves one
number, one minus the attention that CLS pays itself; the figures of the paper show maps, so A^l is read as
the map over patches, averaged over heads. Both readings are here, and attention rollout (Abnar and Zuidema
2020), which follows attention through the layers below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitpeel.errors import VitpeelError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]
# Equation 7 where layers are compared: a map over the patches, one number as printed, attention rollout.
Reading = Literal["map", "literal", "rollout"]


def maps(attention: Array, grid: tuple[int, int]) -> Array:
    """A^l, Equation 7 before its sum over patches: attention of CLS to each patch, mean over heads.

    attention: [..., heads, tokens], token 0 is CLS; grid: patches down and across; returned: [..., down,
    across], each map sums to the share of attention that CLS does not keep for itself.
    """
    return on_grid(attention.mean(axis=-2), grid)


def literal(attention: Array) -> Array:
    """A^l, Equation 7 as printed: the attention of CLS to all patches together, mean over heads.

    attention: [..., heads, tokens]; returned: [...].
    """
    summed: Array = attention[..., 1:].sum(axis=-1).mean(axis=-1)
    return summed


def rollout(attention: Iterable[Array]) -> Iterator[Array]:
    """How much of each token's input reaches CLS after every layer, its row of the attention rollout.

    attention: of every token in layer 0, 1, ..., each [..., heads, tokens, tokens] (reader, read); the
    skip counts for one half, as in Abnar and Zuidema. Yields a row a layer, [..., tokens], that sums to one;
    `on_grid` makes the map. Holds one [..., tokens, tokens] at a time.
    """
    rolled: Array | None = None
    for weights in attention:
        mixed = (weights.mean(axis=-3) + np.eye(weights.shape[-1], dtype=weights.dtype)) / 2
        rolled = mixed if rolled is None else mixed @ rolled
        yield rolled[..., 0, :]


def on_grid(row: Array, grid: tuple[int, int]) -> Array:
    """The patches of a row over tokens, CLS left out.  [..., tokens] -> [..., down, across]."""
    down, across = grid
    if row.shape[-1] != 1 + down * across:
        raise ValueError(
            f"attention to {row.shape[-1]} tokens is not CLS and a grid of {down} x {across} patches"
        )
    return row[..., 1:].reshape(*row.shape[:-1], down, across)


def delta(layers: Array) -> Array:
    """Equation 8 as a map: A^l - A^{l-1}.  [..., layers, down, across] -> [..., layers - 1, down, across]."""
    difference: Array = np.diff(layers, axis=-3)
    return difference


def l1(difference: Array) -> Array:
    """Equation 8 as a number: the sum over patches of |A^l - A^{l-1}|.  [..., down, across] -> [...]."""
    total: Array = np.abs(difference).sum(axis=(-2, -1))
    return total


@dataclass(frozen=True)
class Outliers:
    """How outlier tokens (Darcet et al. 2024) are found and what is done about them.

    rule: "mad", a norm above median + k MAD (median absolute deviation, not scaled) of the patches of that
    picture and layer; "absolute", a norm above `norm`; "top", the part `share` of the patches with the
    largest norms; "off", none. fill: what an outlier's place on the map gets: "inpainted", the mean of its
    neighbours, or "masked", nothing. renormalise: scale the map so that its sum stays what it was.
    """

    rule: Literal["mad", "absolute", "top", "off"] = "mad"
    k: float = 10.0
    norm: float = 100.0
    share: float = 0.02
    fill: Literal["inpainted", "masked"] = "inpainted"
    renormalise: bool = True

    @property
    def found(self) -> str:
        """In words: how they are found; "" where none are looked for."""
        return {
            "mad": f"norm above median + {self.k:g} MAD",
            "absolute": f"norm above {self.norm:g}",
            "top": f"the {100 * self.share:g} % largest norms",
            "off": "",
        }[self.rule]

    @property
    def done(self) -> str:
        """In words: what is done about them."""
        return f"{self.fill}, the map's sum {'kept' if self.renormalise else 'not kept'}"


def find_outliers(norms: Array, how: Outliers) -> Mask:
    """Which patches of each picture and layer are outliers.

    norms: of the patch tokens (CLS left out) that the layer reads, [..., patches]; returned: the same shape.
    """
    match how.rule:
        case "mad":
            median = np.median(norms, axis=-1, keepdims=True)
            deviation = np.median(np.abs(norms - median), axis=-1, keepdims=True)
            return np.asarray(norms > median + how.k * deviation)
        case "absolute":
            return np.asarray(norms > how.norm)
        case "top":
            count = round(how.share * norms.shape[-1])
            place = np.argsort(np.argsort(-norms, axis=-1, kind="stable"), axis=-1)
            return np.asarray(place < count)
        case "off":
            return np.zeros(norms.shape, dtype=bool)


def handle(layers: Array, outliers: Mask, how: Outliers) -> Array:
    """The maps with their outliers masked or inpainted, and renormalised.

    layers, outliers, returned: [..., down, across]. Raises VitpeelError for a map without any other patch.
    """
    whole = np.argwhere(outliers.all(axis=(-2, -1)))
    if len(whole):
        place = f" (layer {whole[0][-1]})" if whole.shape[1] else ""
        raise VitpeelError(
            f"every patch of a map{place} is an outlier by perspectives.outliers.rule: {how.rule}. "
            "Set a higher norm, or rule: mad."
        )
    handled = np.where(outliers, 0.0, layers)
    if how.fill == "inpainted":
        handled = _inpaint(handled, outliers)
    if how.renormalise:
        before, after = layers.sum(axis=(-2, -1)), handled.sum(axis=(-2, -1))
        scale = np.where(
            outliers.any(axis=(-2, -1)) & (after > 0), before / np.where(after > 0, after, 1.0), 1.0
        )
        handled = handled * scale[..., None, None]
    return np.asarray(handled)


def _inpaint(layers: Array, holes: Mask) -> Array:
    """Fill each hole with the mean of its up to eight neighbours that are none, from the rim inwards."""
    filled, known = layers.copy(), ~holes
    while not known.all():
        count = _neighbours(known.astype(float))
        reached = ~known & (count > 0)
        mean = _neighbours(np.where(known, filled, 0.0)) / np.maximum(count, 1)
        filled, known = np.where(reached, mean, filled), known | reached
    return filled


def _neighbours(layers: Array) -> Array:
    """The sum over the eight neighbours of each cell.  [..., down, across], returned: the same."""
    down, across = layers.shape[-2:]
    padded = np.pad(layers, [(0, 0)] * (layers.ndim - 2) + [(1, 1), (1, 1)])
    around = [padded[..., y : y + down, x : x + across] for y in range(3) for x in range(3)]
    return np.asarray(sum(around) - layers)
