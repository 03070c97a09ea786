"""Draw Table 1 or 2 of CLIP-InterpreT."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, number: int, index: Path, source: dict[str, Any], pdf: Path, png: Path) -> None:
    """table: the CSV behind both; number: 1 or 2; index: the pictures' table; pdf, png: files to write."""
    from vitpeel import tables
    from vitpeel.plots import clip_tables, style

    count = len(tables.read_table(index, tables.PICTURES))
    page = clip_tables.draw(clip_tables.read(table), number, style.Source(**source, pictures=count))
    style.save([page], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    table, index = Path(snakemake.input.table), Path(snakemake.input.index)
    pdf, png = Path(snakemake.output.pdf), Path(snakemake.output.png)
    main(table, int(snakemake.wildcards.number), index, snakemake.params.source, pdf, png)
