"""Draw Figure 4: the judge's question about one picture, as it is sent."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(
    text: Path, pictures: Path, question: dict[str, Any], source: dict[str, Any], out: list[Path]
) -> None:
    """text: as it is sent; pictures: their table; question: all else about it; out: PDF and PNG to write."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.plots import fig4, style

    known = {p.image_id: p.path for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    sent = fig4.Question(text.read_text(encoding="utf-8"), **question)
    origin = style.Source(**source, pictures=len(known))
    style.save(fig4.draw(sent, open_rgb(known[sent.image_id]), origin), out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.text),
        Path(snakemake.input.pictures),
        snakemake.params.question,
        snakemake.params.source,
        [Path(snakemake.output.pdf), Path(snakemake.output.png)],
    )
