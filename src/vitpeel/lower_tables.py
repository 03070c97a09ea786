"""The tables behind Figure 2 and appendix A, from the captions of the edited model and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from vitpeel.errors import VitpeelError
from vitpeel.lower import Point, Range
from vitpeel.scores.bootstrap import Estimates, estimate, interval
from vitpeel.scores.lower import is_colourless
from vitpeel.sweep import unedited

PLAIN = unedited(0).name
_NUMBERS = ["metric", "mean", "low", "high", "pictures", "empty", "distinct"]


def read(path: Path) -> pd.DataFrame:
    """Read a small table from its CSV; texts stay text."""
    return pd.read_csv(path, keep_default_na=False)


def figure_table(summary: pd.DataFrame, captions: pd.DataFrame, chosen: Sequence[Point]) -> pd.DataFrame:
    """Figure 2's numbers in the points' order: curve, first, last, metric, mean, low, high, pictures, empty,
    distinct.

    summary: a `summary` table of `scores.lower.compare`'s scores. distinct: how many different captions the
    pictures get. The unedited model comes first, as curve "unedited" with first and last empty. Raises
    VitpeelError for a point without a summary.
    """
    order = _order(chosen, set(summary["variant"]))
    distinct = captions.groupby("variant")["caption"].nunique().rename("distinct")
    found = order.merge(summary, on="variant", how="left", sort=False).merge(distinct, on="variant")
    return found[["curve", "first", "last", *_NUMBERS]]


def groups(chosen: Sequence[Point], layers: Range, middle: Range) -> dict[str, list[str]]:
    """Each curve as a whole, or what of it lies in one range of layers: name -> its variants.

    Names are those of points, "average 0-10" is one of 0 to 10 at a time.
    """
    found: dict[str, list[str]] = {}
    for first, last in (layers, middle):
        for point in chosen:
            if point.curve.endswith("together"):
                if (first, last) == tuple(middle):
                    found[Point(point.curve, *middle).name] = [point.name]
            elif first <= point.first <= last:
                found.setdefault(f"{point.curve} {first}-{last}", []).append(point.name)
    return found


def contrasts(
    scores: pd.DataFrame,
    chosen: Sequence[Point],
    layers: Range,
    middle: Range,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """What section 4.2 compares, paired over pictures: what, minus, metric, mean, low, high.

    what, minus: two groups of `groups`, or the unedited model; minus is empty where a group stands alone. A
    group's score is its mean over layers. scores: a table of `scores.lower.compare`.
    """
    members = {PLAIN: [PLAIN], **groups(chosen, layers, middle)}
    low, high = (f"{first}-{last}" for first, last in (layers, middle))
    together = [name for name in members if "together" in name]
    own = Point("average together", *middle).name
    pairs = [(name, "") for name in members]
    pairs += [(name, PLAIN) for name in members if name != PLAIN]
    pairs += [(f"average {low}", f"average {high}")]
    pairs += [(name, f"{name.split(' together')[0]} {high}") for name in together]
    pairs += [(name, own) for name in together if name != own]
    pairs += [(f"other average {high}", f"average {high}")]
    pairs += [(f"confusion {span}", f"average {span}") for span in (low, high)]
    rows = []
    for metric in sorted(scores["metric"].unique()):
        found = estimate(scores, metric, resamples, seed)
        for what, minus in pairs:
            if what in members:
                taken = members.get(minus, [])
                rows.append((what, minus, metric, *_paired(found, members[what], taken, confidence)))
    return pd.DataFrame(rows, columns=["what", "minus", "metric", "mean", "low", "high"])


def wording(
    scores: pd.DataFrame,
    references: Mapping[str, Sequence[str]],
    chosen: Sequence[Point],
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How often captions are worded as if there were no colours: a row the unedited model and each point.

    curve, first, last. share, low, high: of the pictures, with its Wilson interval, which is no point at 0.
    difference, difference_low, difference_high: minus the unedited model's share, paired over pictures.
    gained, lost: pictures so worded only under the edit, and only without it. pictures; colourless: those of
    them that a reference calls so, which hence are without colours (0 where there are no references).
    """
    found = estimate(scores, "colourless", resamples, seed)
    order = _order(chosen, set(found.readings["variant"]))
    said = scores[scores["metric"] == "colourless"].pivot(index="image_id", columns="variant", values="value")
    count, plain, rows = len(said), said[PLAIN], []
    for name in order["variant"]:
        bounds = _wilson(int(said[name].sum()), count, confidence)
        change = _paired(found, [name], [PLAIN], confidence)
        gained, lost = int((said[name] > plain).sum()), int((said[name] < plain).sum())
        rows.append((said[name].mean(), *bounds, *change, gained, lost))
    columns = ["share", "low", "high", "difference", "difference_low", "difference_high", "gained", "lost"]
    drained = sum(any(map(is_colourless, references.get(image, ()))) for image in said.index)
    shares = pd.DataFrame(rows, columns=columns).assign(pictures=count, colourless=drained)
    return pd.concat([order.drop(columns="variant"), shares], axis=1)


