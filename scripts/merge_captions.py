"""Put the captions of all shards into one table, in the order of the pictures."""

from pathlib import Path

from vitpeel.logs import job


def main(shards: list[Path], pictures: Path, captions: Path) -> None:
    """shards: tables of captions, in order; pictures: their table; captions: the table to write."""
    from vitpeel import tables

    image_ids = tables.read_table(pictures, tables.PICTURES)["image_id"].tolist()
    whole, made = tables.merge(shards, tables.CAPTIONS, tables.Reading._fields, image_ids)
    tables.write_table(captions, whole, tables.CAPTIONS, made)


with job(snakemake.log[0], snakemake.threads):
    main(
        [Path(shard) for shard in snakemake.input.shards],
        Path(snakemake.input.pictures),
        Path(snakemake.output.captions),
    )
