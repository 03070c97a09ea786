"""Draw heatmaps with and without their outlier tokens, and how many each layer has, from their tables."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(shares: Path, maps: Path, pictures: Path, settings: Any, out: list[Path]) -> None:
    """shares, maps: CSVs; pictures: their table; settings: images, outliers, source; out: PDF and PNG."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.heatmaps import Outliers
    from vitpeel.plots import outliers, style

    known = {p.image_id: p.path for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    shown = {image: open_rgb(known[image]) for image in settings.images}
    rows, how = outliers.read(shares), Outliers(**settings.outliers)
    origin = style.Source(**settings.source, pictures=int(rows["pictures"].max()))
    style.save([outliers.draw(rows, outliers.read(maps), shown, origin, how)], out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    table, maps = Path(snakemake.input.shares), Path(snakemake.input.maps)
    drawn = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    main(table, maps, Path(snakemake.input.pictures), snakemake.params, drawn)
