"""Run one shard of the pictures through a CLIP and keep what its last heads contribute (section 3)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(model: dict[str, Any], pictures: Path, shard: str, layers: int, batch: int, out: list[Path]) -> None:
    """model: which, and how it is loaded; layers: the last so many; out: files of heads and of moments."""
    from vitpeel import activations
    from vitpeel.clip import contributions, feature_files, moments
    from vitpeel.models import openclip

    checkpoint = Path(model["checkpoint"])
    clip = openclip.load(checkpoint, dtype=model["dtype"], device=model["device"])
    chosen = contributions.last(clip.trunk, layers)
    origin = feature_files.origin_of(clip, checkpoint, model["dtype"], chosen)
    feature_files.capture(clip, activations.read_shard(pictures, shard), out[0], chosen, origin, batch)
    maps = contributions.maps(clip, chosen).cpu()
    moments.save(out[1], moments.sums(chosen, maps, feature_files.stored(out[0], batch, origin)), origin)


with job(snakemake.log[0], snakemake.threads):
    model, params = snakemake.params.model, snakemake.params
    out = [Path(snakemake.output.heads), Path(snakemake.output.moments)]
    main(model, Path(snakemake.input.pictures), snakemake.wildcards.shard, params.layers, params.batch, out)
