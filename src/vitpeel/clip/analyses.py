"""The five analyses of CLIP-InterpreT (section 5) for chosen queries: a table of neighbours, and maps.

What each is, and what it can not say: docs/clip-analyses.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from vitpeel.clip import contributions, head_places, segmentation
from vitpeel.clip.head_places import Place, named
from vitpeel.clip.neighbours import Index, Measure, nearest
from vitpeel.tables import NEIGHBOURS, SEGMENTATIONS

if TYPE_CHECKING:
    from vitpeel.models.openclip import Clip

Pictures = Mapping[str, Image.Image]


@dataclass(frozen=True)
class Search:
    """Which pictures are nearest to what.

    analysis: property (section 5.1), picture (5.4) or text (5.5); asked: a picture's id, or the text; places:
    heads whose contributions are added up; label: the property, or what the head is labelled.
    """

    analysis: Literal["property", "picture", "text"]
    asked: str
    places: tuple[Place, ...]
    label: str


@dataclass(frozen=True)
class Sight:
    """Where in pictures heads see a text (section 5.2), or rather one text than another (5.3).

    image_ids: of the pictures, one map each; against: the other text, None for a topic; places: heads whose
    maps are added up; label: what the head is labelled, "" for several.
    """

    image_ids: tuple[str, ...]
    text: str
    against: str | None
    places: tuple[Place, ...]
    label: str


@dataclass(frozen=True)
class Maps:
    """table: a `SEGMENTATIONS` table, a row a map; maps: [K, rows, columns], float32; pictures: as the model
    saw them, [K, height, width, 3], uint8."""

    table: pd.DataFrame
    maps: NDArray[np.float32]
    pictures: NDArray[np.uint8]


def by_property(labels: pd.DataFrame, model: str, picture: str, name: str) -> Search:
    """Section 5.1.  Raises InputError, with the labels there are, if no head has this one."""
    return Search("property", picture, head_places.with_property(labels, model, name), name)


def by_picture(labels: pd.DataFrame, model: str, picture: str, place: Place) -> Search:
    """Section 5.4.  Raises InputError for a head without a label, that is, not among those studied."""
    return Search("picture", picture, (place,), head_places.label_of(labels, model, place))


def by_text(labels: pd.DataFrame, model: str, text: str, place: Place) -> Search:
    """Section 5.5.  Raises InputError as `by_picture`."""
    return Search("text", text, (place,), head_places.label_of(labels, model, place))


def topic(labels: pd.DataFrame, model: str, pictures: Sequence[str], text: str, place: Place) -> Sight:
    """Section 5.2.  Raises InputError as `by_picture`."""
    label = head_places.label_of(labels, model, place)
    return Sight(tuple(pictures), text, None, (place,), label)


def contrast(picture: str, text: str, against: str, places: Sequence[Place]) -> Sight:
    """Section 5.3."""
    return Sight((picture,), text, against, tuple(places), "")


def neighbours(
    clip: Clip,
    index: Index,
    model: str,
    searches: Sequence[Search],
    pictures: Pictures,
    count: int,
    measure: Measure = "cosine",
    same_set: bool = False,
) -> pd.DataFrame:
    """Answer searches: a `tables.NEIGHBOURS` table, queries numbered within each analysis.

    pictures: image_id -> RGB, of at least those asked about; count: neighbours each; same_set: the pictures
    are the index's too, and none is its own neighbour.
    """
    rows: list[tuple[object, ...]] = []
    asked: dict[str, int] = {}
    for search in searches:
        number = asked[search.analysis] = asked.get(search.analysis, -1) + 1
        own = (search.asked,) if same_set and search.analysis != "text" else ()
        with torch.inference_mode():
            if search.analysis == "text":
                query = clip.texts([search.asked])[0].double().cpu().numpy()
            else:
                pixels = clip.preprocess([pictures[search.asked]])
                found = contributions.features(clip, pixels, index.layers)
                query = index.represent(found, search.places)[0]
        best = nearest(index, query, search.places, count, measure, own)
        about = (model, search.analysis, number, search.asked, search.label, named(search.places), measure)
        rows += [(*about, rank, *one) for rank, one in enumerate(best, 1)]
    frame = pd.DataFrame(rows, columns=NEIGHBOURS.names)
    return frame.astype({"query": "int16", "rank": "int16", "score": "float64"})


def maps(clip: Clip, model: str, sights: Sequence[Sight], pictures: Pictures) -> Maps:
    """Draw up the maps, a picture at a time; queries numbered within each analysis.

    pictures: image_id -> RGB, of at least those named.
    """
    rows: list[tuple[object, ...]] = []
    found, shown = [], []
    asked: dict[str, int] = {}
    for sight in sights:
        analysis = "topic" if sight.against is None else "contrast"
        number = asked[analysis] = asked.get(analysis, -1) + 1
        for image_id in sight.image_ids:
            with torch.inference_mode():
                pixels = clip.preprocess([pictures[image_id]])
                texts = clip.texts([sight.text] if sight.against is None else [sight.text, sight.against])
                if sight.against is None:
                    own = segmentation.topic(clip, pixels, texts[0], sight.places)
                else:
                    own = segmentation.contrast(clip, pixels, texts[0], texts[1], sight.places)
            found.append(own.cpu().numpy())
            shown.append(segmentation.seen(pixels, clip.preprocessing))
            about = (sight.text, sight.against, sight.label, named(sight.places))
            rows.append((model, analysis, number, image_id, *about))
    frame = pd.DataFrame(rows, columns=SEGMENTATIONS.names).astype({"query": "int16"})
    return Maps(frame, np.concatenate(found), np.concatenate(shown))
