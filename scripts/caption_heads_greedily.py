"""As caption_heads, but layer after layer, each on the model that is pruned so far (Algorithm 1, greedy)."""

from functools import partial
from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(pictures: Path, settings: Any, captions: Path) -> None:
    """pictures: table of the sample; settings: those of caption_heads, and `greedy`: of score_heads."""
    from vitpeel import activations, caption_tables, config, models, pruning, tables
    from vitpeel.scores import bertscore

    checkpoint, own = Path(settings.model["checkpoint"]), config.Decoding(**settings.decoding)
    model = models.load(**{**settings.model, "checkpoint": checkpoint}, **settings.reading)
    whole = {picture.image_id: picture for picture in activations.read_shard(pictures, "0-of-1")}
    sweep = partial(activations.swept, model, [*whole.values()], batch=settings.picture_batch)
    score = partial(bertscore.score, **settings.greedy["bertscore"], against=pruning.combined)
    how = {"score": score, "choices": pruning.Choices(**settings.greedy["choices"]), **settings.heads}
    table = pruning.caption_greedily(
        lambda v: caption_tables.caption(model, sweep(v), [*whole], v, own, settings.caption_batch), **how
    )
    used = {"reading": settings.reading, "decoding": own, "heads": settings.heads, **settings.greedy}
    origin = activations.origin_of(model, checkpoint, settings.model["dtype"])
    tables.write_table(captions, table, tables.CAPTIONS, caption_tables.derived(origin, **used))


with job(snakemake.log[0], snakemake.threads):
    main(Path(snakemake.input.pictures), snakemake.params, Path(snakemake.output.captions))
