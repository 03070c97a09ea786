"""Build the environment that LAVIS runs in."""

from pathlib import Path

from vitpeel.logs import job


def main(lock: Path, environment: Path) -> None:
    """lock: versions and hashes; environment: the folder to make."""
    from vitpeel.lavis.environment import build

    build(lock, environment)


with job(snakemake.log[0], snakemake.threads):
    main(Path(snakemake.input.lock), Path(snakemake.output.environment))
