"""Write the chosen pictures of ImageNet out of the hub's parquet files, a folder or the tar file."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(chosen: dict[str, Any], downloaded: Path, seed: int, pictures: Path, listed: Path) -> None:
    """chosen: path (None: the folder `downloaded`) and limit; listed: the list of the pictures to write."""
    from vitpeel.datasets import imagenet

    shards = [] if chosen["path"] else sorted(downloaded.rglob("*.parquet"))
    source = Path(chosen["path"] or downloaded)
    imagenet.unpack(source, shards, pictures, listed, chosen["limit"], seed)


with job(snakemake.log[0], snakemake.threads):
    main(
        snakemake.params.chosen,
        Path(snakemake.params.downloaded),
        snakemake.params.seed,
        Path(snakemake.output.pictures),
        Path(snakemake.output.listed),
    )
