"""Gather Tables 1 and 2 of CLIP-InterpreT: entanglement and association, by lot and as printed."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(paths: list[Path], known: Path, least: int, bootstrap: dict[str, Any], table: Path) -> None:
    """paths: labels, a table a model; known: the descriptions; least: texts that must match a label."""
    import pandas as pd

    from vitpeel import tables
    from vitpeel.clip import chance, descriptions, interpretability, lexicon, printed

    labels = pd.concat([tables.read_table(path, tables.HEAD_LABELS) for path in paths], ignore_index=True)
    by_lot = chance.of_models(
        labels, lexicon.shipped(), descriptions.read(known), least, seed=bootstrap["seed"]
    )
    tables.write_csv(table, printed.beside(interpretability.scores(labels, by_lot, least, **bootstrap)))


with job(snakemake.log[0], snakemake.threads):
    bootstrap = {**snakemake.params.bootstrap, "seed": snakemake.params.seed}
    paths, known = [Path(path) for path in snakemake.input.labels], Path(snakemake.params.descriptions)
    main(paths, known, snakemake.params.least, bootstrap, Path(snakemake.output.table))
