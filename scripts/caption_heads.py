"""Caption every head of the layers to be pruned, and their combined output (Algorithm 1, lines 6 to 12)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(pictures: Path, shard: str, settings: Any, captions: Path) -> None:
    """pictures: table of the sample; settings: model, reading, decoding, heads, batches."""
    from vitpeel import activations, caption_tables, models, pruning, tables
    from vitpeel.config import Decoding

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    part, read = activations.read_shard(pictures, shard), pruning.readings(**settings.heads)
    rows = activations.swept(model, part, read, settings.picture_batch)
    names = [picture.image_id for picture in part]
    table = caption_tables.caption(model, rows, names, read, decoding, settings.caption_batch)
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    made = caption_tables.derived(origin, reading=settings.reading, decoding=decoding, heads=settings.heads)
    tables.write_table(captions, table, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    pictures, shard = Path(snakemake.input.pictures), snakemake.wildcards.shard
    main(pictures, shard, snakemake.params, Path(snakemake.output.captions))
