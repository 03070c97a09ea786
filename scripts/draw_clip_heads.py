"""Draw what the heads of a CLIP are labelled."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, index: Path, source: dict[str, Any], pdf: Path, png: Path) -> None:
    """table: the CSV behind the figure; index: the table of the pictures; pdf, png: files to write."""
    from vitpeel import tables
    from vitpeel.plots import clip_heads, style

    count = len(tables.read_table(index, tables.PICTURES))
    page = clip_heads.draw(clip_heads.read(table), style.Source(**source, pictures=count))
    style.save([page], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    table, index = Path(snakemake.input.table), Path(snakemake.input.index)
    pdf, png = Path(snakemake.output.pdf), Path(snakemake.output.png)
    main(table, index, snakemake.params.source, pdf, png)
