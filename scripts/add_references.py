"""Add what people wrote about them to the list of pictures."""

from pathlib import Path

from vitpeel.logs import job


def main(listed: Path, path: Path, captions: str, pictures: Path) -> None:
    """listed: table of the pictures in the folder `path`; captions: CSV, "" for none; pictures: to write."""
    from vitpeel import tables
    from vitpeel.datasets.folder import references
    from vitpeel.datasets.pictures import with_references

    written = references(path, Path(captions)) if captions else {}
    table = with_references(tables.read_table(listed, tables.PICTURES), written)
    tables.write_table(pictures, table, tables.PICTURES, tables.origin_of(listed))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.pictures),
        Path(snakemake.params.folder),
        str(snakemake.input.get("captions", "")),
        Path(snakemake.output.pictures),
    )
