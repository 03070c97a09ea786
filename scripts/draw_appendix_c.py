"""Draw appendix C from its table, a page a picture."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, pictures: Path, source: dict[str, Any], out: list[Path]) -> None:
    """table: the CSV behind the pages; pictures: their table; out: PDF and PNG to write."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.plots import appendix_c, style

    rows, pages = appendix_c.read(table), []
    known = {p.image_id: p for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    origin = style.Source(**source, pictures=len(known))
    for picture in map(known.__getitem__, rows["image_id"].unique()):
        own = rows[rows["image_id"] == picture.image_id]
        pages.append(appendix_c.draw(own, open_rgb(picture.path), picture.references, origin))
    style.save(pages, out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.table),
        Path(snakemake.input.pictures),
        snakemake.params.source,
        [Path(snakemake.output.pdf), Path(snakemake.output.png)],
    )
