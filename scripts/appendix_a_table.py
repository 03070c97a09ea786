"""Gather the tables behind appendix A: captions of the edited model, and wording without colours."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(captions: Path, scores: Path, pictures: Path, settings: Any, out: list[Path]) -> None:
    """settings: images, points, bootstrap, seed; out: the CSVs to write, of cases and of wording."""
    from vitpeel import lower, lower_tables, tables
    from vitpeel.datasets.pictures import from_frame

    values, said = tables.read_table(scores, tables.SCORES), tables.read_table(captions, tables.CAPTIONS)
    chosen, bootstrap = lower.points(**settings.points), {**settings.bootstrap, "seed": settings.seed}
    shown = lower_tables.telling(chosen, settings.points["layers"], settings.points["middle"])
    tables.write_csv(out[0], lower_tables.cases(said, values, shown, settings.images))
    known = from_frame(tables.read_table(pictures, tables.PICTURES))
    written = {picture.image_id: picture.references for picture in known}
    rows = lower_tables.wording(values, written, chosen, **bootstrap)
    tables.write_csv(out[1], rows.assign(confidence=bootstrap["confidence"]))


with job(snakemake.log[0], snakemake.threads):
    captions, scores = Path(snakemake.input.captions), Path(snakemake.input.scores)
    out = [Path(snakemake.output.cases), Path(snakemake.output.wording)]
    main(captions, scores, Path(snakemake.input.pictures), snakemake.params, out)
