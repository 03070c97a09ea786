"""Gather the tables behind Figure 1: captions and heatmaps of the chosen pictures (sections 3.4 and 3.5)."""

from pathlib import Path

from vitpeel.logs import job


def main(
    captions: Path, attention: list[Path], images: list[str], layers: list[int], out: list[Path]
) -> None:
    """attention: the shards' files; out: the CSVs to write, of captions and of heatmaps."""
    from vitpeel import activations, figure_tables, tables

    maps = activations.heatmaps_of(attention, images)
    rows = figure_tables.fig1_captions(tables.read_table(captions, tables.CAPTIONS), images, layers)
    tables.write_csv(out[0], rows)
    tables.write_csv(out[1], figure_tables.fig1_heatmaps(maps, sorted(rows["layer"].unique())))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        [Path(path) for path in snakemake.input.attention],
        snakemake.params.images,
        snakemake.params.layers,
        [Path(snakemake.output.captions), Path(snakemake.output.heatmaps)],
    )
