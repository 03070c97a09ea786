"""Gather the tables behind the figure of the three perspectives: mean changes, correlations, delta maps."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(changes: Path, heatmaps: Path, rollout: list[Path], settings: Any, out: Any) -> None:
    """settings: bootstrap, seed, reading, images, layers; out: the CSVs curves, correlations, deltas."""
    from vitpeel import heatmap_files, perspective_tables, perspectives, tables

    rows = tables.read_table(changes, tables.CHANGES)
    seeded = {**settings.bootstrap, "seed": settings.seed}
    maps = heatmap_files.compared(settings.heatmap, heatmaps, rollout)
    deltas = perspective_tables.delta_maps(maps, settings.images, settings.layers, "figures.outliers.images")
    tables.write_csv(Path(out.curves), perspectives.curves(rows, **seeded))
    tables.write_csv(Path(out.correlations), perspectives.correlations(rows, **seeded))
    tables.write_csv(Path(out.deltas), deltas)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.changes),
        Path(snakemake.input.heatmaps),
        [Path(path) for path in snakemake.input.rollout],
        snakemake.params,
        snakemake.output,
    )
