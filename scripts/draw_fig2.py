"""Draw Figure 2 from its tables."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, contrasts: Path, settings: Any, pdf: Path, png: Path) -> None:
    """table, contrasts: the CSVs behind the figure; settings: source, and what the curves mean."""
    from vitpeel.plots import fig2, lower_curves, style

    rows = lower_curves.read(table)
    origin = style.Source(**settings.source, pictures=int(rows["pictures"].max()))
    figure = fig2.draw(rows, lower_curves.read(contrasts), fig2.Meaning(**settings.meaning), origin)
    style.save([figure], pdf, png)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.table),
        Path(snakemake.input.contrasts),
        snakemake.params,
        Path(snakemake.output.pdf),
        Path(snakemake.output.png),
    )
