"""Stop where the table of both engines holds a difference above the tolerance."""

import logging
from pathlib import Path

from vitpeel.logs import job


def main(table: Path, tolerance: float) -> None:
    """table: the comparison."""
    import pandas as pd

    from vitpeel.lavis import parity

    logging.getLogger("vitpeel").info("%s", parity.verdict(pd.read_csv(table), tolerance))


with job(snakemake.log[0], snakemake.threads):
    main(Path(snakemake.input.table), snakemake.params.tolerance)
