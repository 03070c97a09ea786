"""Draw the neighbours that one analysis of CLIP-InterpreT found (sections 5.1, 5.4, 5.5)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, analysis: str, sets: list[Path], source: dict[str, Any], out: list[Path]) -> None:
    """table: the CSV of all analyses; sets: pictures asked about, and searched; out: PDF and PNG to write."""
    from vitpeel import tables
    from vitpeel.datasets import pictures
    from vitpeel.plots import clip_neighbours, style

    rows = clip_neighbours.read(table)
    rows = rows[rows["analysis"] == analysis]
    asked, found = (tables.read_table(path, tables.PICTURES) for path in sets)
    origin = style.Source(**source, pictures=len(found))
    shown = pictures.opened(asked), pictures.opened(found, rows["image_id"])
    style.save([clip_neighbours.draw(rows, *shown, origin)], out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    sets = [Path(snakemake.input.asked), Path(snakemake.input.found)]
    out = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    table, analysis = Path(snakemake.input.table), snakemake.wildcards.analysis
    main(table, analysis, sets, snakemake.params.source, out)
