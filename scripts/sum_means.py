"""Add up what the blocks read, over the pictures of one shard that are averaged (section 4.2)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(residuals: str, pictures: Path, shard: str, settings: Any, sums: Path) -> None:
    """residuals: their file, "" for none; pictures: those averaged; settings: model, places, which set."""
    from dataclasses import replace

    from vitpeel import activations, means, models, tables
    from vitpeel.provenance import canonical

    checkpoint, batch = Path(settings.model["checkpoint"]), settings.batch
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, prompt="")  # the trunk sees no prompt
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    keep = set(tables.read_table(pictures, tables.PICTURES)["image_id"])
    part = activations.read_shard(pictures, shard)
    batches = (activations.pixels_of(model, part[at : at + batch]) for at in range(0, len(part), batch))
    fresh = means.fresh_inputs(model.trunk, batches)
    inputs = means.cached_inputs(Path(residuals), model.trunk, origin, batch, keep) if residuals else fresh
    found = means.sums(model.trunk, inputs, settings.places)
    means.save(sums, found, replace(origin, config=canonical(settings.averaged)))


with job(snakemake.log[0], snakemake.threads):
    cached, pictures = snakemake.input.get("residuals", ""), Path(snakemake.input.pictures)
    main(cached, pictures, snakemake.wildcards.shard, snakemake.params, Path(snakemake.output.sums))
