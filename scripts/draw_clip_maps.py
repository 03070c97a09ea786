"""Draw the maps of topic or contrastive segmentation (CLIP-InterpreT, sections 5.2 and 5.3)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(table: Path, maps: Path, analysis: str, source: dict[str, Any], out: list[Path]) -> None:
    """table: the CSV of both analyses; maps: the file beside it; out: PDF and PNG to write."""
    from vitpeel.clip import map_files
    from vitpeel.plots import clip_segmentation, style

    rows = clip_segmentation.read(table)
    looks, pictures = map_files.read(maps, len(rows))
    own = (rows["analysis"] == analysis).to_numpy()
    origin = style.Source(**source, pictures=int(rows.loc[own, "image_id"].nunique()))
    page = clip_segmentation.draw(rows[own], looks[own], pictures[own], origin)
    style.save([page], out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    table, maps = Path(snakemake.input.table), Path(snakemake.input.maps)
    out = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    main(table, maps, snakemake.wildcards.analysis, snakemake.params.source, out)
