"""Run one shard of the pictures through the trunk and keep what every layer holds (sections 3.3 and 3.4)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(
    model: dict[str, Any], pictures: Path, shard: str, batch: int, attention: Path, residuals: str
) -> None:
    """model: which, and how it is loaded; residuals: the file to write, "" for none."""
    from vitpeel import activations, models

    checkpoint = Path(model["checkpoint"])
    loaded = models.load(**{**model, "checkpoint": checkpoint}, prompt="")  # the trunk sees no prompt
    part = activations.read_shard(pictures, shard)
    origin = activations.origin_of(loaded, checkpoint, model["dtype"])
    activations.capture(loaded, part, Path(residuals) if residuals else None, attention, origin, batch)


with job(snakemake.log[0], snakemake.threads):
    main(
        snakemake.params.model,
        Path(snakemake.input.pictures),
        snakemake.wildcards.shard,
        snakemake.params.batch,
        Path(snakemake.output.attention),
        snakemake.output.get("residuals", ""),
    )
