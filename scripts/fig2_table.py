"""Gather the tables behind Figure 2: scores of every point, and what section 4.2 compares."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, scores: Path, baseline: Path, settings: Any, out: list[Path]) -> None:
    """settings: points, dataset, bootstrap, seed; out: the CSVs to write, of the points and of contrasts."""
    from vitpeel import lower, lower_tables, tables
    from vitpeel.scores.bootstrap import summarise

    values, said = tables.read_table(scores, tables.SCORES), tables.read_table(captions, tables.CAPTIONS)
    chosen, bootstrap = lower.points(**settings.points), {**settings.bootstrap, "seed": settings.seed}
    summary = summarise(values, said, settings.dataset, **bootstrap)
    rows = lower_tables.figure_table(summary, said, chosen).assign(confidence=bootstrap["confidence"])
    tables.write_csv(out[0], rows.merge(lower_tables.read(baseline), how="cross"))
    spans = tuple(settings.points["layers"]), tuple(settings.points["middle"])
    tables.write_csv(out[1], lower_tables.contrasts(values, chosen, *spans, **bootstrap))


with job(snakemake.log[0], snakemake.threads):
    captions, scores = Path(snakemake.input.captions), Path(snakemake.input.scores)
    out = [Path(snakemake.output.table), Path(snakemake.output.contrasts)]
    main(captions, scores, Path(snakemake.input.baseline), snakemake.params, out)
