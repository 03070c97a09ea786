"""Draw Figure 3 from its tables."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(
    table: Path, plateau: Path, layers: tuple[int, int], source: dict[str, Any], pdf: Path, png: Path
) -> None:
    """table, plateau: the CSVs behind the figure; source: what the foot says; pdf, png: files to write."""
    from vitpeel.plots import fig3, style

    rows = fig3.read(table)
    origin = style.Source(**source, pictures=int(rows["pictures"].max()))
    style.save([fig3.draw(rows, fig3.read_plateau(plateau), layers, origin)], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.table),
        Path(snakemake.input.plateau),
        tuple(snakemake.params.layers),
        snakemake.params.source,
        Path(snakemake.output.pdf),
        Path(snakemake.output.png),
    )
