"""Parts of a set of pictures: a seeded sample and what it leaves, halves, or pictures by name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from vitpeel.errors import InputError

Kind = Literal["all", "sample", "rest", "half", "other half", "named"]


def choose(
    pictures: pd.DataFrame, kind: Kind, seed: int, count: int | None = None, images: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows of a `pictures` table that belong to a part of it, in its order ("named": in the given).

    sample: at most `count` drawn without replacement (None: all); rest: those that this sample leaves; half
    and other half: the same with half of them; named: these images. The draw depends on the seed and the
    number of pictures only. Raises InputError where the part would be empty or a named picture is not there.
    """
    size = len(pictures)
    match kind:
        case "all":
            chosen = list(range(size))
        case "named":
            chosen = _named(pictures["image_id"].tolist(), images)
        case "sample" | "rest":
            chosen = _drawn(size, size if count is None else count, seed, kind == "rest")
        case "half" | "other half":
            chosen = _drawn(size, size // 2, seed, kind == "other half")
    if not chosen:
        wanted = "" if count is None else f" of {count:,}"
        raise InputError(
            f"the {kind}{wanted} out of {size:,} pictures is empty. Draw fewer, or give the set more."
        )
    return pictures.iloc[chosen].reset_index(drop=True)


def _drawn(size: int, count: int, seed: int, rest: bool) -> list[int]:
    drawn = set(random.Random(seed).sample(range(size), min(count, size)))
    return [index for index in range(size) if (index in drawn) != rest]


def _named(there: Sequence[str], images: Sequence[str]) -> list[int]:
    place = {image: index for index, image in enumerate(there)}
    absent = [image for image in images if image not in place]
    if absent:
        raise InputError(
            f"picture {absent[0]}: not in the table of pictures; it was skipped or is beyond the limit. "
            "Choose another picture."
        )
    return [place[image] for image in images]
