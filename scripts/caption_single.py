"""Caption single heads, and layers with some heads masked, of one shard (section 4.4)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(pictures: Path, shard: str, settings: Any, captions: Path) -> None:
    """settings: model, reading, decoding, heads (which are read and masked), batches."""
    from vitpeel import activations, caption_tables, heads, models, tables
    from vitpeel.config import Decoding

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    part = activations.read_shard(pictures, shard)
    variants = heads.plan(**settings.heads, depth=model.trunk.depth)
    rows = heads.readings(model, part, variants, settings.picture_batch)
    names = [picture.image_id for picture in part]
    table = caption_tables.caption(model, rows, names, variants, decoding, settings.caption_batch)
    made = caption_tables.derived(origin, reading=settings.reading, decoding=decoding, heads=settings.heads)
    tables.write_table(captions, table, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    pictures, captions = Path(snakemake.input.pictures), Path(snakemake.output.captions)
    main(pictures, snakemake.wildcards.shard, snakemake.params, captions)
