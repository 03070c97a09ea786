"""The layer from which a further layer adds nothing significant (section 4.3, Figure 3).

Every layer l is compared with every later layer j, paired over pictures, on the draws of `bootstrap`. So many
comparisons need one band for all of them: gain(l, j) +- c s(l, j). s is the bootstrap standard error of that
gain, c the `confidence` quantile of the studentised maximum, max over all pairs of |gain* - gain| / s. As in
Student's t, s is itself uncertain where pictures are few: in the maximum it is drawn with the gain, from a
chi-square with (pictures - 1) degrees of freedom. At that confidence all true gains lie inside their bands
together (Romano and Wolf 2005; Montiel Olea and Plagborg-Moller 2019).

The plateau layer is the first one over which no later layer's band lies wholly above zero. Each layer before
it is then shown to be worse than some later one, so at that confidence the plateau does not begin earlier. It
may begin later: not significant is not nothing. `most` therefore says how large a gain over a layer the bands
still leave possible, and `share` how often each layer is found when pictures are drawn anew. A resample has
the noise of its own draw on top of the sample's, so these layers lie later rather than earlier than the one
found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.scores import bootstrap

Floats = NDArray[np.float64]

_ROUNDING = 1e-9  # of the largest score: differences below it are those of adding up in another order


@dataclass(frozen=True)
class Bands:
    """What each layer has more than each earlier one, and its simultaneous band.

    gain, low, high: [L, L], of column over row; critical: standard errors from gain to low and to high.
    first: [resamples], index of the plateau layer when the resample is judged by the same bands.
    """

    gain: Floats
    low: Floats
    high: Floats
    critical: float
    first: NDArray[np.int64]

    @property
    def better(self) -> NDArray[np.bool_]:
        """[L, L], whether the column's layer is later than the row's and significantly better."""
        return np.triu(self.low > 0, 1)

    @property
    def plateau(self) -> int:
        """Index of the first layer that no later one is significantly better than."""
        return int(np.argmin(self.better.any(axis=1)))


def bands(found: bootstrap.Estimates, confidence: float, seed: int) -> Bands:
    """Compare all layers of `found`, whose readings are layers of one variant, two pictures at least."""
    free, layers = len(found.pictures) - 1, len(found.point)
    rng = np.random.default_rng(seed)
    rounding = _ROUNDING * float(np.abs(found.point).max())
    gain = found.point[None, :] - found.point[:, None]
    gain[np.abs(gain) <= rounding] = 0.0
    error = np.zeros_like(gain)
    largest = np.zeros(len(found.draws))
    for layer in range(layers - 1):
        own, later = slice(layer, layer + 1), slice(layer + 1, None)
        drawn = found.draws[:, later] - found.draws[:, own] - gain[own, later]
        spread = drawn.std(axis=0) * np.sqrt((free + 1) / free)
        spread[spread <= rounding] = 0.0
        error[layer, later] = spread
        uncertain = spread * np.sqrt(rng.chisquare(free, size=drawn.shape) / free)
        studentised = np.divide(np.abs(drawn), uncertain, out=np.zeros_like(drawn), where=spread > 0)
        largest = np.maximum(largest, studentised.max(axis=1))
    critical = float(np.quantile(largest, confidence))
    first = np.full(len(found.draws), layers - 1)
    for layer in reversed(range(layers - 1)):
        drawn = found.draws[:, layer + 1 :] - found.draws[:, layer : layer + 1]
        beaten = drawn > critical * error[layer, layer + 1 :] + rounding
        first[~beaten.any(axis=1)] = layer
    return Bands(gain, gain - critical * error, gain + critical * error, critical, first)


def table(
    scores: pd.DataFrame,
    metric: str,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    variant: str = "unedited",
) -> pd.DataFrame:
    """Return the plateau test of `metric` in a `scores` table, a row a layer of the whole model.

    next_*, last_*: what the next and the last layer have more than this one, paired; *_low, *_high: the
    percentile interval of this one gain; *_band_low, *_band_high: the band that holds for all pairs of layers
    at once. better, worse: later layers that are significantly so; most: the largest gain of a later layer
    over this one that the bands leave possible. plateau marks the plateau layer; share: of the resamples that
    find it at this layer; plateau_low, plateau_high: the layers that hold `confidence` of them. A single
    picture has gains and nothing else. Errors as `bootstrap.estimate`.
    """
    whole = scores[(scores["variant"] == variant) & scores["head"].isna()]
    found = bootstrap.estimate(whole, metric, resamples, seed)
    layers, last = found.readings["layer"].to_numpy(), len(found.point) - 1
    rows = pd.DataFrame({"metric": metric, "layer": layers, "mean": found.point})
    several = len(found.pictures) > 1
    compared = bands(found, confidence, seed) if several else None
    for name, other in (
        ("next", np.minimum(np.arange(last + 1) + 1, last)),
        ("last", np.full(last + 1, last)),
    ):
        later = np.arange(last + 1) < other
        drawn = found.draws[:, other] - found.draws
        rows[f"{name}_gain"] = np.where(later, found.point[other] - found.point, np.nan)
        ends = dict(zip(("low", "high"), bootstrap.interval(drawn, confidence), strict=True))
        if compared is not None:
            at = np.arange(last + 1), other
            ends |= {"band_low": compared.low[at], "band_high": compared.high[at]}
        for end in ("low", "high", "band_low", "band_high"):
            rows[f"{name}_{end}"] = np.where(later & several, ends.get(end, np.nan), np.nan)
    return rows.assign(
        **_verdict(compared, layers, confidence), confidence=confidence, pictures=len(found.pictures)
    )


def _verdict(compared: Bands | None, layers: NDArray[np.int64], confidence: float) -> dict[str, Any]:
    names = ("better", "worse", "most", "share", "plateau_low", "plateau_high", "critical")
    if compared is None:
        return dict.fromkeys(names, np.nan) | {"plateau": False}
    later = np.triu(np.ones_like(compared.high, dtype=bool), 1)
    possible = np.where(later, compared.high, -np.inf).max(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(compared.first, [tail, 1 - tail], method="inverted_cdf")
    return {
        "better": compared.better.sum(axis=1),
        "worse": np.triu(compared.high < 0, 1).sum(axis=1),
        "most": np.where(np.isfinite(possible), possible, np.nan),
        "plateau": np.arange(len(layers)) == compared.plateau,
        "share": np.bincount(compared.first, minlength=len(layers)) / len(compared.first),
        "plateau_low": layers[low],
        "plateau_high": layers[high],
        "critical": compared.critical,
    }
