"""What the configuration asks of the five analyses (clip.analyses), answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from vitpeel.clip import analyses, head_places
from vitpeel.clip.analyses import Maps, Pictures
from vitpeel.clip.head_places import Place
from vitpeel.clip.neighbours import Index

if TYPE_CHECKING:
    from vitpeel.models.openclip import Clip


@dataclass(frozen=True)
class Study:
    """A model by its name, what its heads are labelled (`tables.HEAD_LABELS`), and the index to search."""

    clip: Clip
    name: str
    index: Index
    labels: pd.DataFrame


def neighbours(
    study: Study, asked: Mapping[str, Any], pictures: Pictures, same_set: bool = False
) -> pd.DataFrame:
    """Sections 5.1, 5.4 and 5.5: a `tables.NEIGHBOURS` table.

    asked: the settings of clip.analyses; pictures: image_id -> RGB, of at least those it names; same_set:
    they are the index's too. Raises InputError for a property that no head has, or a head without a label.
    """
    labels, name = study.labels, study.name
    searches = [
        *(analyses.by_property(labels, name, one["picture"], one["property"]) for one in asked["properties"]),
        *(
            analyses.by_picture(labels, name, one["picture"], _place(one["head"]))
            for one in asked["pictures"]
        ),
        *(analyses.by_text(labels, name, one["text"], _place(one["head"])) for one in asked["texts"]),
    ]
    count, measure = asked["neighbours"], asked["measure"]
    return analyses.neighbours(study.clip, study.index, name, searches, pictures, count, measure, same_set)


def maps(study: Study, asked: Mapping[str, Any], pictures: Pictures) -> Maps:
    """Sections 5.2 and 5.3, as `neighbours`. A contrast that names no heads is of all that are indexed."""
    labels, name = study.labels, study.name
    topics = [
        analyses.topic(labels, name, one["pictures"], one["text"], _place(one["head"]))
        for one in asked["topics"]
    ]
    studied = head_places.all_heads(study.index.layers, study.index.heads)
    contrasts = [
        analyses.contrast(one["picture"], text, against, _places(one["heads"]) or studied)
        for one in asked["contrasts"]
        for text, against in [one["texts"]]
    ]
    return analyses.maps(study.clip, name, [*topics, *contrasts], pictures)


def _place(head: Sequence[int]) -> Place:
    layer, number = head
    return layer, number


def _places(heads: Sequence[Sequence[int]] | None) -> tuple[Place, ...]:
    return tuple(_place(head) for head in heads or ())
