"""Gather the tables behind the figure of outlier tokens: how many there are, maps with and without (3.4)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(heatmaps: Path, settings: Any, out: list[Path]) -> None:
    """settings: images, layers, bootstrap, seed; out: the CSVs to write, of shares and of maps."""
    from vitpeel import heatmap_files, perspective_tables, tables

    pairs = ((raw, outliers) for _, raw, _, outliers in heatmap_files.every(heatmaps))
    shares = perspective_tables.outlier_shares(pairs, **settings.bootstrap, seed=settings.seed)
    raw, outliers, handled = (
        heatmap_files.chosen([heatmaps], name, settings.images, "figures.outliers.images")
        for name in ("raw", "outliers", "handled")
    )
    tables.write_csv(out[0], shares)
    tables.write_csv(out[1], perspective_tables.outlier_maps(raw, outliers, handled, settings.layers))


with job(snakemake.log[0], snakemake.threads):
    tables_to_write = [Path(snakemake.output.shares), Path(snakemake.output.maps)]
    main(Path(snakemake.input.heatmaps), snakemake.params, tables_to_write)
