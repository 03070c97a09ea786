"""The offline judge: the criteria of Figure 4, computed. It is no language model, nor an estimate of one.

What is in a picture is told by its references: the objects of the reference that names most, and the place.
A description is compared with that through the demo's word hierarchy (`mentions`). Each criterion is a share
in [0, 1], which becomes 1, 3 or 5 by the nearest of 0, 1/2 and 1 (between two, the lower):

- Number of entities: objects and places named, exactly or by kind, of as many as the picture holds.
- Specificity: mean over what is mentioned: exact word 1, its kind 1/2, "something" or "outdoors" 0.
- Information content: bits told rightly, of those that the exact description tells. One level more where a
  layer tells more than the layer before, one less where it tells less. First layer: 3.
- Correspondence: mean over what is mentioned: right 1, right but of no kind ("something") 1/2, wrong but of
  the right kind (a zebra for a giraffe) 1/2, wrong 0.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from vitpeel.demo.words import CATEGORY_OF
from vitpeel.errors import VitpeelError
from vitpeel.judge.criteria import Level, Series, Verdict, frame, series, settled
from vitpeel.judge.mentions import PHRASES, Mention, mentions

log = logging.getLogger(__name__)

NAME = "offline rubric"  # what figures and tables call this judge
_EXACTNESS = {"exact": 1.0, "kind": 0.5, "any": 0.0}


@dataclass(frozen=True)
class Content:
    """What is in a picture: objects (one named twice is there twice), and its place (None: not known)."""

    objects: tuple[str, ...]
    place: str | None

    @property
    def size(self) -> int:
        """How many entities there are to name."""
        return len(self.objects) + (self.place is not None)

    @property
    def bits(self) -> float:
        """What the exact description tells."""
        names = [*self.objects, *([self.place] if self.place else [])]
        return sum(PHRASES[name].bits for name in names)


def origin() -> dict[str, object]:
    """What to write into the provenance of this judge's scores."""
    return {"kind": "rubric", "name": NAME, "version": 1}


def score(captions: pd.DataFrame, references: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return a `scores` table (`criteria.METRICS`) for a `captions` table.

    references: image_id -> sentences in the demo's words. A picture whose references name no object of the
    demo is left out, and logged; VitpeelError if that leaves none.
    """
    pictures = sorted(set(captions["image_id"]))
    contents = {image: content(references.get(image, ())) for image in pictures}
    unknown = [image for image in pictures if contents[image] is None]
    if len(unknown) == len(pictures):
        raise VitpeelError(
            "judge.kind: the offline rubric knows the demo's words only, and no reference of these "
            f"{len(pictures)} pictures holds one. Set judge.kind to openai for pictures of your own."
        )
    if unknown:
        log.warning(
            "%d of %d pictures are not judged, their references name no object of the demo: %s",
            *(len(unknown), len(pictures), ", ".join(unknown[:5])),
        )
    judged = ((own, contents[own.image_id]) for own in series(captions))
    return frame((own, judge(own, there)) for own, there in judged if there is not None)


def content(references: Sequence[str]) -> Content | None:
    """What the references say is in the picture; None if they name no object of the demo."""
    exact = [[m for m in mentions(text) if m.exactness == "exact"] for text in references]
    named = [[name for m in own if m.sort == "object" for name in m.things] for own in exact]
    objects = max(named, key=len, default=[])
    places = sorted({name for own in exact for m in own if m.sort == "place" for name in m.things})
    if not objects:
        return None
    return Content(tuple(objects), places[0] if len(places) == 1 else None)


def judge(own: Series, there: Content) -> tuple[Verdict, ...]:
    """The verdict on every layer of a series about a picture that holds `there`."""
    told = [_bits_told(caption, there) for caption in own.captions]
    before = [told[0], *told[:-1]]
    rows = zip(own.layers, own.captions, told, before, strict=True)
    return settled([_verdict(layer, caption, there, *bits) for layer, caption, *bits in rows])


def _verdict(layer: int, caption: str, there: Content, told: float, before: float) -> Verdict:
    said = _checkable(caption, there)
    named = sum(mention.exactness != "any" for mention in said)
    exactness = [_EXACTNESS[mention.exactness] for mention in said]
    levels: tuple[Level, ...] = (1, 3, 5)
    richness = levels.index(_level(told / there.bits)) + (told > before) - (told < before)
    return Verdict(
        layer=layer,
        entities=_level(min(named / there.size, 1)),
        specificity=_level(_mean(exactness)),
        information=levels[min(max(richness, 0), 2)],
        correspondence=_level(_mean([match for _, match in _matched(said, there)])),
    )


def _checkable(caption: str, there: Content) -> list[Mention]:
    """What the caption mentions, without places if the picture's is not known."""
    return [m for m in mentions(caption) if m.sort == "object" or there.place is not None]


def _bits_told(caption: str, there: Content) -> float:
    return sum(m.bits for m, match in _matched(_checkable(caption, there), there) if match == 1)


def _matched(said: Sequence[Mention], there: Content) -> list[tuple[Mention, float]]:
    """Every mention with how well it fits; a thing in the picture serves one mention, exact ones first."""
    left = {"object": list(there.objects), "place": [there.place] if there.place else []}
    right, wrong = [], []
    for mention in sorted(said, key=lambda mention: len(mention.things)):
        fits = next((thing for thing in left[mention.sort] if thing in mention.things), None)
        if fits is None:
            wrong.append(mention)
        else:
            left[mention.sort].remove(fits)
            right.append((mention, 0.5 if mention.exactness == "any" else 1.0))
    return [*right, *((mention, 0.5 if _of_a_kind(mention, left["object"]) else 0.0) for mention in wrong)]


def _of_a_kind(mention: Mention, objects: Sequence[str]) -> bool:
    """Whether a wrong object is at least of the category of one in the picture that is not yet mentioned."""
    kinds = {CATEGORY_OF[word].name for word in objects}
    return mention.exactness == "exact" and any(
        CATEGORY_OF[thing].name in kinds for thing in mention.things if thing in CATEGORY_OF
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _level(share: float) -> Level:
    """The nearest level of a share in [0, 1]; between two, the lower."""
    return 1 if share <= 0.25 else 3 if share <= 0.75 else 5
