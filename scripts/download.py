"""Bring an entry of the manifest into the cache: a checkpoint, a set of pictures or of texts."""

from pathlib import Path

from vitpeel.logs import job


def main(entry: str, cache: Path, receipt: Path) -> None:
    """entry: its name in the manifest; receipt: the record of it, written when all is there and verified."""
    from vitpeel.downloads import download

    download(entry, cache, receipt)


with job(snakemake.log[0], snakemake.threads):
    main(snakemake.wildcards.entry, Path(snakemake.params.cache), Path(snakemake.output.receipt))
