"""The judge's scores as tables (section 4.4): what is judged, and what Figures 4, 5 and appendix C show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.errors import VitpeelError
from vitpeel.judge.criteria import METRICS, series
from vitpeel.judge.judging import Who
from vitpeel.judge.questions import Asked, questions
from vitpeel.perspectives import spearman
from vitpeel.scores import bootstrap

Floats = NDArray[np.float64]
Layers = tuple[int, int]  # first and last


def within(captions: pd.DataFrame, layers: Layers) -> pd.DataFrame:
    """The captions of whole unedited layers, from the first to the last of `layers`.

    Raises VitpeelError where one of the layers was not captioned.
    """
    whole = captions[(captions["variant"] == "unedited") & captions["head"].isna()]
    rows = whole[whole["layer"].between(*layers)]
    missing = set(range(layers[0], layers[1] + 1)) - set(rows["layer"])
    if missing:
        raise VitpeelError(
            f"judge.layers: layer {min(missing)} was not captioned; {whole['layer'].min()} to "
            f"{whole['layer'].max()} were."
        )
    return rows.reset_index(drop=True)


def prompt(
    captions: pd.DataFrame,
    layers: Layers,
    image: str,
    pictures: Mapping[str, Path],
    calls: Literal["image", "layer"],
) -> str:
    """The text of the question about a picture, as it is sent; of several, the one about the last layer.

    pictures: image_id -> file. calls: what one asks about. Raises VitpeelError for a picture that was not
    captioned.
    """
    rows = within(captions, layers)
    own = rows[rows["image_id"] == image]
    if own.empty:
        raise VitpeelError(f"figures.appendix_c.images: no caption of picture {image}. Name another.")
    return questions(series(own)[0], Asked("", calls), pictures)[-1].text


def fig5(
    scores: pd.DataFrame,
    captions: pd.DataFrame,
    who: Who,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The curves of Figure 5: metric, layer, mean, low, high (bootstrap over pictures), confidence, pictures
    that were judged, and of how many captioned, judge, about.

    captions: of the layers that were to be judged.
    """
    summary = bootstrap.summarise(scores, captions, "", resamples, confidence, seed)
    rows = summary.assign(
        confidence=confidence, captioned=captions["image_id"].nunique(), judge=who.name, about=who.about
    )
    place = {metric: number for number, metric in enumerate(METRICS)}
    columns = ["metric", "layer", "mean", "low", "high", "confidence", "pictures", "captioned"]
    ordered = rows.sort_values(["metric", "layer"], key=lambda own: own.map(place).fillna(own))
    return ordered[[*columns, "judge", "about"]].reset_index(drop=True)


def trends(
    scores: pd.DataFrame,
    ranges: Sequence[Layers],
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether the scores rise with the layer: a row a metric and range of layers, intervals over pictures.

    change: last layer minus first. rise: of the steepest step, from layer `step_from` to `step_to`; `stable`:
    share of the resamples in which that same step is the steepest; rise is that of the step found on all
    pictures, so that being the largest of several flatters it. rho: Spearman's correlation of the mean score
    with the layer; own_rho: mean of the pictures' own correlations, over the `own_pictures` whose score
    changes at all. Each with _low and _high; rho is missing where nothing changes. Then pictures, confidence.
    """
    rows: list[dict[str, object]] = []
    for metric in METRICS:
        found = bootstrap.estimate(scores, metric, resamples, seed)
        single = scores[scores["metric"] == metric].pivot(index="image_id", columns="layer", values="value")
        for first, last in dict.fromkeys(ranges):
            inside = found.readings["layer"].between(first, last).to_numpy()
            layers = found.readings["layer"].to_numpy(dtype=float)[inside]
            point, draws = found.point[inside], found.draws[:, inside]
            steps, drawn = np.diff(point), np.diff(draws, axis=1)
            steepest = int(steps.argmax())
            rho = _correlation(np.vstack([point, draws]), layers)
            own = _correlation(single.loc[:, first:last].to_numpy(dtype=float), layers)
            own = own[np.isfinite(own)]
            values = {
                "change": (point[-1] - point[0], draws[:, -1] - draws[:, 0]),
                "rise": (steps[steepest], drawn[:, steepest]),
                "rho": (rho[0], rho[1:]),
                "own_rho": _drawn_anew(own, resamples, seed),
            }
            rows.append(
                {
                    "metric": metric,
                    "first": first,
                    "last": last,
                    "step_from": int(layers[steepest]),
                    "step_to": int(layers[steepest + 1]),
                    "stable": float((drawn.argmax(axis=1) == steepest).mean()),
                    **_with_intervals(values, confidence),
                    "own_pictures": len(own),
                    "pictures": len(found.pictures),
                    "confidence": confidence,
                }
            )
    return pd.DataFrame(rows)


def appendix_c(
    scores: pd.DataFrame, captions: pd.DataFrame, who: Who, images: Sequence[str], layers: Sequence[int]
) -> pd.DataFrame:
    """The rows of appendix C: image_id, layer, caption, repeated (as in the row above), the four scores and
    their mean (missing for a picture that was not judged), judge, about.

    Raises VitpeelError for a picture or layer that was not captioned.
    """
    whole = captions[(captions["variant"] == "unedited") & captions["head"].isna()]
    said = whole.set_index(["image_id", "layer"])["caption"]
    keys = pd.MultiIndex.from_product([images, sorted(layers)], names=["image_id", "layer"])
    for image, layer in keys:
        if (image, layer) not in said.index:
            raise VitpeelError(
                f"figures.appendix_c: no caption of picture {image} at layer {layer}. Choose others."
            )
    rows = said.loc[keys].to_frame()
    before = [None, *rows["caption"].tolist()][:-1]
    first = rows.index.get_level_values("layer") == min(layers)
    rows["repeated"] = [text == last for text, last in zip(rows["caption"], before, strict=True)] & ~first
    wide = scores.pivot(index=["image_id", "layer"], columns="metric", values="value")
    table = rows.join(wide.reindex(keys)[list(METRICS)]).reset_index()
    return table.assign(judge=who.name, about=who.about)


def _correlation(values: Floats, layers: Floats) -> Floats:
    return spearman(values, np.broadcast_to(layers, values.shape))


def _drawn_anew(values: Floats, resamples: int, seed: int) -> tuple[float, Floats]:
    """The mean of single pictures' values, and its bootstrap draws; nan where there are none."""
    count = len(values)
    if not count:
        return np.nan, np.full(1, np.nan)
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return float(values.mean()), times @ values / count


def _with_intervals(values: Mapping[str, tuple[float, Floats]], confidence: float) -> dict[str, float]:
    """Each value, and as name_low and name_high its interval; draws where it is not defined are left out."""
    tail = (1 - confidence) / 2
    found: dict[str, float] = {}
    for name, (point, draws) in values.items():
        known = draws[np.isfinite(draws)]
        low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (np.nan, np.nan)
        found |= {name: float(point), f"{name}_low": float(low), f"{name}_high": float(high)}
    return found
