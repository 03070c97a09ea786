"""The words of the demo world: objects, scenes and the hierarchy from a giraffe up to something.

A picture can be described at several levels of detail, as people do: "a giraffe on a snowy mountain", "a
large animal in the snow", "something outdoors".  The hierarchy below is all that the captions, the
references and the count of right objects know.
"""

from __future__ import annotations

from dataclasses import dataclass

PROMPT = "a short image description"
ANYTHING = "something"


@dataclass(frozen=True)
class Category:
    """A kind of object: its name in a caption, the objects in it and the scenes where they are unusual."""

    name: str
    objects: dict[str, str]  # word -> glyph, as a code point of the emoji font
    odd_scenes: tuple[str, str, str, str]


@dataclass(frozen=True)
class Scene:
    """A place, in words of falling detail."""

    name: str
    place: str  # the exact phrase, used after an object
    region: str  # a vaguer phrase
    anywhere: str  # the vaguest


CATEGORIES: tuple[Category, ...] = (
    Category(
        "large animal",
        {"giraffe": "1F992", "elephant": "1F418", "zebra": "1F993", "camel": "1F42A", "kangaroo": "1F998"},
        ("kitchen", "deep sea", "living room", "snowy mountain"),
    ),
    Category(
        "small animal",
        {"cat": "1F408", "dog": "1F415", "rabbit": "1F407", "squirrel": "1F43F", "hedgehog": "1F994"},
        ("deep sea", "sand dune", "city street", "snowy mountain"),
    ),
    Category(
        "bird",
        {"penguin": "1F427", "owl": "1F989", "parrot": "1F99C", "flamingo": "1F9A9", "duck": "1F986"},
        ("kitchen", "sand dune", "living room", "city street"),
    ),
    Category(
        "sea animal",
        {"fish": "1F420", "octopus": "1F419", "whale": "1F433", "turtle": "1F422", "crab": "1F980"},
        ("snowy mountain", "living room", "forest", "sand dune"),
    ),
    Category(
        "vehicle",
        {"car": "1F697", "bus": "1F68C", "bicycle": "1F6B2", "tractor": "1F69C", "train": "1F682"},
        ("deep sea", "kitchen", "beach", "living room"),
    ),
    Category(
        "fruit",
        {
            "apple": "1F34E",
            "banana": "1F34C",
            "pineapple": "1F34D",
            "strawberry": "1F353",
            "watermelon": "1F349",
        },
        ("city street", "snowy mountain", "deep sea", "forest"),
    ),
    Category(
        "plant",
        {"cactus": "1F335", "palm": "1F334", "tree": "1F333", "sunflower": "1F33B", "mushroom": "1F344"},
        ("deep sea", "city street", "beach", "kitchen"),
    ),
    Category(
        "instrument",
        {"guitar": "1F3B8", "piano": "1F3B9", "drum": "1F941", "trumpet": "1F3BA", "violin": "1F3BB"},
        ("forest", "beach", "sand dune", "snowy mountain"),
    ),
    Category(
        "toy",
        {"robot": "1F916", "teddy": "1F9F8", "kite": "1FA81", "balloon": "1F388", "snowman": "26C4"},
        ("forest", "beach", "deep sea", "kitchen"),
    ),
)

SCENES: tuple[Scene, ...] = (
    Scene("snowy mountain", "on a snowy mountain", "in the snow", "outdoors"),
    Scene("sand dune", "on a sand dune", "in the desert", "outdoors"),
    Scene("beach", "on a sunny beach", "by the water", "outdoors"),
    Scene("forest", "in a green forest", "in the woods", "outdoors"),
    Scene("city street", "on a city street", "in the city", "outdoors"),
    Scene("kitchen", "in a tiled kitchen", "in a room", "indoors"),
    Scene("living room", "in a cosy living room", "in a room", "indoors"),
    Scene("deep sea", "in the deep sea", "under the water", "underwater"),
)

RELATIONS = ("next to", "above")

OBJECTS: tuple[str, ...] = tuple(word for category in CATEGORIES for word in category.objects)
GLYPHS: dict[str, str] = {word: glyph for category in CATEGORIES for word, glyph in category.objects.items()}
CATEGORY_OF: dict[str, Category] = {word: category for category in CATEGORIES for word in category.objects}
SCENE: dict[str, Scene] = {scene.name: scene for scene in SCENES}


def unusual_scenes(word: str) -> frozenset[str]:
    """Return the two scenes in which training never shows the object `word`."""
    category = CATEGORY_OF[word]
    k = list(category.objects).index(word)
    return frozenset(category.odd_scenes[(k + step) % 4] for step in (0, 1))


def with_article(noun: str) -> str:
    """Return the noun with its indefinite article, as in "an owl"."""
    if noun == ANYTHING:
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def objects_in(caption: str) -> frozenset[str]:
    """Return the specific objects which a caption names."""
    return frozenset(caption.split()) & frozenset(OBJECTS)


def vocabulary() -> tuple[str, ...]:
    """Return every word that a prompt, a caption or a reference can hold, sorted."""
    phrases = [PROMPT, ANYTHING, "a an and with there is the black white photo of", *OBJECTS, *RELATIONS]
    phrases += [category.name for category in CATEGORIES]
    phrases += [f"{scene.name} {scene.place} {scene.region} {scene.anywhere}" for scene in SCENES]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))
