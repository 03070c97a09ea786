"""The texts that the demo CLIPs' heads are described with: resources/demo/descriptions.txt.

They take the place of the general descriptions that the authors of TextSpan collected for real models, and
like those most name one property of a picture. `python -m vitpeel.demo.descriptions` writes the file; a test
holds both in step, and every word in the text tower's vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from vitpeel.demo.clip_captions import named
from vitpeel.demo.clip_words import COLOURS, FORMS, KINDS, LIGHTS, LOOKS, MANNERS, SIDES, SIZES, TILTS, VIEWS
from vitpeel.demo.words import ANYTHING, CATEGORIES, RELATIONS, SCENES, with_article

FILE = "resources/demo/descriptions.txt"
_OF_A_DAY = ("cold", "hot", "dry", "wet", "warm", "sunny", "summer", "winter")  # what a day can be


def descriptions() -> tuple[str, ...]:
    """Every description once, by what they are about."""
    families = (_objects, _kinds, _colours, _forms, _parts, _sizes, _sides, _numbers, _relations, _places)
    return tuple(dict.fromkeys(text for family in (*families, _views, _styles) for text in family()))


def write(path: Path) -> None:
    """Write the file, a description a line."""
    path.write_text("".join(f"{text}\n" for text in descriptions()), encoding="utf-8")


def _objects() -> Iterator[str]:
    """ "a photo of a giraffe"."""
    for category in CATEGORIES:
        yield from (f"{MANNERS[0]} {with_article(word)}" for word in category.objects)


def _kinds() -> Iterator[str]:
    """ "a sea animal", and of the widest kinds in all manners: "a drawing of an animal"."""
    yield from map(named, [*KINDS, *(category.name for category in CATEGORIES)])
    yield from (f"{manner} {named(name)}" for manner in MANNERS for name in KINDS)


def _colours() -> Iterator[str]:
    """ "something red", "a red background", and of every object in its main colour: "a red car"."""
    for colour in COLOURS:
        yield f"{ANYTHING} {colour}"
        yield f"{with_article(colour)} background"
    yield from (with_article(f"{look.colours[0]} {word}") for word, look in LOOKS.items())


def _forms() -> Iterator[str]:
    """ "something striped", and what of it a category has: "a striped animal"."""
    for form in FORMS:
        yield f"{ANYTHING} {form}"
        for category in CATEGORIES:
            if any(form in LOOKS[word].forms for word in category.objects):
                yield with_article(f"{form} {category.name}")


def _parts() -> Iterator[str]:
    """ "something with wheels"."""
    for look in LOOKS.values():
        yield from (f"{ANYTHING} with {part}" for part in look.parts)


def _sizes() -> Iterator[str]:
    """ "something big", "a tilted vehicle"."""
    names = ("animal", "vehicle", "fruit", "plant", "toy")
    for trait in (*SIZES, *TILTS):
        yield f"{ANYTHING} {trait}"
        yield from (with_article(f"{trait} {name}") for name in names)


def _sides() -> Iterator[str]:
    """ "something on the left"."""
    for side in SIDES.values():
        yield from (f"{noun} {side}" for noun in (ANYTHING, "an object", "an animal", "a vehicle"))


def _numbers() -> Iterator[str]:
    """ "two things"."""
    yield from ("one object", "one thing", "a single object", "a single animal", "a single thing")
    yield from ("two objects", "two things", "two animals", "a pair of objects", "a pair of animals")
    yield from (f"{MANNERS[1]} {count}" for count in ("one object", "two objects", "two animals"))


def _relations() -> Iterator[str]:
    """ "a bird above a fruit"."""
    for relation in RELATIONS:
        yield f"{ANYTHING} {relation} {ANYTHING}"
        yield f"an object {relation} an object"
        pairs = combinations(("animal", "vehicle", "plant", "toy"), 2)
        yield from (f"{with_article(one)} {relation} {with_article(other)}" for one, other in pairs)


def _places() -> Iterator[str]:
    """ "a snowy mountain", "something in the snow", "outdoors"."""
    for scene in SCENES:
        yield with_article(scene.name)
        for phrase in (scene.place, scene.region, scene.anywhere):
            yield f"{ANYTHING} {phrase}"
        yield scene.region
        yield scene.anywhere


def _views() -> Iterator[str]:
    """ "a view of mountains", "a sunny day", "a tiled background"."""
    for view in VIEWS.values():
        for sight in view.sights:
            yield sight
            yield f"a view of {sight}"
        for air in view.airs:
            nouns = ("place", "scene", "day") if air in _OF_A_DAY else ("place", "scene")
            yield from (f"{with_article(air)} {noun}" for noun in nouns)
        yield from (f"{with_article(surface)} background" for surface in view.surfaces)


def _styles() -> Iterator[str]:
    """ "a black and white photo", "a dark scene"."""
    looks = ("black and white", "colour", "colourful", *LIGHTS)
    yield from (f"a {look} {noun}" for look in looks for noun in ("photo", "picture", "image", "scene"))
    yield from (f"{manner} {ANYTHING}" for manner in MANNERS)


if __name__ == "__main__":
    write(Path(__file__).parents[3] / FILE)
