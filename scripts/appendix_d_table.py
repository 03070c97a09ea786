"""Gather the tables behind appendix D: masking matrices, and captions with and without the masked heads."""

from pathlib import Path

from vitpeel.logs import job


def main(captions: Path, images: list[str], masks: list[dict[int, list[int]]], out: list[Path]) -> None:
    """masks: {layer: heads} masked together; out: the CSVs to write, of captions and of matrices."""
    from vitpeel import heads, tables

    said = tables.read_table(captions, tables.CAPTIONS)
    tables.write_csv(out[0], heads.appendix_d(said, images, masks))
    tables.write_csv(out[1], heads.matrices(masks, heads.count(said)))


with job(snakemake.log[0], snakemake.threads):
    main(
        Path(snakemake.input.captions),
        snakemake.params.images,
        snakemake.params.masks,
        [Path(snakemake.output.captions), Path(snakemake.output.masks)],
    )
