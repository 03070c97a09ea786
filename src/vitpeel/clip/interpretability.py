"""How easily heads are told apart, and how well labels fit them: entanglement and association (section 4).

Of the heads of a model, all counted:

- `shared`: heads whose label another head has too, what the words of section 4.1 call entanglement;
- `unique`: heads whose label no other head has, what its printed numbers are (docs/clip-scores.md);
- `associated`: heads of which at least three texts match the label (section 4.2).

A head labelled `none` is neither shared nor unique nor associated, so that shared and unique add up to the
share of heads that have a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.clip.lexicon import NONE
from vitpeel.clip.synonyms import meant, spelled
from vitpeel.scores import bootstrap

if TYPE_CHECKING:
    from vitpeel.clip.chance import Chance

Hits = NDArray[np.bool_]

MEASURES = ("shared", "unique", "associated")
LEAST = 3  # texts that must match


def scores(
    labels: pd.DataFrame,
    by_lot: Mapping[str, Chance],
    least: int = LEAST,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The measures of every model in a `tables.HEAD_LABELS` table.

    Returned: model, measure, folded (synonyms taken for one label; association knows no such difference and
    has one row), count, of (heads), share, low, high (percentile bootstrap over heads), confidence, labels
    (different ones, without `none`), equal, equal_of, chance, chance_low, chance_high (mean and 95 % of the
    draws of `by_lot`, missing for a model that is not in it), source, texts (a head), least. Plural and case
    never tell labels apart. least: texts that must match; heads whose matches nobody counted are left out of
    the association.

    The intervals hold fixed which heads share a label: were labels compared within each draw, a head that is
    drawn twice would share with itself, and of 48 heads with 48 labels 63 % would count as entangled. None
    or all of the heads give an interval without width.

    The more heads a model has, the more of them share a label, by the count alone. equal is what the share
    would be on average if all models had equal_of heads, as many as the smallest of them; missing for the
    association, which does not depend on it.
    """
    fewest = int(labels.groupby("model").size().min())
    rows: list[dict[str, object]] = []
    for model, own in labels.groupby("model", sort=False):
        sources = ", ".join(sorted(own["source"].unique()))
        for folded in (False, True):
            names = [meant(label) if folded else spelled(label) for label in own["label"]]
            times = Counter(name for name in names if name != NONE)
            alone = _alone(times, len(names), fewest)
            about = {
                "labels": len(times),
                "equal_of": fewest,
                "source": sources,
                "texts": int(own["texts"].max()),
                "least": least,
            }
            for measure, hits, equal in (
                ("shared", [times[name] > 1 for name in names], times.total() / len(names) - alone),
                ("unique", [times[name] == 1 for name in names], alone),
                ("associated", own["matches"].dropna() >= least, np.nan),
            ):
                if measure == "associated" and folded:
                    continue
                found = _share(np.array(hits, dtype=bool), resamples, confidence, seed)
                lot = _lot(by_lot.get(str(model)), measure)
                key = {"model": model, "measure": measure, "folded": folded}
                rows.append({**key, **found, "equal": equal, **lot, **about})
    return pd.DataFrame(rows)


def _alone(times: Counter[str], heads: int, kept: int) -> float:
    """The share of heads with a label of their own that is expected among `kept` heads drawn from `heads`.

    A head stays alone where all others of its label are left out. Exact (rarefaction).
    """
    staying = (
        Fraction(count * comb(heads - count, kept - 1), comb(heads - 1, kept - 1)) for count in times.values()
    )
    return float(sum(staying, start=Fraction(0)) / heads)


def _lot(drawn: Chance | None, measure: str) -> dict[str, float]:
    shares = np.full(1, np.nan) if drawn is None else getattr(drawn, measure)
    low, high = np.quantile(shares, [0.025, 0.975])
    return {"chance": float(shares.mean()), "chance_low": float(low), "chance_high": float(high)}


def _share(hits: Hits, resamples: int, confidence: float, seed: int) -> dict[str, float]:
    """A share of heads with its interval; nan where there are no heads."""
    heads = len(hits)
    if not heads:
        return {"count": 0, "of": 0, "share": np.nan, "low": np.nan, "high": np.nan, "confidence": confidence}
    times = np.random.default_rng(seed).multinomial(heads, np.full(heads, 1 / heads), size=resamples)
    low, high = bootstrap.interval((times @ hits)[:, None] / heads, confidence)
    return {
        "count": int(hits.sum()),
        "of": heads,
        "share": float(hits.mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "confidence": confidence,
    }
