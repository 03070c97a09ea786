"""What the scores of the offline labeller's labels would be by lot, of heads with texts drawn from the list.

With 39 properties to choose from, three of ten texts match the label of nearly every second head, whatever
the texts are. A score that heads of random texts reach too says nothing about a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitpeel.clip.lexicon import NAME, Lexicon, most_telling, tails
from vitpeel.errors import VitpeelError


@dataclass(frozen=True)
class Chance:
    """Shares of heads in each draw of a whole model.  [draws] each."""

    shared: NDArray[np.float64]
    unique: NDArray[np.float64]
    associated: NDArray[np.float64]


def of_models(
    labels: pd.DataFrame, words: Lexicon, descriptions: Sequence[str], least: int, seed: int = 0
) -> dict[str, Chance]:
    """By lot as many heads and texts as each model in a `tables.HEAD_LABELS` table has.

    Models with labels by others than the lexicon are left out: what those would say of random texts is not
    known. descriptions: the list that the heads' texts were picked from.
    """
    return {
        str(model): chance(words, descriptions, len(own), int(own["texts"].max()), least, seed=seed)
        for model, own in labels.groupby("model", sort=False)
        if set(own["source"]) == {NAME}
    }


def chance(
    words: Lexicon,
    descriptions: Sequence[str],
    heads: int,
    texts: int,
    least: int,
    draws: int = 200,
    seed: int = 0,
) -> Chance:
    """Draw a model's heads by lot, and label and score them as the real ones.

    Each head gets `texts` different descriptions. least: texts that must match for the association. Raises
    VitpeelError for fewer descriptions than texts.
    """
    if len(descriptions) < texts:
        raise VitpeelError(f"clip.labels.texts: {texts} texts a head, but there are {len(descriptions)}.")
    rng, having = np.random.default_rng(seed), words.having(descriptions)
    tail = tails(words.rates(descriptions), texts)
    shares = []
    for _ in range(draws):
        # the first places of a random order: different texts
        picked = rng.random((heads, len(descriptions))).argpartition(texts - 1, axis=1)[:, :texts]
        own = having[picked]
        best = most_telling(own, tail)
        labelled = best >= 0
        times = np.bincount(best[labelled], minlength=len(words.properties))
        matches = own.sum(axis=1)[np.arange(heads), best]
        of_label = times[best]
        shares.append(
            [
                (labelled & (of_label > 1)).mean(),
                (labelled & (of_label == 1)).mean(),
                (labelled & (matches >= least)).mean(),
            ]
        )
    return Chance(*np.array(shares).T)
