"""Gather the table behind the data-flow figure: what each layer is made of (section 3.3)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(dataflow: Path, bootstrap: dict[str, Any], table: Path) -> None:
    """dataflow: its table; bootstrap: resamples, confidence, seed; table: the CSV to write."""
    from vitpeel import perspective_tables, tables

    rows = tables.read_table(dataflow, tables.DATAFLOW)
    tables.write_csv(table, perspective_tables.dataflow(rows, **bootstrap))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.dataflow),
        {**snakemake.params.bootstrap, "seed": snakemake.params.seed},
        Path(snakemake.output.table),
    )
