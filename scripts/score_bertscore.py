"""Score every caption against the last layer's of the same picture, by BERTScore."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, bertscore: dict[str, Any], scores: Path) -> None:
    """captions: their table; bertscore: model, layer, batch; scores: the table to write."""
    from vitpeel import caption_tables, tables
    from vitpeel.scores.bertscore import score

    made = caption_tables.derived(tables.origin_of(captions), bertscore=bertscore)
    table = score(tables.read_table(captions, tables.CAPTIONS), **bertscore)
    tables.write_table(scores, table, tables.SCORES, made)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        snakemake.params.bertscore,
        Path(snakemake.output.scores),
    )
