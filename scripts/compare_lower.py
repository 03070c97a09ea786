"""Compare the captions of the edited model with the unedited model's, by BERTScore and word by word."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, bertscore: dict[str, Any], baseline: Any, seed: int, out: list[Path]) -> None:
    """baseline: None, a number, or "measured"; out: tables to write, of scores and of the baseline."""
    from vitpeel import caption_tables, tables
    from vitpeel.scores import lower

    said = tables.read_table(captions, tables.CAPTIONS)
    base = lower.baseline(said, baseline, seed, **bertscore)
    table = lower.compare(said, **bertscore, base=base)
    made = caption_tables.derived(tables.origin_of(captions), bertscore=bertscore, baseline=base)
    tables.write_table(out[0], table, tables.SCORES, made)
    tables.write_csv(out[1], base.frame())


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        snakemake.params.bertscore,
        snakemake.params.baseline,
        snakemake.params.seed,
        [Path(snakemake.output.scores), Path(snakemake.output.baseline)],
    )
