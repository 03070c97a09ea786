"""Measure how much each layer changes, as each of the three perspectives sees it (sections 3.3 to 3.5)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(files: Any, token: int, reading: Any, changes: Path) -> None:
    """files: dataflow, attention, heatmaps, rollout, scores; reading: of Equation 7; changes: to write."""
    from vitpeel import caption_tables, heatmap_files, perspectives, tables

    made = tables.origin_of(Path(files.dataflow))
    same = caption_tables.same_model(made)
    rolled, shards = ([Path(path) for path in some] for some in (files.rollout, files.attention))
    rows = perspectives.changes(
        tables.read_table(Path(files.dataflow), tables.DATAFLOW),
        heatmap_files.lengths(shards, token, same),
        heatmap_files.compared(reading, Path(files.heatmaps), rolled, same),
        reading,
        tables.read_table(Path(files.scores), tables.SCORES, same),
    )
    tables.write_table(changes, rows, tables.CHANGES, caption_tables.derived(made, heatmap=reading))


with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    main(snakemake.input, params.token, params.heatmap, Path(snakemake.output.changes))
