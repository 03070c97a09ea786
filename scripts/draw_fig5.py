"""Draw Figure 5 from its tables."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(tables: list[Path], layers: tuple[int, int], source: dict[str, Any], pdf: Path, png: Path) -> None:
    """tables: the CSVs behind the figure, of the curves and of their trends; pdf, png: files to write."""
    from vitpeel.plots import fig5, style

    curves, trends = map(fig5.read, tables)
    origin = style.Source(**source, pictures=int(curves["pictures"].max()))
    style.save([fig5.draw(curves, trends, layers, origin)], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    main(
        [Path(snakemake.input.curves), Path(snakemake.input.trends)],
        tuple(snakemake.params.layers),
        snakemake.params.source,
        Path(snakemake.output.pdf),
        Path(snakemake.output.png),
    )
