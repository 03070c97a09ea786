"""What can be said about a drawn picture, from everything in it to a single property, and what is true of it.

A caption carries the facts it claims, a picture all facts that hold in it; a caption is true of a picture
whose facts contain the caption's.  So a batch knows which of its texts are wrong for which of its pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from vitpeel.demo.captions import OBJECT_LEVELS, PLACE_LEVELS
from vitpeel.demo.captions import place as place_phrase
from vitpeel.demo.clip_words import (
    COLOURS,
    FORMS,
    KINDS,
    LOOKS,
    MANNERS,
    SIDES,
    SIZES,
    TILTS,
    VIEWS,
    kinds_of,
)
from vitpeel.demo.scenes import Layout, Placement
from vitpeel.demo.words import OBJECTS, unusual_scenes, with_article

BIG, LITTLE = 0.55, 0.43  # heights of a glyph, as shares of the picture's side
TILTED, UPRIGHT = 8.0, 3.0  # degrees off the vertical
LEFT, RIGHT, TOP, BOTTOM = 0.43, 0.57, 0.43, 0.59  # of a glyph's centre
BRIGHT, DARK = 0.67, 0.45  # mean of a picture's values, 0 to 1
DETAILED = 0.4  # share of an exact caption's objects that get an adjective, a part or a side
MANNERED = 0.3  # share of captions that begin with "a photo of" or the like
INVERTED = 0.08


@dataclass(frozen=True)
class Said:
    """A caption and what it claims."""

    text: str
    facts: frozenset[str]


@dataclass(frozen=True)
class Shown:
    """A picture's contents with its mean value, 0 (black) to 1 (white)."""

    layout: Layout
    light: float


def traits(placement: Placement, monochrome: bool) -> dict[str, str]:
    """Return what holds of one object: name of the fact -> words, with a star where the noun stands."""
    look, (x, y) = LOOKS[placement.word], placement.centre
    before = [*look.forms, *(() if monochrome else look.colours)]
    before += ["big"] * (placement.height > BIG) + ["little"] * (placement.height < LITTLE)
    before += ["tilted"] * (abs(placement.angle) > TILTED) + ["upright"] * (abs(placement.angle) < UPRIGHT)
    found = {word: f"{word} *" for word in before} | {part: f"* with {part}" for part in look.parts}
    sides = {"left": x < LEFT, "right": x > RIGHT, "top": y < TOP, "bottom": y > BOTTOM}
    sides["middle"] = not any(sides.values())
    return found | {side: f"* {SIDES[side]}" for side, there in sides.items() if there}


def _objects(shown: Shown) -> list[tuple[Placement, dict[str, str]]]:
    return [(place, traits(place, shown.layout.monochrome)) for place in shown.layout.placements]


def _sights(shown: Shown) -> tuple[str, ...]:
    sights = VIEWS[shown.layout.scene].sights
    return tuple(sight for sight in sights if not (shown.layout.monochrome and sight == "a blue sky"))


def _lights(shown: Shown) -> list[str]:
    return ["bright"] * bool(shown.light > BRIGHT) + ["dark"] * bool(shown.light < DARK)


def facts(shown: Shown) -> frozenset[str]:
    """Return everything that holds in a picture and that a caption can claim."""
    layout, objects, found = shown.layout, _objects(shown), set[str]()
    names = [kinds_of(place.word) for place, _ in objects]
    for kinds, (_, having) in zip(names, objects, strict=True):
        found.update(kinds)
        found.update(f"{kind}+{trait}" for kind in kinds for trait in having)
    if len(objects) == 2:
        found.update(f"{a} {layout.relation} {b}" for a in names[0] for b in names[1])
        found.update(f"two {kind}" for kind in set(names[0]) & set(names[1]))
    found.add(f"{len(objects)} objects")
    view = VIEWS[layout.scene]
    found.update(place_phrase(layout.scene, level) for level in range(3))
    found.update(f"background {colour}" for colour in (() if layout.monochrome else view.colours))
    found.update(_sights(shown))
    found.update(f"air {air}" for air in view.airs)
    found.update(f"surface {surface}" for surface in view.surfaces)
    found.update(f"light {light}" for light in _lights(shown))
    found.add("black and white" if layout.monochrome else "colour")
    return frozenset(found)


