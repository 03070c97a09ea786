"""Gather the tables behind Figure 1 or appendix B: captions and heatmaps (sections 3.4 and 3.5)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, heatmaps: Path, key: str, chosen: dict[str, Any], out: list[Path]) -> None:
    """key: of the configuration; chosen: its images and layers; out: CSVs of captions and heatmaps."""
    from vitpeel import figure_tables, heatmap_files, tables

    rows = figure_tables.page_captions(tables.read_table(captions, tables.CAPTIONS), **chosen, key=key)
    maps = heatmap_files.chosen([heatmaps], "handled", chosen["image_ids"], f"{key}.images")
    tables.write_csv(out[0], rows)
    tables.write_csv(out[1], figure_tables.page_heatmaps(maps, sorted(rows["layer"].unique())))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        Path(snakemake.input.heatmaps),
        f"figures.{snakemake.wildcards.page}",
        {"image_ids": snakemake.params.images, "layers": snakemake.params.layers},
        [Path(snakemake.output.captions), Path(snakemake.output.heatmaps)],
    )
