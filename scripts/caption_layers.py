"""Caption every layer of one shard (section 3.5), from the cached layers or by a new forward pass."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(residuals: str, pictures: Path, shard: str, settings: Any, captions: Path) -> None:
    """residuals: their file, "" for none; settings: model, reading, decoding, batches."""
    from vitpeel import activations, caption_tables, models, tables
    from vitpeel.config import Decoding
    from vitpeel.sweep import unedited

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    part = activations.read_shard(pictures, shard)
    whole = [unedited(model.trunk.depth)]
    fresh = activations.swept(model, part, whole, settings.picture_batch)
    rows = activations.cached_layers(Path(residuals), origin) if residuals else fresh
    names = [picture.image_id for picture in part]
    table = caption_tables.caption(model, rows, names, whole, decoding, settings.caption_batch)
    made = caption_tables.derived(origin, reading=settings.reading, decoding=decoding)
    tables.write_table(captions, table, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    cached, pictures = snakemake.input.get("residuals", ""), Path(snakemake.input.pictures)
    main(cached, pictures, snakemake.wildcards.shard, snakemake.params, Path(snakemake.output.captions))
