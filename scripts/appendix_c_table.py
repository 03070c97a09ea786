"""Gather the table behind appendix C: captions of chosen pictures and layers with the judge's scores."""

from pathlib import Path

from vitpeel.logs import job


def main(scores: Path, captions: Path, images: list[str], layers: list[int], table: Path) -> None:
    """scores, captions: tables; images, layers: those shown; table: the CSV to write."""
    from vitpeel import judge_tables, tables
    from vitpeel.judge import judging

    judged = tables.read_table(scores, tables.SCORES)
    said = tables.read_table(captions, tables.CAPTIONS)
    who = judging.who(tables.origin_of(scores), scores)
    tables.write_csv(table, judge_tables.appendix_c(judged, said, who, images, layers))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.scores),
        Path(snakemake.input.captions),
        snakemake.params.images,
        snakemake.params.layers,
        Path(snakemake.output.table),
    )
