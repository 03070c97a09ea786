"""Write down the text behind Figure 4: the judge's question about one picture, as it is sent."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, pictures: Path, image: str, layers: tuple[int, int], calls: Any, text: Path) -> None:
    """captions, pictures: tables; layers: first and last judged; calls: what one asks about."""
    from vitpeel import judge_tables, tables
    from vitpeel.atomic import atomic
    from vitpeel.datasets.pictures import from_frame

    known = {p.image_id: p.path for p in from_frame(tables.read_table(pictures, tables.PICTURES))}
    said = tables.read_table(captions, tables.CAPTIONS)
    with atomic(text) as partial:
        partial.write_text(judge_tables.prompt(said, layers, image, known, calls), encoding="utf-8")


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        Path(snakemake.input.pictures),
        snakemake.params.image,
        tuple(snakemake.params.layers),
        snakemake.params.calls,
        Path(snakemake.output.text),
    )
