"""Draw what each layer is made of, from its table."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, token: int, source: dict[str, Any], pdf: Path, png: Path) -> None:
    """table: the CSV behind the figure; token: whose update it is; pdf, png: files to write."""
    from vitpeel.perspectives import token_name
    from vitpeel.plots import dataflow, style

    rows = dataflow.read(table)
    origin = style.Source(**source, pictures=int(rows["pictures"].max()))
    style.save([dataflow.draw(rows, origin, token_name(token))], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.table),
        snakemake.params.token,
        snakemake.params.source,
        Path(snakemake.output.pdf),
        Path(snakemake.output.png),
    )
