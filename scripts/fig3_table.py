"""Gather the table behind Figure 3: a score of every layer, and what the last layer has more."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(summary: Path, scores: Path, metric: str, bootstrap: dict[str, Any], table: Path) -> None:
    """summary, scores: tables; bootstrap: resamples, confidence, seed; table: the CSV to write."""
    from vitpeel import figure_tables, tables
    from vitpeel.scores.bootstrap import gain_to_last

    gains = gain_to_last(tables.read_table(scores, tables.SCORES), metric, **bootstrap)
    means = tables.read_table(summary, tables.SUMMARY)
    tables.write_csv(table, figure_tables.fig3(means, gains, metric, bootstrap["confidence"]))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.summary),
        Path(snakemake.input.scores),
        snakemake.params.metric,
        {**snakemake.params.bootstrap, "seed": snakemake.params.seed},
        Path(snakemake.output.table),
    )
