"""Score every caption against that of the layer before (section 3.5, Equation 9)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, metrics: list[str], bertscore: dict[str, Any], scores: Path) -> None:
    """captions: their table; metrics: which scores; bertscore: model, layer, batch; scores: to write."""
    from vitpeel import caption_tables, tables
    from vitpeel.scores import change

    made = caption_tables.derived(tables.origin_of(captions), metrics=metrics, bertscore=bertscore)
    table = change.score(tables.read_table(captions, tables.CAPTIONS), **bertscore, metrics=metrics)
    tables.write_table(scores, table, tables.SCORES, made)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        snakemake.params.metrics,
        snakemake.params.bertscore,
        Path(snakemake.output.scores),
    )
