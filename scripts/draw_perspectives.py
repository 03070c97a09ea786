"""Draw the three perspectives side by side, and the changes of heatmaps they see, from their tables."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(files: Any, settings: Any, out: list[Path]) -> None:
    """files: curves, correlations, deltas, pictures; settings: metric, token, source; out: PDF and PNG."""
    from vitpeel import tables
    from vitpeel.datasets.pictures import from_frame, open_rgb
    from vitpeel.plots import delta_maps, perspectives, style

    curves, pairs = (perspectives.read(Path(path)) for path in (files.curves, files.correlations))
    deltas = delta_maps.read(Path(files.deltas))
    known = from_frame(tables.read_table(Path(files.pictures), tables.PICTURES))
    shown = {p.image_id: open_rgb(p.path) for p in known if p.image_id in set(deltas["image_id"])}
    origin = style.Source(**settings.source, pictures=len(known))
    pages = [perspectives.draw(curves, pairs, origin, settings.metric, settings.token)]
    if len(deltas):  # none of a configuration that chose the first layer alone
        pages.append(delta_maps.draw(deltas, curves, shown, origin))
    style.save(pages, out[0], out[1])


with job(snakemake.log[0], snakemake.threads):
    drawn = [Path(snakemake.output.pdf), Path(snakemake.output.png)]
    main(snakemake.input, snakemake.params, drawn)
