"""Gather the tables behind Figure 6: what every head of a layer says and where it looks (section 4.4)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, attention: list[Path], settings: Any, out: list[Path]) -> None:
    """attention: the shards' files; out: the CSVs to write, of captions and of heatmaps."""
    from vitpeel import caption_tables, heads, tables
    from vitpeel.heatmaps import Outliers

    made = caption_tables.same_model(tables.origin_of(captions))
    said = tables.read_table(captions, tables.CAPTIONS)
    tables.write_csv(out[0], heads.fig6(said, settings.images, settings.layer, settings.reading))
    how = Outliers(**settings.outliers)
    tables.write_csv(out[1], heads.fig6_heatmaps(attention, settings.images, settings.layer, how, made))


with job(snakemake.log[0], snakemake.threads):
    looks = [Path(path) for path in snakemake.input.attention]
    written = [Path(snakemake.output.captions), Path(snakemake.output.heatmaps)]
    main(Path(snakemake.input.captions), looks, snakemake.params, written)
