"""Average every score of every layer over the pictures, with bootstrap intervals."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, scores: list[Path], dataset: str, settings: dict[str, Any], out: list[Path]) -> None:
    """settings: resamples, confidence, seed; out: the table to write, and the same as CSV."""
    from vitpeel import caption_tables, tables
    from vitpeel.scores.bootstrap import summarise

    made = tables.origin_of(captions)
    rows = tables.read_tables(scores, tables.SCORES, caption_tables.same_model(made))
    table = summarise(rows, tables.read_table(captions, tables.CAPTIONS), dataset, **settings)
    tables.write_table(out[0], table, tables.SUMMARY, caption_tables.derived(made, **settings))
    tables.write_csv(out[1], table)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        [Path(path) for path in snakemake.input.scores],
        snakemake.wildcards.dataset,
        {**snakemake.params.bootstrap, "seed": snakemake.params.seed},
        [Path(snakemake.output.summary), Path(snakemake.output.csv)],
    )
