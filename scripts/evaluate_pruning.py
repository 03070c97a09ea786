"""Score what the pruned models say, and gather Table 1: CIDEr and convergence layer."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(inputs: Any, settings: Any, out: Any) -> None:
    """inputs: tables of captions, pictures, head scores and the plan; out: scores, table, heads to write."""
    from vitpeel import caption_tables, pruning, pruning_tables, tables
    from vitpeel.datasets.pictures import from_frame

    origin = tables.origin_of(Path(inputs.captions))
    unedited = tables.read_table(Path(inputs.layers), tables.CAPTIONS, caption_tables.same_model(origin))
    captions = pruning.completed(tables.read_table(Path(inputs.captions), tables.CAPTIONS), unedited)
    known = from_frame(tables.read_table(Path(inputs.pictures), tables.PICTURES))
    rows = pruning_tables.score(captions, known, **settings.scored)
    made = caption_tables.derived(origin, **settings.scored)
    tables.write_table(Path(out.scores), rows, tables.SCORES, made)
    plan = tables.read_table(Path(inputs.plan), pruning.PLAN)
    resampled = {**settings.bootstrap, "seed": settings.seed}
    head = pruning_tables.parameters_of_head(Path(settings.checkpoint))
    tables.write_csv(Path(out.table), pruning_tables.table1(rows, plan, head, **resampled))
    scores = tables.read_table(Path(inputs.scores), tables.SCORES)
    tables.write_csv(Path(out.heads), pruning_tables.heads(plan, scores, **resampled))


with job(snakemake.log[0], snakemake.threads):
    main(snakemake.input, snakemake.params, snakemake.output)
