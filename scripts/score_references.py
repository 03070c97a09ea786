"""Score every caption against what people wrote: CIDEr, BLEU-4, ROUGE-L, METEOR (section 4.3)."""

from pathlib import Path

from vitpeel.logs import job


def main(captions: Path, pictures: Path, metrics: list[str], scores: Path) -> None:
    """captions, pictures: tables; metrics: which scores; scores: the table to write."""
    from vitpeel import caption_tables, tables
    from vitpeel.datasets.pictures import from_frame
    from vitpeel.scores import references

    made = tables.origin_of(captions)
    known = from_frame(tables.read_table(pictures, tables.PICTURES))
    written = {picture.image_id: picture.references for picture in known}
    table = references.score(tables.read_table(captions, tables.CAPTIONS), written, metrics)
    tables.write_table(scores, table, tables.SCORES, caption_tables.derived(made, metrics=metrics))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        Path(snakemake.input.pictures),
        snakemake.params.metrics,
        Path(snakemake.output.scores),
    )
