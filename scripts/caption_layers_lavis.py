"""Caption every layer of one shard with the reference engine (section 3.5)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(environment: Path, pictures: Path, shard: str, settings: Any, captions: Path) -> None:
    """environment: LAVIS's; settings: model, reading, decoding, batch; captions: the table to write."""
    from vitpeel import activations, caption_tables, models, tables
    from vitpeel.config import Decoding
    from vitpeel.lavis import engine
    from vitpeel.sweep import unedited

    prepared = models.preprocessing(settings.model["kind"], Path(settings.model["checkpoint"]))
    asked = (settings.model, settings.reading, prepared, Decoding(**settings.decoding))
    part = activations.read_shard(pictures, shard)
    answer = engine.ask(environment, part, *asked, settings.picture_batch)
    name = unedited(0).name
    said = engine.readings(answer, part, name)
    table = caption_tables.frame(said, [picture.image_id for picture in part], [name])
    tables.write_table(captions, table, tables.CAPTIONS, engine.provenance(*asked))


with job(snakemake.log[0], snakemake.threads):
    lavis, pictures = Path(snakemake.input.environment), Path(snakemake.input.pictures)
    main(lavis, pictures, snakemake.wildcards.shard, snakemake.params, Path(snakemake.output.captions))
