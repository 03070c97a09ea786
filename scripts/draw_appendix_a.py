"""Draw appendix A from its tables: wording without colours, then a page a picture."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(cases: Path, wording: Path, pictures: Path, settings: Any, out: list[Path]) -> None:
    """cases, wording: the CSVs behind the pages; settings: source, other set; out: PDF and PNG to write."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.plots import appendix_a, lower_curves, style

    rows, words = lower_curves.read(cases), lower_curves.read(wording)
    known = {p.image_id: p for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    origin = style.Source(**settings.source, pictures=int(words["pictures"].max()))
    pages = [appendix_a.draw_wording(words, settings.other, origin)]
    for picture in map(known.__getitem__, rows["image_id"].unique()):
        own = rows[rows["image_id"] == picture.image_id]
        shown = open_rgb(picture.path)
        pages.append(appendix_a.draw(own, shown, picture.references, settings.other, origin))
    style.save(pages, out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    cases, wording, pictures = (Path(snakemake.input[name]) for name in ("cases", "wording", "pictures"))
    drawn = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    main(cases, wording, pictures, snakemake.params, drawn)
