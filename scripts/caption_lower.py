"""Caption the pictures of one shard with averaged and confused lower layers (section 4.2)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(sums: list[list[Path]], pictures: Path, shard: str, settings: Any, captions: Path) -> None:
    """sums: files of the set itself and of the other, if any; settings: model, points, means, decoding."""
    from vitpeel import activations, caption_tables, lower, models, tables
    from vitpeel.config import Decoding

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    sets, chosen = lower.averaged(sums, settings.averaged, origin), lower.points(**settings.points)
    variants = lower.loaded_variants(chosen, model.trunk, sets, **settings.means)
    part = activations.read_shard(pictures, shard)
    rows, ids = activations.swept(model, part, variants, settings.picture_batch), [p.image_id for p in part]
    table = caption_tables.caption(model, rows, ids, variants, decoding, settings.caption_batch)
    edits = {name: settings[name] for name in ("points", "averaged", "means")}
    made = caption_tables.derived(origin, reading=settings.reading, decoding=decoding, **edits)
    tables.write_table(captions, table, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    files = [[Path(path) for path in snakemake.input[name]] for name in ("own", "other")]
    pictures, shard = Path(snakemake.input.pictures), snakemake.wildcards.shard
    main(files, pictures, shard, snakemake.params, Path(snakemake.output.captions))
