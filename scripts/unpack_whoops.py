"""Write the pictures of WHOOPS out of its parquet files, and its captions into CSV files."""

from pathlib import Path

from vitpeel.logs import job


def main(downloaded: Path, pictures: Path, listed: Path, captions: list[str], expected: int | None) -> None:
    """downloaded: folder with the parquet files; captions: a CSV file a column, named after it."""
    from vitpeel.datasets import names, whoops

    files = dict(zip(names.WHOOPS_CAPTIONS, map(Path, captions), strict=True))
    whoops.unpack(sorted(downloaded.rglob("*.parquet")), pictures, listed, files, expected)


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.params.downloaded),
        Path(snakemake.output.pictures),
        Path(snakemake.output.listed),
        list(snakemake.output.captions),
        snakemake.params.expected,
    )
