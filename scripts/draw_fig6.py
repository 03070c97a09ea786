"""Draw Figure 6 from its tables, a page a picture."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, heatmaps: Path, pictures: Path, settings: Any, out: list[Path]) -> None:
    """captions, heatmaps, pictures: tables; settings: source, outliers; out: PDF and PNG to write."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.heatmaps import Outliers
    from vitpeel.plots import fig6, style

    rows, maps, pages = fig6.read(captions), fig6.read(heatmaps), []
    known = {p.image_id: p for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    origin = style.Source(**settings.source, pictures=rows["image_id"].nunique())
    how = Outliers(**settings.outliers)
    for picture in map(known.__getitem__, rows["image_id"].unique()):
        own, look = (table[table["image_id"] == picture.image_id] for table in (rows, maps))
        pages.append(fig6.draw(own, look, open_rgb(picture.path), picture.references, origin, how))
    style.save(pages, out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    table, heat = Path(snakemake.input.captions), Path(snakemake.input.heatmaps)
    drawn = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    main(table, heat, Path(snakemake.input.pictures), snakemake.params, drawn)
