"""How far a layer's caption is from the one before it (section 3.5, Equation 9).

Delta S^l = Metric(D(Z^l), D(Z^{l-1})) as the paper has it: the layer before is the reference, and the more
alike the two captions are, the higher the value. Equal captions score the most that a metric gives, even
where the metric itself gives a sentence of fewer than four words less against itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vitpeel.errors import VitpeelError
from vitpeel.scores.ranges import MOST

METRICS = ("bleu4", "rougeL", "bertscore", "cider")

_KEYS = ["image_id", "variant", "layer", "head"]


def pairs(captions: pd.DataFrame, variant: str = "unedited") -> pd.DataFrame:
    """The whole model's captions of `variant`, each with `previous`, the caption of the layer before it.

    captions: a `captions` table; the first layer has none before it and is left out. Raises VitpeelError
    where a layer of a picture is missing.
    """
    whole = captions[(captions["variant"] == variant) & captions["head"].isna()]
    whole = whole.sort_values(["image_id", "layer"], ignore_index=True)
    step = whole.groupby("image_id")["layer"].diff()
    if (step.dropna() != 1).any():
        row = whole[step.fillna(1) != 1].iloc[0]
        raise VitpeelError(
            f"picture {row['image_id']}: layer {row['layer'] - 1} has no caption or layer {row['layer']} "
            "more than one, so their change is unknown. Caption every layer."
        )
    previous = whole.groupby("image_id")["caption"].shift()
    return whole.assign(previous=previous)[step.notna()].reset_index(drop=True)


def score(
    captions: pd.DataFrame,
    model: str | Path,
    layer: int,
    metrics: Sequence[str] = METRICS,
    batch: int = 64,
    variant: str = "unedited",
) -> pd.DataFrame:
    """Return a `scores` table: Equation 9 for every picture and every layer after its first.

    model, layer, batch: BERTScore's, as `bertscore.score`. "bleu4" is sentence BLEU-4; CIDEr weighs words by
    how rare they are in the captions of all pictures and layers. A caption that turns empty, or was empty,
    scores 0. Raises VitpeelError for an unknown metric.
    """
    unknown = [metric for metric in metrics if metric not in MOST]
    if unknown:
        raise VitpeelError(f"{unknown[0]}: unknown metric. Allowed: {', '.join(METRICS)}.")
    rows = pairs(captions, variant)
    values: dict[str, pd.Series] = {}
    against = [metric for metric in metrics if metric != "bertscore"]
    if against:
        values |= _against_previous(rows, against)
    if "bertscore" in metrics:
        values["bertscore"] = _bertscore(rows, model, layer, batch)
    same = rows["caption"].str.strip() == rows["previous"].str.strip()
    keys = rows[_KEYS].astype({"layer": "int16", "head": "Int16"})
    parts = [
        keys.assign(metric=metric, value=values[metric].mask(same, MOST[metric]).astype("float64"))
        for metric in metrics
    ]
    return pd.concat(parts, ignore_index=True)


def _against_previous(rows: pd.DataFrame, metrics: Sequence[str]) -> dict[str, pd.Series]:
    """Score each row against its own reference: every row is passed on as a picture of its own."""
    from vitpeel.scores import references  # here: pycocoevalcap is not needed to read the table

    known = rows[rows["previous"].str.strip() != ""]
    names = pd.Series([f"{number:09d}" for number in known.index], index=known.index, dtype="str")
    written = {name: [text] for name, text in zip(names, known["previous"], strict=True)}
    found = references.score(known.assign(image_id=names), written, metrics)
    wide = found.pivot(index="image_id", columns="metric", values="value").reindex(names)
    empty = pd.Series(0.0, index=rows.index)
    if wide.empty:
        return dict.fromkeys(metrics, empty)
    by_row = wide.set_axis(known.index)
    return {metric: by_row[metric].reindex(rows.index, fill_value=0.0) for metric in metrics}


def _bertscore(rows: pd.DataFrame, model: str | Path, layer: int, batch: int) -> pd.Series:
    from vitpeel.scores import bertscore  # here: it imports torch

    names = [f"{number:09d}" for number in rows.index]
    numbered = rows.assign(image_id=names)
    found = bertscore.score(numbered, model, layer, batch, against=lambda own: own["previous"])
    return found.set_index("image_id")["value"].reindex(names).set_axis(rows.index)
