"""Check the pictures of a dataset and list those that can be used."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(dataset: dict[str, Any], pictures: Path, skipped: Path) -> None:
    """dataset: its settings but the captions; pictures, skipped: the tables to write."""
    from vitpeel.datasets import folder
    from vitpeel.provenance import Provenance, canonical
    from vitpeel.tables import PICTURES, write_csv, write_table

    index = folder.index(Path(dataset["path"]), limit=dataset["limit"])
    write_csv(skipped, index.skipped_frame())
    write_table(pictures, index.frame(), PICTURES, Provenance(config=canonical(dataset)))


with job(snakemake.log[0], snakemake.threads):
    main(snakemake.params.dataset, Path(snakemake.output.pictures), Path(snakemake.output.skipped))
