"""Read the maps of every layer off the captured attention, and find their outlier tokens (section 3.4)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(attention: list[Path], outliers: dict[str, Any], heatmaps: Path) -> None:
    """attention: the shards' files; outliers: how they are found and handled; heatmaps: to write."""
    from vitpeel import heatmap_files
    from vitpeel.heatmaps import Outliers

    heatmap_files.write(attention, heatmaps, Outliers(**outliers))


with job(snakemake.log[0], snakemake.threads):
    main(
        [Path(path) for path in snakemake.input.attention],
        snakemake.params.outliers,
        Path(snakemake.output.heatmaps),
    )
