"""List the pictures of one part of a set: a seeded sample, what it leaves, or pictures by name."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(listed: Path, subset: dict[str, Any], chosen: Path) -> None:
    """listed: table of all pictures; subset: which part, and the seed; chosen: the table to write."""
    from vitpeel import tables
    from vitpeel.datasets import subsets

    table = subsets.choose(tables.read_table(listed, tables.PICTURES), **subset)
    tables.write_table(chosen, table, tables.PICTURES, tables.origin_of(listed))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.pictures),
        {**snakemake.params.subset, "seed": snakemake.params.seed},
        Path(snakemake.output.chosen),
    )
