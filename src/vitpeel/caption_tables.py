"""The table of what every layer of the unedited model says (section 3.5), in parts and as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vitpeel.errors import InputError
from vitpeel.provenance import Provenance, canonical
from vitpeel.sweep import unedited
from vitpeel.tables import CAPTIONS, origin_of, read_tables

if TYPE_CHECKING:
    from vitpeel.activations import LayerKey
    from vitpeel.captioner import Caption


def frame(captions: Iterable[Caption[LayerKey]]) -> pd.DataFrame:
    """Captions of (image_id, layer) as a table of the schema `tables.CAPTIONS`, in their order."""
    variant = unedited(0).name
    rows = [
        (*caption.key, variant, None, caption.text, caption.tokens, caption.truncated) for caption in captions
    ]
    columns = ["image_id", "layer", "variant", "head", "caption", "tokens", "truncated"]
    made: pd.DataFrame = pd.DataFrame(rows, columns=columns)[CAPTIONS.names]
    return made.astype({"head": "Int16", "caption": "str", "image_id": "str"})


def merge(shards: Sequence[Path], image_ids: Sequence[str]) -> tuple[pd.DataFrame, Provenance]:
    """The captions of all shards, in the pictures' order, and what made them.

    image_ids: every picture, in order. Raises ProvenanceError for shards that were made differently,
    InputError where a picture is missing or there twice.
    """
    made = origin_of(shards[0])
    whole = read_tables(shards, CAPTIONS, expect=made)
    found = whole["image_id"].drop_duplicates().tolist()
    if found != list(image_ids) or whole.duplicated(["image_id", "layer"]).any():
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