def telling(chosen: Sequence[Point], layers: Range, middle: Range) -> tuple[Point, ...]:
    """The points that a page of cases shows: first, middle and last of the lower layers, middle and last of
    those after them, averaged and confused; and what is averaged together."""
    marks = {layers[0], sum(layers) // 2, layers[1], sum(middle) // 2, middle[1]}
    singles = ("average", "confusion")
    return tuple(
        point
        for point in chosen
        if point.curve.endswith("together") or (point.curve in singles and point.first in marks)
    )


def cases(
    captions: pd.DataFrame, scores: pd.DataFrame, chosen: Sequence[Point], images: Sequence[str]
) -> pd.DataFrame:
    """Appendix A: image_id, curve, first, last, caption, truncated, bertscore, exact.

    The pictures as given, for each the unedited caption and then the points'. Pictures that were averaged
    instead of captioned are left out; raises VitpeelError where none is left.
    """
    there = set(captions["image_id"])
    shown = [image for image in images if image in there]
    if not shown:
        raise VitpeelError(
            f"figures.appendix_a: none of {', '.join(images)} has captions; they were skipped, are beyond "
            f"the limit, or their half is averaged. There are: {', '.join(sorted(there)[:5])} ..."
        )
    order = _order(chosen, set(captions["variant"]))
    keys = ["image_id", "variant"]
    wide = scores.pivot(index=keys, columns="metric", values="value").reset_index()
    pages = pd.DataFrame({"image_id": shown}).merge(order, how="cross")
    pages = pages.merge(captions[[*keys, "caption", "truncated"]], on=keys, how="left", validate="1:1")
    pages = pages.merge(wide[[*keys, "bertscore", "exact"]], on=keys, how="left", validate="1:1")
    return pages.drop(columns="variant")


def _order(chosen: Sequence[Point], there: set[str]) -> pd.DataFrame:
    """variant, curve, first, last of the unedited model and the points."""
    places: list[tuple[str, str, int | None, int | None]] = [(PLAIN, PLAIN, None, None)]
    places += [(point.name, point.curve, point.first, point.last) for point in chosen]
    order = pd.DataFrame(places, columns=["variant", "curve", "first", "last"])
    absent = [name for name in order["variant"] if name not in there]
    if absent:
        raise VitpeelError(
            f"{absent[0]}: no such variant. Delete captions and scores, run `snakemake` again."
        )
    return order.astype({"first": "Int16", "last": "Int16"})


def _paired(
    found: Estimates, what: Sequence[str], minus: Sequence[str], confidence: float
) -> tuple[float, float, float]:
    """Mean over variants `what`, less that over `minus`, with its interval."""
    place: Mapping[str, int] = {name: index for index, name in enumerate(found.readings["variant"])}

    def mean(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
        return values[..., [place[name] for name in names]].mean(-1) if names else np.zeros(values.shape[:-1])

    low, high = interval(mean(found.draws, what) - mean(found.draws, minus), confidence)
    point = mean(found.point, what) - mean(found.point, minus)
    # sums in another order part in their last digits: equal is equal
    return float(point.round(12)) + 0.0, float(low.round(12)) + 0.0, float(high.round(12)) + 0.0


def _wilson(successes: int, count: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, room = successes / count, z * z / count
    centre = (share + room / 2) / (1 + room)
    half = z * sqrt(share * (1 - share) / count + room / (4 * count)) / (1 + room)
    return max(0.0, centre - half), min(1.0, centre + half)
