"""What a description mentions, in the terms of the demo world's word hierarchy (`demo.words`).

A word stands for the things it can mean: "giraffe" for one object, "large animal" for five, "something" for
all 45; "on a sunny beach" for one place, "in a room" for two. What is left out of account: relations ("next
to"), articles, colours, and words the hierarchy does not hold.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from vitpeel.demo.words import ANYTHING, CATEGORIES, OBJECTS, SCENES

Sort = Literal["object", "place"]
Exactness = Literal["exact", "kind", "any"]
_TOTAL = {"object": len(OBJECTS), "place": len(SCENES)}


@dataclass(frozen=True)
class Mention:
    """A word or phrase. things: what it can mean, of all objects or of all places."""

    sort: Sort
    exactness: Exactness
    things: frozenset[str]

    @property
    def bits(self) -> float:
        """What it tells: log2 of the share of things it rules out of all the objects, or places."""
        return math.log2(_TOTAL[self.sort] / len(self.things))


def _phrases() -> dict[str, Mention]:
    found: dict[str, Mention] = {}
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for category in CATEGORIES:
        # A decoder that is unsure also says a bare "animal", which is every kind of animal.
        for name in {category.name, category.name.split()[-1]}:
            kinds[name] |= set(category.objects)
    places: defaultdict[tuple[str, Exactness], set[str]] = defaultdict(set)
    for scene in SCENES:
        places[scene.region, "kind"].add(scene.name)
        places[scene.anywhere, "any"].add(scene.name)
        places[scene.name, "exact"].add(scene.name)
    found |= {name: Mention("object", "kind", frozenset(things)) for name, things in kinds.items()}
    found |= {text: Mention("place", how, frozenset(things)) for (text, how), things in places.items()}
    found |= {word: Mention("object", "exact", frozenset({word})) for word in OBJECTS}
    found[ANYTHING] = Mention("object", "any", frozenset(OBJECTS))
    return found


PHRASES = _phrases()
# Reversed, so that a phrase comes before one that it begins with.
_PATTERN = re.compile("|".join(rf"\b{re.escape(text)}\b" for text in sorted(PHRASES, reverse=True)))


def any_object(sentences: Iterable[str]) -> bool:
    """Whether one of the sentences names an object of the demo by its exact word."""
    return any(m.sort == "object" and m.exactness == "exact" for text in sentences for m in mentions(text))


@cache
def mentions(caption: str) -> tuple[Mention, ...]:
    """Every mention in a description, in order; a word said twice is two mentions."""
    words = " ".join(re.findall(r"[a-z]+", caption.lower()))
    return tuple(PHRASES[match.group()] for match in _PATTERN.finditer(words))
