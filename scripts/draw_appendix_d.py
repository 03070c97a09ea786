"""Draw appendix D from its tables, a page a picture."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, masks: Path, pictures: Path, source: dict[str, Any], out: list[Path]) -> None:
    """captions, masks: the CSVs behind the figure; pictures: their table; out: PDF and PNG to write."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.plots import appendix_d, style

    rows, cells, pages = appendix_d.read(captions), appendix_d.read(masks), []
    known = {p.image_id: p for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    origin = style.Source(**source, pictures=rows["image_id"].nunique())
    for picture in map(known.__getitem__, rows["image_id"].unique()):
        pages += appendix_d.draw(rows, cells, picture.image_id, open_rgb(picture.path), origin)
    style.save(pages, out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    table, matrices = Path(snakemake.input.captions), Path(snakemake.input.masks)
    drawn = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    main(table, matrices, Path(snakemake.input.pictures), snakemake.params.source, drawn)
