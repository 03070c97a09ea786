"""Index what the heads of a CLIP contribute to the pictures, to be searched for neighbours (section 5)."""

from pathlib import Path

from vitpeel.logs import job


def main(model: str, heads: list[Path], moments_of: Path, labels: Path, batch: int, index: Path) -> None:
    """heads: of all shards; moments_of: of any, for the maps; labels: of the heads; index: to write."""
    from vitpeel import tables
    from vitpeel.clip import head_places, moments, neighbours

    known = tables.read_table(labels, tables.HEAD_LABELS)
    together = head_places.properties(known, model).values()
    neighbours.build(index, heads, moments.load([moments_of]).maps, together, batch)


with job(snakemake.log[0], snakemake.threads):
    heads, labels = [Path(path) for path in snakemake.input.heads], Path(snakemake.input.labels)
    moments_of, index = Path(snakemake.input.moments), Path(snakemake.output.index)
    main(snakemake.wildcards.clip, heads, moments_of, labels, snakemake.params.batch, index)
