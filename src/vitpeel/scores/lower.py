"""Captions of the edited model against the unedited model's (section 4.2): how similar, whether the same, and
whether worded as if there were no colours."""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from vitpeel.errors import VitpeelError
from vitpeel.sweep import unedited

METRICS = ("bertscore", "exact", "colourless")
COLOURLESS = re.compile(
    r"\bblack[\s-]+and[\s-]+white\b|\bb\s?&\s?w\b|\bmonochrom\w*|\bgr[ae]y[\s-]?scale\b"
    r"|\bcolou?rless\b|\bdesaturated\b|\bsepia\b|\bwithout colou?rs?\b",
    re.IGNORECASE,
)
PAIRED = 10  # captions of other pictures that each unedited caption is compared with, to measure the baseline


@dataclass(frozen=True)
class Baseline:
    """What BERTScore F1 is rescaled from: F1 of `value` becomes 0, 1 stays 1.

    rule: none leaves F1 as it is. chance: the mean F1, as it is, of unedited captions of different pictures,
    over so many pairs; None for a single picture.
    """

    rule: Literal["none", "given", "measured"] = "none"
    value: float = 0.0
    chance: float | None = None
    pairs: int = 0

    def rescaled(self, f1: pd.Series) -> pd.Series:
        """(F1 - b) / (1 - b)."""
        return f1 if self.rule == "none" else (f1 - self.value) / (1 - self.value)

    def frame(self) -> pd.DataFrame:
        """A table of one row: rule, value, chance, pairs."""
        return pd.DataFrame([asdict(self)])


def baseline(
    captions: pd.DataFrame, setting: float | str | None, seed: int, model: str | Path, layer: int, batch: int
) -> Baseline:
    """The baseline that the setting asks for: a number, "measured", or None.

    measured: the chance level, each picture's unedited caption with those of up to `PAIRED` others, drawn by
    the seed. captions: a `captions` table; model, layer, batch: as in `scores.bertscore.score`. Raises
    VitpeelError where that cannot be: for a single picture, or where all captions are the same.
    """
    from vitpeel.scores import bertscore  # here: it takes torch, the tables behind figures do not

    pairs, chance = other_pictures(captions, seed), None
    if len(pairs):
        chance = float(
            bertscore.score(pairs, model, layer, batch, lambda rows: rows["other"])["value"].mean()
        )
    if setting is None:
        return Baseline(chance=chance, pairs=len(pairs))
    if setting != "measured":
        return Baseline("given", float(setting), chance, len(pairs))
    if chance is None or chance >= 1:
        fault = "a single picture has no other" if chance is None else "captions of all pictures are the same"
        raise VitpeelError(f"lower.baseline: {fault}, so nothing can be measured. Write a number, or null.")
    return Baseline("measured", chance, chance, len(pairs))


def other_pictures(captions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Pairs of unedited captions of different pictures: a `captions` table with a column `other`.

    Each picture has up to `PAIRED` others, all the same number; a single picture has none.
    """
    plain = captions[(captions["variant"] == unedited(0).name) & captions["head"].isna()]
    plain = plain.sort_values("image_id", ignore_index=True)
    count = len(plain)
    order = random.Random(seed).sample(range(count), count)
    parts = [plain.iloc[order].assign(other="").head(0)]
    for step in range(1, min(PAIRED, count - 1) + 1):
        other = plain["caption"].iloc[[*order[step:], *order[:step]]].to_numpy()
        parts.append(plain.iloc[order].assign(other=other))
    return pd.concat(parts, ignore_index=True)


def unedited_captions(captions: pd.DataFrame) -> pd.Series:
    """What the unedited model says of each row's picture at that row's layer.

    captions: a `captions` table. Raises VitpeelError for a row without such a caption.
    """
    keys = ["image_id", "layer"]
    plain = captions[(captions["variant"] == unedited(0).name) & captions["head"].isna()]
    found = captions[keys].merge(plain[[*keys, "caption"]], on=keys, how="left", validate="many_to_one")
    absent = found[found["caption"].isna()]
    if len(absent):
        row = absent.iloc[0]
        raise VitpeelError(
            f"picture {row['image_id']}: no unedited caption at layer {row['layer']} to compare with. "
            "Delete its captions and run `snakemake` again."
        )
    return found["caption"].set_axis(captions.index)


def compare(
    captions: pd.DataFrame,
    model: str | Path,
    layer: int,
    batch: int = 64,
    device: str = "cpu",
    base: Baseline | None = None,
) -> pd.DataFrame:
    """A `scores` table of `METRICS` for every row of a `captions` table, the unedited rows included.

    bertscore: F1 against the unedited caption of the same picture and layer, rescaled from `base`; exact: 1
    where the two are the same words, else 0; colourless: 1 where the caption is worded as if there were no
    colours, else 0. model, layer, batch, device: as in `scores.bertscore.score`.
    """
    from vitpeel.scores import bertscore  # here: see above

    similar = bertscore.score(captions, model, layer, batch, unedited_captions, device)
    similar = similar.assign(value=(base or Baseline()).rescaled(similar["value"]))
    reading = captions[["image_id", "variant", "layer", "head"]].astype({"layer": "int16", "head": "Int16"})
    same = captions["caption"].str.split() == unedited_captions(captions).str.split()
    colourless = captions["caption"].map(is_colourless)
    counted = [
        reading.assign(metric=metric, value=values.astype("float64"))
        for metric, values in (("exact", same), ("colourless", colourless))
    ]
    order = ["metric", "variant", "layer", "head", "image_id"]
    return pd.concat([similar, *counted]).sort_values(order, ignore_index=True)


def is_colourless(caption: str) -> bool:
    """Whether the wording says that there are no colours, as in "a black and white photo"."""
    return COLOURLESS.search(caption) is not None
