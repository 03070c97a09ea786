"""One judge or the other, as the configuration says, and who it was, for the table's origin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vitpeel.datasets.pictures import Picture
from vitpeel.errors import ProvenanceError
from vitpeel.judge import openai_judge, rubric
from vitpeel.judge.asking import Terms
from vitpeel.judge.questions import Asked
from vitpeel.provenance import Provenance


@dataclass(frozen=True)
class Who:
    """Who judged. name: of the model, or of the offline rubric; about: what that is, in a few words."""

    name: str
    about: str


def score(
    captions: pd.DataFrame,
    pictures: Sequence[Picture],
    judge: Mapping[str, Any],
    openai: Mapping[str, Any],
    key: str | None,
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return a `scores` table (`criteria.METRICS`) for a `captions` table, and the judge's own origin.

    judge: `kind`, and what is `asked` of a language model. openai: the settings of judge.openai, of which
    the terms of asking and the file of replies are used; key: of the API. Errors as those of the judges.
    """
    if judge["kind"] == "rubric":
        return rubric.score(captions, {p.image_id: p.references for p in pictures}), rubric.origin()
    asked, replies = Asked(**judge["asked"]), Path(openai["replies"])
    paths = {picture.image_id: picture.path for picture in pictures}
    table = openai_judge.score(captions, paths, asked, Terms.among(openai), replies, key)
    return table, openai_judge.origin(asked)


def who(made: Provenance, path: Path) -> Who:
    """Who gave the scores at `path`, by what their origin says."""
    try:
        origin = json.loads(made.config or "")["judge"]
        about = {"rubric": "not a language model", "openai": "asked through OpenAI's API"}[origin["kind"]]
        return Who(origin["name"], about)
    except (ValueError, KeyError, TypeError) as error:
        raise ProvenanceError(
            f"{path}: does not say who judged. Delete it (`rm {path}`) and run `snakemake` again."
        ) from error
