"""Gather the tables behind Figure 5: the judge's scores over the layers, and whether they rise."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(
    paths: list[Path], ranges: list[tuple[int, int]], bootstrap: dict[str, Any], out: list[Path]
) -> None:
    """paths: tables of scores and of captions; ranges: shown, and all judged; out: the CSVs to write."""
    from vitpeel import judge_tables, tables
    from vitpeel.judge import judging

    scores = tables.read_table(paths[0], tables.SCORES)
    captions = judge_tables.within(tables.read_table(paths[1], tables.CAPTIONS), ranges[-1])
    who = judging.who(tables.origin_of(paths[0]), paths[0])
    tables.write_csv(out[0], judge_tables.fig5(scores, captions, who, **bootstrap))
    tables.write_csv(out[1], judge_tables.trends(scores, ranges, **bootstrap))


with job(snakemake.log[0], snakemake.threads):
    main(
        [Path(snakemake.input.scores), Path(snakemake.input.captions)],
        [tuple(layers) for layers in snakemake.params.ranges],
        {**snakemake.params.bootstrap, "seed": snakemake.params.seed},
        [Path(snakemake.output.curves), Path(snakemake.output.trends)],
    )
