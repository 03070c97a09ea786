"""Tables of captions: a row a reading, shards put together, and what made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vitpeel.errors import InputError
from vitpeel.logs import progress
from vitpeel.provenance import Provenance, canonical
from vitpeel.tables import CAPTIONS, Reading, origin_of, read_tables

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.captioner import Caption
    from vitpeel.config import Decoding
    from vitpeel.models import Model
    from vitpeel.sweep import Variant


def caption(
    model: Model,
    rows: Iterable[tuple[Reading, Tensor]],
    image_ids: Sequence[str],
    variants: Sequence[Variant],
    decoding: Decoding,
    batch: int,
) -> pd.DataFrame:
    """What these rows say, as `frame` orders it; progress goes to the log.

    rows: (key, Z [tokens, width]) of every variant at its layers. batch: captions written at a time.
    """
    total = len(image_ids) * sum(len(v.layers) * (model.trunk.heads if v.heads else 1) for v in variants)
    said = progress(model.captioner.caption(rows, decoding, batch), total, "captions")
    return frame(said, image_ids, list(dict.fromkeys(variant.name for variant in variants)))


def frame(
    captions: Iterable[Caption[Reading]], image_ids: Sequence[str], variants: Sequence[str]
) -> pd.DataFrame:
    """Captions as a table of the schema `tables.CAPTIONS`, whatever order they come in.

    Rows are ordered by picture and variant, both as given, then layer and head.
    """
    rows = [(*caption.key, caption.text, caption.tokens, caption.truncated) for caption in captions]
    table: pd.DataFrame = pd.DataFrame(rows, columns=CAPTIONS.names)
    places = {"image_id": list(image_ids), "variant": list(variants)}
    order = {
        name: table[name].map({value: at for at, value in enumerate(own)}) for name, own in places.items()
    }
    keys = table.assign(**order).astype({"head": "Int16"})
    keys = keys.sort_values(["image_id", "variant", "layer", "head"], na_position="first", kind="stable")
    kinds = {"head": "Int16", "caption": "str", "image_id": "str", "variant": "str"}
    return table.loc[keys.index].reset_index(drop=True).astype(kinds)


def merge(shards: Sequence[Path], image_ids: Sequence[str]) -> tuple[pd.DataFrame, Provenance]:
    """The captions of all shards, in the pictures' order, and what made them.

    image_ids: every picture, in order. Raises ProvenanceError for shards that were made differently,
    InputError where a picture is missing or there twice.
    """
    made = origin_of(shards[0])
    whole = read_tables(shards, CAPTIONS, expect=made)
    found = whole["image_id"].drop_duplicates().tolist()
    if found != list(image_ids) or whole.duplicated(list(Reading._fields)).any():
        folder = shards[0].parent
        raise InputError(
            f"{folder}: its {len(found)} captioned pictures are not the {len(image_ids)} of the set. "
            f"Delete the folder (`rm -r {folder}`) and run `snakemake` again."
        )
    return whole, made


def derived(made: Provenance, **settings: object) -> Provenance:
    """What makes a table out of captions that `made` made: the same, and these further settings."""
    return replace(made, config=canonical({"captions": made.config, **settings}))


def same_model(made: Provenance) -> Provenance:
    """What a table must agree with to stand beside captions that `made` made, whatever its own settings."""
    return Provenance(**{**asdict(made), "config": None})
