"""Put the decomposed updates of all shards into one table, in the order of the pictures."""

from pathlib import Path

from vitpeel.logs import job


def main(shards: list[Path], pictures: Path, dataflow: Path) -> None:
    """shards: data-flow tables, in order; pictures: their table; dataflow: the table to write."""
    from vitpeel import tables

    image_ids = tables.read_table(pictures, tables.PICTURES)["image_id"].tolist()
    keys = ("image_id", "layer", "component")
    whole, made = tables.merge(shards, tables.DATAFLOW, keys, image_ids)
    tables.write_table(dataflow, whole, tables.DATAFLOW, made)


with job(snakemake.log[0], snakemake.threads):
    main(
        [Path(shard) for shard in snakemake.input.shards],
        Path(snakemake.input.pictures),
        Path(snakemake.output.dataflow),
    )
