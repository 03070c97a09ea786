"""The four criteria of Figure 4, their levels, the descriptions they apply to, and verdicts as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from vitpeel.errors import VitpeelError

Level = Literal[1, 3, 5]  # few or poor, medium, many or good
CRITERIA = ("entities", "specificity", "information", "correspondence")
MEAN = "judge_mean"  # over the four criteria
METRICS = (*(f"judge_{criterion}" for criterion in CRITERIA), MEAN)
FIRST_INFORMATION: Level = 3  # "the first input is default scored as 3" (Figure 4)


class Verdict(BaseModel):
    """One layer's scores. A language model answers in this form; its JSON schema is sent along."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: int = Field(description="The layer that is scored.")
    entities: Level = Field(description="Number of entities.")
    specificity: Level = Field(description="Specificity of entities.")
    information: Level = Field(description="Information content of the description.")
    correspondence: Level = Field(description="Correspondence between description and image.")

    @property
    def values(self) -> tuple[float, ...]:
        """The scores in the order of `METRICS`, their mean last."""
        levels = [float(getattr(self, criterion)) for criterion in CRITERIA]
        return (*levels, sum(levels) / len(levels))


@dataclass(frozen=True)
class Series:
    """What the layers of one reading say about one picture, in ascending order of the layers."""

    image_id: str
    variant: str
    head: int | None
    layers: tuple[int, ...]
    captions: tuple[str, ...]


def series(captions: pd.DataFrame) -> list[Series]:
    """The series in a `captions` table, ordered by variant, head (none first) and picture.

    Raises VitpeelError where a layer is there twice.
    """
    found: dict[tuple[str, str, int | None], list[tuple[int, str]]] = {}
    names = ["image_id", "variant", "head", "layer", "caption"]
    for image, variant, head, layer, text in captions[names].itertuples(index=False):
        key = (image, variant, None if pd.isna(head) else int(head))
        found.setdefault(key, []).append((int(layer), text))
    made = []
    in_order = sorted(found, key=lambda key: (key[1], -1 if key[2] is None else key[2], key[0]))
    for image, variant, head in in_order:
        layers, texts = zip(*sorted(found[image, variant, head]), strict=True)
        if len(set(layers)) < len(layers):
            raise VitpeelError(f"picture {image}, {variant}: a layer is in the table of captions twice.")
        made.append(Series(image, variant, head, layers, texts))
    return made


def settled(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts of a series, its first layer's information content set to what Figure 4 lays down."""
    first = verdicts[0].model_copy(update={"information": FIRST_INFORMATION})
    return (first, *verdicts[1:])


def frame(judged: Iterable[tuple[Series, Sequence[Verdict]]]) -> pd.DataFrame:
    """A `scores` table: for every layer of every judged series its four scores and their mean."""
    rows = [
        (own.image_id, own.variant, verdict.layer, own.head, metric, value)
        for own, verdicts in judged
        for verdict in verdicts
        for metric, value in zip(METRICS, verdict.values, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["image_id", "variant", "layer", "head", "metric", "value"])
    kinds = {"image_id": "str", "variant": "str", "metric": "str", "value": "float64"}
    return table.astype({**kinds, "layer": "int16", "head": "Int16"})
