"""Draw Table 1 from its tables, and the scores of the heads beside it."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, heads: Path, source: dict[str, Any], pdf: Path, png: Path) -> None:
    """table, heads: the CSVs behind the page; source: what the line at the foot says; pdf, png: to write."""
    from vitpeel.plots import style, table1

    rows, scored = table1.read(table), table1.read(heads)
    origin = style.Source(**source, pictures=int(rows["pictures"].max()))
    style.save([table1.draw(rows, scored, origin)], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    read = Path(snakemake.input.table), Path(snakemake.input.heads)
    main(*read, snakemake.params.source, Path(snakemake.output.pdf), Path(snakemake.output.png))
