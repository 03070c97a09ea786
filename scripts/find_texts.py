"""Find the texts that span what every head of a CLIP contributes (TextSpan, Algorithm 1)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(
    model: dict[str, Any], shards: list[Path], known: Path, layers: int, picks: dict[str, Any], out: Path
) -> None:
    """shards: files of moments of the last `layers`; known: a text a line; picks: how many, span's rank."""
    from vitpeel import caption_tables, tables
    from vitpeel.clip import contributions, descriptions, feature_files, moments, textspan
    from vitpeel.models import openclip

    checkpoint, texts = Path(model["checkpoint"]), descriptions.read(known)
    clip = openclip.load(checkpoint, dtype=model["dtype"], device=model["device"])
    chosen = contributions.last(clip.trunk, layers)
    origin = feature_files.origin_of(clip, checkpoint, model["dtype"], chosen)
    found, rows = moments.load(shards, origin), clip.texts(texts).cpu()
    table = textspan.table(model["name"], found, texts, rows, picks["texts"], picks["rank"])
    made = caption_tables.derived(origin, descriptions=descriptions.fingerprint(texts), **picks)
    tables.write_table(out, table, tables.HEAD_TEXTS, made)


with job(snakemake.log[0], snakemake.threads):
    shards, params = [Path(path) for path in snakemake.input.moments], snakemake.params
    known, out = Path(params.descriptions), Path(snakemake.output.texts)
    main(params.model, shards, known, params.layers, params.picks, out)
