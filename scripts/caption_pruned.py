"""Caption the pictures that were not sampled by the pruned models (section 4.4, Table 1)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(pictures: Path, plan: Path, shard: str, settings: Any, captions: Path) -> None:
    """plan: of score_heads; settings: model, reading, decoding, batches, draws and seed of random."""
    from vitpeel import activations, caption_tables, models, pruning, tables
    from vitpeel.config import Decoding

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    heads = tables.read_table(plan, pruning.PLAN, expect=origin)
    read = pruning.variants(heads, model.trunk.depth, **settings.random)
    part = activations.read_shard(pictures, shard)
    rows = activations.swept(model, part, read, settings.picture_batch)
    names = [picture.image_id for picture in part]
    table = caption_tables.caption(model, rows, names, read, decoding, settings.caption_batch)
    used = {"decoding": decoding, "random": settings.random, "plan": tables.origin_of(plan).config}
    made = caption_tables.derived(origin, reading=settings.reading, **used)
    tables.write_table(captions, table, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    given = Path(snakemake.input.pictures), Path(snakemake.input.plan), snakemake.wildcards.shard
    main(*given, snakemake.params, Path(snakemake.output.captions))
