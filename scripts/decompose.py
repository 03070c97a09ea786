"""Take every layer's update apart for one shard of the pictures (section 3.3, Equations 3 to 6)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(residuals: str, pictures: Path, shard: str, settings: Any, dataflow: Path, rollout: str) -> None:
    """residuals: their file, "" for none; settings: model, token, bias, batch; rollout: "" for none."""
    from vitpeel import activations, models, tables
    from vitpeel.dataflow import decompose
    from vitpeel.provenance import canonical

    checkpoint, own = Path(settings.model["checkpoint"]), {"token": settings.token, "bias": settings.bias}
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, prompt="")  # the trunk sees no prompt
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    part = activations.read_shard(pictures, shard)
    cached, rolled = (Path(path) if path else None for path in (residuals, rollout))
    table = decompose(model, part, cached, rolled, origin, settings.batch, **own)
    tables.write_table(dataflow, table, tables.DATAFLOW, replace(origin, config=canonical(own)))


with job(snakemake.log[0], snakemake.threads):
    cached, pictures = snakemake.input.get("residuals", ""), Path(snakemake.input.pictures)
    made, rolled = Path(snakemake.output.dataflow), snakemake.output.get("rollout", "")
    main(cached, pictures, snakemake.wildcards.shard, snakemake.params, made, rolled)