@cache
def unshown(scene: str) -> frozenset[str]:
    """Return what captions can claim of objects which training never shows in a scene.

    No picture of the scene is taught that such a caption is wrong: else the scene alone would rule them out.
    """
    traits_of = (*COLOURS, *FORMS, *SIZES, *TILTS, *SIDES)
    words = [word for word in OBJECTS if scene in unusual_scenes(word)]
    return frozenset(words) | {
        f"{word}+{trait}" for word in words for trait in (*traits_of, *LOOKS[word].parts)
    }


def _manner(shown: Shown, rng: np.random.Generator) -> Said:
    """Return how a caption begins: nothing, "a photo of ", "a black and white photo of "."""
    if shown.layout.monochrome and rng.random() < 0.8:
        return Said("a black and white photo of ", frozenset({"black and white"}))
    draw = rng.random()
    if draw < MANNERED:
        return Said(f"{_one(MANNERS, rng)} ", frozenset())
    if draw < MANNERED + 0.05 and not shown.layout.monochrome:
        return Said("a colour photo of ", frozenset({"colour"}))
    return Said("", frozenset())


def _one(options: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def named(noun: str) -> str:
    """Return the noun with its article: "an owl", "some spotted food"."""
    return f"some {noun}" if noun.split()[-1] == "food" else with_article(noun)


def _described(name: str, trait: str, words: str) -> str:
    """Return "something red", "a red fruit", "something with wheels" or "an owl near the top"."""
    if name == "something" and words.endswith(" *"):
        return f"something {trait}"
    before, after = words.split("*")
    return named(f"{before}{name}") + after if name != "something" else f"something{after}"


def exact(shown: Shown, rng: np.random.Generator) -> Said:
    """Draw a caption of the whole picture; every word is at a level of its own, as the captioner's are."""
    layout, nouns, names, claims = shown.layout, list[str](), list[str](), set[str]()
    for place, having in _objects(shown):
        kinds = kinds_of(place.word)
        name = (kinds[0], kinds[1], "something")[int(rng.choice(3, p=OBJECT_LEVELS))]
        names.append(name)
        claims.add(name)
        nouns.append(with_article(name))
        if rng.random() < DETAILED:
            trait = _one(list(having), rng)
            nouns[-1] = _described(name, trait, having[trait])
            claims.add(f"{name}+{trait}")
    if len(names) == 2:
        claims.add(f"{names[0]} {layout.relation} {names[1]}")
    subject, manner = f" {layout.relation} ".join(nouns), _manner(shown, rng)
    where = place_phrase(layout.scene, int(rng.choice(3, p=PLACE_LEVELS)))
    if rng.random() < INVERTED:
        where = place_phrase(layout.scene, 0)
        text = f"{where.split(' ', 1)[1]} with {subject}"
    else:
        text = f"{subject} {where}"
    return Said(manner.text + text, manner.facts | claims | {where})


def _property(shown: Shown, rng: np.random.Generator) -> Said:
    place, having = _objects(shown)[int(rng.integers(len(shown.layout.placements)))]
    kinds, trait = kinds_of(place.word), _one(list(having), rng)
    name = "something" if rng.random() < 0.5 else _one(kinds, rng)
    return Said(_described(name, trait, having[trait]), frozenset({f"{name}+{trait}"}))


def _kind(shown: Shown, rng: np.random.Generator) -> Said:
    kinds = kinds_of(_one(shown.layout.objects, rng))[:-1]
    name = kinds[0] if rng.random() < 0.5 else _one(kinds, rng)
    return Said(named(name), frozenset({name}))


def _count(shown: Shown, rng: np.random.Generator) -> Said:
    names = [kinds_of(word) for word in shown.layout.objects]
    shared = [kind for kind in names[0] if kind in KINDS and kind in names[-1]]
    if len(names) == 1:
        return Said(_one(("one object", "a single object", "one thing"), rng), frozenset({"1 objects"}))
    if shared and shared[0] == "animal" and rng.random() < 0.5:
        return Said(_one(("two animals", "a pair of animals"), rng), frozenset({"two animal"}))
    return Said(_one(("two objects", "two things", "a pair of objects"), rng), frozenset({"2 objects"}))


def _place(shown: Shown, rng: np.random.Generator) -> Said:
    where = place_phrase(shown.layout.scene, int(rng.integers(3)))
    text = where if " " not in where else where.split(" ", 1)[1]
    return Said(f"something {where}" if rng.random() < 0.5 else text, frozenset({where}))


def _view(shown: Shown, rng: np.random.Generator) -> Said:
    view = VIEWS[shown.layout.scene]
    options = [(sight, sight) for sight in _sights(shown)]
    options += [(f"{_one(('a scene with', 'a view of'), rng)} {sight}", sight) for sight in _sights(shown)]
    options += [
        (f"{with_article(air)} {_one(('place', 'scene', 'day'), rng)}", f"air {air}") for air in view.airs
    ]
    options += [(f"{with_article(surface)} background", f"surface {surface}") for surface in view.surfaces]
    if not shown.layout.monochrome:
        options += [(f"{with_article(colour)} background", f"background {colour}") for colour in view.colours]
    text, fact = options[int(rng.integers(len(options)))]
    return Said(text, frozenset({fact}))


def _photo(shown: Shown, rng: np.random.Generator) -> Said:
    lights = _lights(shown)
    thing = _one(("photo", "picture", "scene", "image"), rng)
    if lights and rng.random() < 0.6:
        return Said(f"a {lights[0]} {thing}", frozenset({f"light {lights[0]}"}))
    if shown.layout.monochrome:
        return Said(f"a black and white {thing}", frozenset({"black and white"}))
    return Said(f"a {_one(('colour', 'colourful'), rng)} {thing}", frozenset({"colour"}))


_FAMILIES = ((_property, 0.36), (_kind, 0.22), (_view, 0.18), (_place, 0.08), (_count, 0.08), (_photo, 0.08))


def single(shown: Shown, rng: np.random.Generator) -> Said:
    """Draw a caption of one property: "something striped", "an animal", "two things", "a blue background"."""
    family = _FAMILIES[int(rng.choice(len(_FAMILIES), p=[share for _, share in _FAMILIES]))][0]
    said = family(shown, rng)
    if family in (_property, _kind, _count) and rng.random() < MANNERED:
        return Said(f"{_one(MANNERS, rng)} {said.text}", said.facts)
    return said


def name_prompts(rng: np.random.Generator | None = None) -> tuple[Said, ...]:
    """Return one caption an object word, "a photo of an owl"; with `rng` each begins in its own manner."""
    return tuple(
        Said(f"{_one(MANNERS, rng) if rng else MANNERS[0]} {with_article(word)}", frozenset({word}))
        for word in OBJECTS
    )


def truth(said: list[Said], pictures: list[frozenset[str]]) -> np.ndarray:
    """Return which caption is true of which picture: [captions, pictures] bool."""
    claimed = sorted({fact for one in said for fact in one.facts})
    number = {fact: k for k, fact in enumerate(claimed)}
    claims = np.zeros((len(said), len(claimed)), dtype=np.float32)
    absent = np.ones((len(pictures), len(claimed)), dtype=np.float32)
    for row, one in zip(claims, said, strict=True):
        row[[number[fact] for fact in one.facts]] = 1
    for row, held in zip(absent, pictures, strict=True):
        row[[number[fact] for fact in held if fact in number]] = 0
    return np.asarray(claims @ absent.T == 0)
