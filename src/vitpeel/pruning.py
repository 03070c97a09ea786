"""Algorithm 1, attention pruning (section 4.4): which heads go, by which factors the others are weighted.

The algorithm's lines are named where they are carried out; what they leave open is in `Choices`. Nothing
here runs a model: variants go to a sweep, captions and scores come back as tables. Line 5, the sample, is
`datasets.subsets`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from vitpeel.edits import UNEDITED, Edit, ScaleHeads
from vitpeel.errors import InputError, VitpeelError
from vitpeel.sweep import HeadReading, Variant

Floats = NDArray[np.float64]
Coefficients = Literal["normalised", "literal", "none"]
Select = Literal["lowest", "threshold"]
Captioning = Callable[[Sequence[Variant]], pd.DataFrame]  # variants -> a `captions` table
Scoring = Callable[[pd.DataFrame], pd.DataFrame]  # a `captions` table -> a `scores` table

# Variants of the sample: a layer's output as it is, and every head of it by itself.
COMBINED, HEADS = "combined", "heads"
# Variants that are evaluated: Algorithm 1 in full, either half of it, the same with the scores upside down,
# and with the scores shuffled.
PRUNED, PRUNED_ONLY, SCALED_ONLY, BEST, RANDOM = "pruned", "pruned only", "scaled only", "best", "random"

# What Algorithm 1 gives. score: mean over the sample; importance: softmax over the heads of the layer;
# coefficient: what a head's output is multiplied by where it is not pruned.
PLAN = pa.schema(
    [
        pa.field("layer", pa.int16(), nullable=False),
        pa.field("head", pa.int16(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("score", "importance", "coefficient")),
        pa.field("pruned", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Choices:
    """What lines 14 to 16 leave open.

    temperature: tau of softmax(score / tau). coefficients: of a head that stays, H * softmax ("normalised",
    mean one), softmax as printed ("literal"), or one ("none"). select: the `count` lowest heads of a layer
    go, or those whose H * softmax is below `threshold`.
    """

    temperature: float = 1.0
    coefficients: Coefficients = "normalised"
    select: Select = "lowest"
    count: int = 2
    threshold: float = 0.9


def readings(layers: Sequence[int], reading: HeadReading, edit: Edit = UNEDITED) -> tuple[Variant, Variant]:
    """Lines 7 and 9: Z and each Z_h of these layers, for a decoder.  reading: what Z_h means."""
    return Variant(COMBINED, tuple(layers), edit), Variant(HEADS, tuple(layers), edit, reading)


def combined(captions: pd.DataFrame) -> pd.Series:
    """D(Z), line 7: what the combined output of each row's layer says of the same picture.

    Raises VitpeelError where it was not captioned.
    """
    own = captions[captions["variant"] == COMBINED].set_index(["image_id", "layer"])["caption"]
    wanted = pd.MultiIndex.from_frame(captions[["image_id", "layer"]])
    found = own.reindex(wanted)
    if found.isna().any():
        image, layer = found.index[int(found.isna().argmax())]
        raise VitpeelError(f"picture {image}: no caption of the combined output of layer {layer}.")
    return pd.Series(found.to_numpy(), index=captions.index)


def score_heads(captions: pd.DataFrame, score: Scoring) -> pd.DataFrame:
    """Lines 6 to 12: what each head says, scored against what its layer says; a `scores` table.

    captions: of the variants of `readings`. score: BERTScore of every row against `combined`; it sees one
    layer at a time, so that no last digit hangs on which layers there are.
    """
    whole = pd.concat([score(own) for _, own in captions.groupby("layer")], ignore_index=True)
    return whole[whole["variant"] == HEADS].reset_index(drop=True)


def prune(scores: pd.DataFrame, choices: Choices) -> pd.DataFrame:
    """Lines 13 to 16: a row for every head, by layer and head, of the schema `PLAN`.

    scores: of `score_heads`. Of equal heads the one with the lower number goes first. Raises InputError
    where no head of a layer would be left.
    """
    parts = []
    for layer, own in scores.groupby("layer"):
        table = own.pivot(index="image_id", columns="head", values="value").sort_index(axis=1)
        score = table.to_numpy(dtype=float).mean(axis=0)  # line 13
        importance = _softmax(score / choices.temperature)  # line 14
        coefficient = {  # line 15: alpha_ij^h * alpha_h is the head's output times alpha_h
            "normalised": len(score) * importance,
            "literal": importance,
            "none": np.ones_like(score),
        }[choices.coefficients]
        pruned = _unimportant(score, importance, choices)  # line 16
        if pruned.all():
            key = "count" if choices.select == "lowest" else "threshold"
            raise InputError(
                f"pruning.{key}: {getattr(choices, key)} would prune all {len(score)} heads of layer {layer}."
                " Write a lower number."
            )
        outcome = {"score": score, "importance": importance, "coefficient": coefficient, "pruned": pruned}
        parts.append(pd.DataFrame({"layer": layer, "head": table.columns.to_numpy(dtype=int), **outcome}))
    return pd.concat(parts, ignore_index=True).astype({"layer": "int16", "head": "int16"})


def caption_greedily(
    caption: Captioning, layers: Sequence[int], reading: HeadReading, score: Scoring, choices: Choices
) -> pd.DataFrame:
    """Lines 6 to 12 layer after layer, each on the model that is pruned and weighted in those before it.

    Returns the captions of all layers, by picture, variant, layer and head; `prune` makes of them, all at
    once, the very plan that was followed here.
    """
    said: list[pd.DataFrame] = []
    plans: list[pd.DataFrame] = []
    for layer in layers:
        edit = edit_of(pd.concat(plans)) if plans else UNEDITED
        said.append(caption(readings((layer,), reading, edit)))
        plans.append(prune(score_heads(said[-1], score), choices))
    whole: pd.DataFrame = pd.concat(said, ignore_index=True)
    keys = whole.groupby(["image_id", "variant"], sort=False).ngroup()  # numbered as the first layer has them
    return whole.iloc[np.argsort(keys.to_numpy(), kind="stable")].reset_index(drop=True)


def edit_of(plan: pd.DataFrame) -> Edit:
    """A plan as an edit: nothing of the pruned heads, the others times their coefficient."""
    factors: dict[int, dict[int, float]] = {}
    kept = plan["coefficient"].where(~plan["pruned"], 0.0)
    for layer, head, factor in zip(plan["layer"], plan["head"], kept, strict=True):
        factors.setdefault(int(layer), {})[int(head)] = float(factor)
    return ScaleHeads(factors)


def variants(plan: pd.DataFrame, depth: int, draws: int, seed: int) -> tuple[Variant, ...]:
    """What Table 1 compares, each read from the first pruned layer on, below which nothing is edited.

    With coefficients of one there are no halves of Algorithm 1 to tell apart. The random prunings, "random
    0" ..., hang on `seed` alone.
    """
    edited = {PRUNED: plan}
    if (plan["coefficient"] != 1).any():
        edited |= {PRUNED_ONLY: plan.assign(coefficient=1.0), SCALED_ONLY: plan.assign(pruned=False)}
    edited |= {BEST: upside_down(plan)}
    edited |= {f"{RANDOM} {draw}": shuffled(plan, seed, draw) for draw in range(draws)}
    read = tuple(range(int(plan["layer"].min()), depth))
    return tuple(Variant(name, read, edit_of(own)) for name, own in edited.items())


def shuffled(plan: pd.DataFrame, seed: int, draw: int) -> pd.DataFrame:
    """The scores, and all that follows from them, dealt anew to the heads of each layer."""
    rng = np.random.default_rng((seed, draw))
    return _dealt(plan, lambda score: rng.permutation(len(score)))


def upside_down(plan: pd.DataFrame) -> pd.DataFrame:
    """The highest score, and all that follows from it, to the head with the lowest, and so on."""

    def turned(score: Floats) -> NDArray[np.intp]:
        order = np.argsort(score, kind="stable")
        giver = np.empty_like(order)
        giver[order] = order[::-1]
        return giver

    return _dealt(plan, turned)


def completed(pruned: pd.DataFrame, unedited: pd.DataFrame) -> pd.DataFrame:
    """Captions of every layer of `variants` and of the unedited model, of the same pictures.

    pruned: captions of `variants`; unedited: of all layers, of these pictures and perhaps more. Below the
    first layer of `pruned` every variant says what the unedited model says.
    """
    own = unedited[unedited["image_id"].isin(set(pruned["image_id"])) & unedited["head"].isna()]
    lower = own[own["layer"] < pruned["layer"].min()]
    below = [lower.assign(variant=variant) for variant in pruned["variant"].unique()]
    whole: pd.DataFrame = pd.concat([own, *below, pruned], ignore_index=True)
    return whole


def _softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max())
    return np.asarray(powers / powers.sum())


def _unimportant(score: Floats, importance: Floats, choices: Choices) -> NDArray[np.bool_]:
    if choices.select == "threshold":
        return np.asarray(len(score) * importance < choices.threshold)
    low = np.zeros(len(score), dtype=bool)
    low[np.argsort(score, kind="stable")[: choices.count]] = True
    return low


def _dealt(plan: pd.DataFrame, giver: Callable[[Floats], NDArray[np.intp]]) -> pd.DataFrame:
    """giver: scores of a layer [H] -> from which of its heads each takes the outcome, [H]."""
    parts = []
    for _, own in plan.groupby("layer"):
        dealt = own.iloc[giver(own["score"].to_numpy(dtype=float))]
        parts.append(dealt.assign(head=own["head"].to_numpy()))
    return pd.concat(parts, ignore_index=True)
