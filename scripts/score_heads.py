"""Score what heads say against what their layer says, and choose those that are pruned (Algorithm 1)."""

from functools import partial
from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, bertscore: dict[str, Any], choices: dict[str, Any], out: list[Path]) -> None:
    """captions: of caption_heads; bertscore: model, layer, batch; out: tables of scores and plan to write."""
    from vitpeel import caption_tables, pruning, tables
    from vitpeel.scores.bertscore import score

    made = tables.origin_of(captions)
    own = partial(score, **bertscore, against=pruning.combined)
    scores = pruning.score_heads(tables.read_table(captions, tables.CAPTIONS), own)
    tables.write_table(out[0], scores, tables.SCORES, caption_tables.derived(made, bertscore=bertscore))
    plan = pruning.prune(scores, pruning.Choices(**choices))
    chosen = caption_tables.derived(made, bertscore=bertscore, choices=choices)
    tables.write_table(out[1], plan, pruning.PLAN, chosen)


with job(snakemake.log[0], snakemake.threads):
    written = [Path(snakemake.output.scores), Path(snakemake.output.plan)]
    settings = snakemake.params.bertscore, snakemake.params.choices
    main(Path(snakemake.input.captions), *settings, written)
