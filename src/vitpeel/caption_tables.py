"""Tables of captions: a row a reading, and what made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pandas as pd

from vitpeel.logs import progress
from vitpeel.provenance import Provenance, canonical
from vitpeel.tables import CAPTIONS, Reading

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


def derived(made: Provenance, **settings: object) -> Provenance:
    """What makes a table out of captions that `made` made: the same, and these further settings."""
    return replace(made, config=canonical({"captions": made.config, **settings}))


def same_model(made: Provenance) -> Provenance:
    """What a table must agree with to stand beside captions that `made` made, whatever its own settings."""
    return Provenance(**{**asdict(made), "config": None})
