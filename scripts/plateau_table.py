"""Test from which layer on no later layer is significantly better (section 4.3)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(scores: Path, metric: str, bootstrap: dict[str, Any], table: Path) -> None:
    """scores: their table; bootstrap: resamples, confidence, seed; table: the CSV to write."""
    from vitpeel import tables
    from vitpeel.scores import plateau

    rows = plateau.table(tables.read_table(scores, tables.SCORES), metric, **bootstrap)
    tables.write_csv(table, rows)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.scores),
        snakemake.params.metric,
        {**snakemake.params.bootstrap, "seed": snakemake.params.seed},
        Path(snakemake.output.table),
    )
