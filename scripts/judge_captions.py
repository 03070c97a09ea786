"""Judge how concrete every layer's captions are, by the four criteria of Figure 4 (section 4.4)."""

import os
from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, pictures: Path, judge: dict[str, Any], openai: dict[str, Any], scores: Path) -> None:
    """judge: kind, layers, and what a model is asked; openai: the settings of judge.openai, for the terms."""
    from vitpeel import caption_tables, judge_tables, tables
    from vitpeel.datasets.pictures import from_frame
    from vitpeel.judge import judging

    said = judge_tables.within(tables.read_table(captions, tables.CAPTIONS), judge["layers"])
    known = from_frame(tables.read_table(pictures, tables.PICTURES))
    table, who = judging.score(said, known, judge, openai, os.environ.get("OPENAI_API_KEY"))
    made = caption_tables.derived(tables.origin_of(captions), judge=who, layers=judge["layers"])
    tables.write_table(scores, table, tables.SCORES, made)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        Path(snakemake.input.pictures),
        snakemake.params.judge,
        snakemake.config["judge"]["openai"],
        Path(snakemake.output.scores),
    )
