"""Answer the queries of the five analyses of CLIP-InterpreT (section 5)."""

from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(paths: dict[str, Any], model: dict[str, Any], params: Any) -> None:
    """paths: of what is read and written; params: layers studied, what is asked, if both sets are one."""
    from vitpeel import tables
    from vitpeel.clip import contributions, feature_files, map_files, neighbours, queries
    from vitpeel.datasets import pictures
    from vitpeel.models import openclip

    labels, checkpoint = tables.read_table(paths["labels"], tables.HEAD_LABELS), Path(model["checkpoint"])
    clip = openclip.load(checkpoint, dtype=model["dtype"], device=model["device"])
    layers = contributions.last(clip.trunk, params.layers)
    origin = feature_files.origin_of(clip, checkpoint, model["dtype"], layers)
    index = neighbours.open_index(Path(paths["index"]), origin)
    shown = pictures.opened(tables.read_table(paths["pictures"], tables.PICTURES))
    study = queries.Study(clip, model["name"], index, labels)
    tables.write_csv(paths["neighbours"], queries.neighbours(study, params.asked, shown, params.same_set))
    map_files.write(paths["table"], paths["maps"], queries.maps(study, params.asked, shown), origin)


with job(snakemake.log[0], snakemake.threads):
    paths = {**dict(snakemake.input.items()), **dict(snakemake.output.items())}
    main(paths, snakemake.params.model, snakemake.params)
