"""The texts that a head is labelled by: the first of those that TextSpan picked for it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from vitpeel.errors import VitpeelError


@dataclass(frozen=True)
class Head:
    """A head and its texts, the first rank first."""

    model: str
    layer: int
    head: int
    texts: tuple[str, ...]

    @property
    def name(self) -> str:
        """As CLIP-InterpreT writes it: "L11.H3"."""
        return f"L{self.layer}.H{self.head}"


def heads(texts: pd.DataFrame, count: int) -> tuple[Head, ...]:
    """Every head of a `tables.HEAD_TEXTS` table with its first `count` texts, or as many as TextSpan found.

    Raises VitpeelError for a head with two texts of one rank.
    """
    place = ["model", "layer", "head"]
    twice = texts[texts.duplicated([*place, "rank"])]
    if not twice.empty:
        row = twice.iloc[0]
        raise VitpeelError(
            f"{row['model']}: head {row['head']} of layer {row['layer']} has two texts of rank {row['rank']}."
        )
    first = texts[texts["rank"] <= count].sort_values([*place, "rank"])
    found: dict[tuple[str, int, int], list[str]] = {}
    for model, layer, head, text in first[[*place, "text"]].itertuples(index=False):
        found.setdefault((model, int(layer), int(head)), []).append(text)
    return tuple(Head(*key, tuple(own)) for key, own in found.items())
