"""Run both engines on a few pictures and table how far they are apart, part by part."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(environment: Path, pictures: Path, settings: Any, table: Path) -> None:
    """environment: LAVIS's; settings: model, reading, decoding, tolerance; table: the CSV to write."""
    from vitpeel import models, tables
    from vitpeel.config import Decoding
    from vitpeel.datasets.pictures import from_frame
    from vitpeel.lavis import engine, parity

    checkpoint, decoding = Path(settings.model["checkpoint"]), Decoding(**settings.decoding)
    chosen = from_frame(tables.read_table(pictures, tables.PICTURES))
    prepared = models.preprocessing(settings.model["kind"], checkpoint)
    asked = (settings.model, settings.reading, prepared, decoding, len(chosen))
    answer = engine.ask(environment, chosen, *asked, parts=True)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    tables.write_csv(table, parity.compare(model, answer, chosen, decoding, settings.tolerance))


with job(snakemake.log[0], snakemake.threads):
    lavis, pictures = Path(snakemake.input.environment), Path(snakemake.input.pictures)
    main(lavis, pictures, snakemake.params, Path(snakemake.output.table))
