"""Caption every layer of one shard (section 3.5), from the cached layers or by a new forward pass."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job, progress


def main(residuals: str, pictures: Path, shard: str, settings: Any, captions: Path) -> None:
    """residuals: their file, "" for none; settings: model, reading, decoding, batches."""
    from vitpeel import activations, layer_captions, models, tables
    from vitpeel.config import Decoding

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    part = activations.read_shard(pictures, shard)
    fresh = activations.fresh_layers(model, part, settings.picture_batch)
    rows = activations.cached_layers(Path(residuals), origin) if residuals else fresh
    said = model.captioner.caption(rows, decoding, settings.caption_batch)
    table = layer_captions.frame(progress(said, len(part) * model.trunk.depth, "captions"))
    made = layer_captions.derived(origin, reading=settings.reading, decoding=decoding)
    tables.write_table(captions, table, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    cached, pictures = snakemake.input.get("residuals", ""), Path(snakemake.input.pictures)
    main(cached, pictures, snakemake.wildcards.shard, snakemake.params, Path(snakemake.output.captions))
