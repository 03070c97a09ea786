"""Gather what the heads of a CLIP are labelled, each with the text that explains most of it."""

from pathlib import Path

from vitpeel.logs import job


def main(labels_file: Path, texts: Path, table: Path) -> None:
    """labels_file, texts: of one model's heads; table: the CSV to write."""
    from vitpeel import tables
    from vitpeel.clip import labels

    labelled = tables.read_table(labels_file, tables.HEAD_LABELS)
    tables.write_csv(table, labels.grid(labelled, tables.read_table(texts, tables.HEAD_TEXTS)))


with job(snakemake.log[0], snakemake.threads):
    main(Path(snakemake.input.labels), Path(snakemake.input.texts), Path(snakemake.output.table))
