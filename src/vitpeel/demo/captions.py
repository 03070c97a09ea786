"""Captions of a drawn scene, from the most exact to the vaguest."""

from __future__ import annotations

import numpy as np

from vitpeel.demo.scenes import Layout
from vitpeel.demo.words import ANYTHING, CATEGORY_OF, SCENE, with_article

# How exactly people are assumed to name things: (exact, kind, anything). A decoder that can not tell one
# animal from another then does best to say "a large animal", and one that sees nothing "something".
OBJECT_LEVELS = (0.74, 0.18, 0.08)
PLACE_LEVELS = (0.74, 0.16, 0.10)
INVERTED = 0.08  # the share of captions that begin with the place


def noun(word: str, level: int) -> str:
    """Return "a giraffe" (level 0), "a large animal" (1) or "something" (2)."""
    return with_article((word, CATEGORY_OF[word].name, ANYTHING)[level])


def place(scene: str, level: int) -> str:
    """Return "on a snowy mountain" (level 0), "in the snow" (1) or "outdoors" (2)."""
    found = SCENE[scene]
    return (found.place, found.region, found.anywhere)[level]


def sentence(layout: Layout, object_levels: tuple[int, ...], place_level: int) -> str:
    """Return one caption in the usual word order; `object_levels` has one level an object."""
    nouns = [noun(word, level) for word, level in zip(layout.objects, object_levels, strict=True)]
    subject = f" {layout.relation} ".join(nouns)
    photo = "a black and white photo of " if layout.monochrome else ""
    return f"{photo}{subject} {place(layout.scene, place_level)}"


def inverted(layout: Layout) -> str:
    """Return the exact caption with the place first: "a snowy mountain with a giraffe"."""
    subject = f" {layout.relation} ".join(noun(word, 0) for word in layout.objects)
    where = place(layout.scene, 0).split(" ", 1)[1]
    photo = "a black and white photo of " if layout.monochrome else ""
    return f"{photo}{where} with {subject}"


def training_caption(layout: Layout, rng: np.random.Generator) -> str:
    """Draw one caption, each word at a level of its own."""
    if rng.random() < INVERTED:
        return inverted(layout)
    levels = tuple(int(level) for level in rng.choice(3, size=len(layout.objects), p=OBJECT_LEVELS))
    return sentence(layout, levels, int(rng.choice(3, p=PLACE_LEVELS)))


def references(layout: Layout) -> tuple[str, str, str, str, str]:
    """Return the five gold captions of a picture, from the most exact to the vaguest."""
    n = len(layout.objects)
    return (
        sentence(layout, (0,) * n, 0),
        inverted(layout),
        sentence(layout, (0,) * n, 1),
        sentence(layout, (0,) + (1,) * (n - 1), 0) if n > 1 else sentence(layout, (0,), 2),
        sentence(layout, (1,) * n, 1),
    )
