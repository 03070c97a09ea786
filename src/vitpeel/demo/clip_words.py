"""The words of the two demo CLIPs: the captioner's, and what else of a drawn picture can be seen.

Colours are the dominant ones of each glyph (measured on its opaque pixels, then named by eye); patterns,
shapes and parts are those that the glyph shows; sights and airs are those that `backgrounds.py` paints.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitpeel.demo.words import CATEGORIES, CATEGORY_OF, OBJECTS, RELATIONS, SCENES


@dataclass(frozen=True)
class Look:
    """What one glyph looks like."""

    colours: tuple[str, ...]  # the most of it first
    forms: tuple[str, ...] = ()  # patterns and shapes, as adjectives
    parts: tuple[str, ...] = ()  # used after "with"


@dataclass(frozen=True)
class View:
    """What one background shows."""

    colours: tuple[str, ...]
    sights: tuple[str, ...]  # noun phrases
    airs: tuple[str, ...]  # season, weather and light, as adjectives
    surfaces: tuple[str, ...]  # textures, as adjectives


COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "black", "white")
FORMS = ("striped", "spotted", "spiky", "furry", "shiny", "round", "long", "square", "curved")
SIZES = ("big", "little")
TILTS = ("tilted", "upright")
SIDES = {
    "left": "on the left",
    "right": "on the right",
    "middle": "in the middle",
    "top": "near the top",
    "bottom": "near the bottom",
}
KINDS: dict[str, tuple[str, ...]] = {  # wider than a category
    "animal": ("large animal", "small animal", "bird", "sea animal"),
    "food": ("fruit",),
}
LIGHTS = ("bright", "dark")
MANNERS = ("a photo of", "a picture of", "an image of", "a drawing of")  # how a caption may begin

_FUR = ("furry",)
LOOKS: dict[str, Look] = {
    "giraffe": Look(("yellow", "orange"), ("spotted",), ("a long neck", "long legs")),
    "elephant": Look(("grey",), (), ("big ears",)),
    "zebra": Look(("black", "white"), ("striped",), ("stripes",)),
    "camel": Look(("orange",), (), ("long legs", "a long neck")),
    "kangaroo": Look(("orange", "brown"), _FUR, ("a tail",)),
    "cat": Look(("yellow", "orange"), _FUR, ("a tail",)),
    "dog": Look(("pink", "brown"), ("spotted", "furry"), ("a tail",)),
    "rabbit": Look(("grey", "white"), _FUR, ("long ears",)),
    "squirrel": Look(("brown",), _FUR, ("a tail",)),
    "hedgehog": Look(("brown",), ("spiky",), ("spikes",)),
    "penguin": Look(("grey", "white"), (), ("a beak",)),
    "owl": Look(("brown",), ("round",), ("a beak", "big eyes")),
    "parrot": Look(("green",), (), ("a beak", "a tail")),
    "flamingo": Look(("pink",), (), ("a beak", "a long neck", "long legs")),
    "duck": Look(("brown", "green"), (), ("a beak",)),
    "fish": Look(("yellow", "black"), ("striped",), ("stripes", "fins")),
    "octopus": Look(("red",), ("curved",), ("long arms",)),
    "whale": Look(("blue",), (), ("a tail", "fins")),
    "turtle": Look(("green",), ("round",), ("a shell",)),
    "crab": Look(("orange", "red"), (), ("claws",)),
    "car": Look(("red",), ("shiny",), ("wheels", "windows")),
    "bus": Look(("blue", "grey"), ("square",), ("wheels", "windows")),
    "bicycle": Look(("blue", "grey"), (), ("wheels",)),
    "tractor": Look(("green", "orange"), (), ("wheels", "windows")),
    "train": Look(("black", "red"), (), ("wheels", "smoke")),
    "apple": Look(("orange", "red"), ("round", "shiny"), ("a leaf",)),
    "banana": Look(("yellow",), ("curved", "long"), ()),
    "pineapple": Look(("green", "yellow"), ("spiky",), ("leaves",)),
    "strawberry": Look(("red", "green"), ("spotted",), ("leaves", "seeds")),
    "watermelon": Look(("pink", "green"), ("curved",), ("seeds",)),
    "cactus": Look(("green",), ("spiky",), ("spikes",)),
    "palm": Look(("green",), (), ("leaves", "a trunk")),
    "tree": Look(("green", "brown"), ("round",), ("leaves", "a trunk")),
    "sunflower": Look(("yellow", "brown"), ("round",), ("leaves",)),
    "mushroom": Look(("orange", "white"), ("spotted", "round"), ("a hat",)),
    "guitar": Look(("red",), ("long", "shiny"), ("strings",)),
    "piano": Look(("black", "white"), ("striped", "square"), ("keys",)),
    "drum": Look(("red", "blue"), ("round",), ("sticks",)),
    "trumpet": Look(("yellow",), ("long", "shiny"), ()),
    "violin": Look(("orange",), ("long", "curved"), ("strings",)),
    "robot": Look(("grey", "red"), ("square",), ("big eyes",)),
    "teddy": Look(("brown",), ("furry",), ("big ears",)),
    "kite": Look(("blue", "orange", "purple"), (), ("a tail",)),
    "balloon": Look(("red",), ("round", "shiny"), ()),
    "snowman": Look(("grey", "white"), ("round",), ("a hat",)),
}

VIEWS: dict[str, View] = {
    "snowy mountain": View(("white", "blue"), ("snow", "a blue sky", "mountains"), ("cold", "winter"), ()),
    "sand dune": View(
        ("yellow", "brown"), ("sand", "hills", "a blue sky"), ("hot", "dry"), ("sandy", "grainy")
    ),
    "beach": View(
        ("blue", "yellow"),
        ("sand", "water", "waves", "the sun", "a blue sky"),
        ("sunny", "hot", "summer"),
        ("sandy", "grainy"),
    ),
    "forest": View(("green", "brown"), ("trees", "grass", "leaves", "wood"), ("shady",), ("leafy",)),
    "city street": View(("grey",), ("buildings", "windows", "a road", "houses"), ("urban",), ("paved",)),
    "kitchen": View(("white", "orange"), ("tiles", "drawers", "a wall"), ("clean",), ("tiled",)),
    "living room": View(
        ("red", "brown"),
        ("a sofa", "a wooden floor", "a wall", "wood"),
        ("warm", "cosy"),
        ("striped", "wooden"),
    ),
    "deep sea": View(("blue",), ("water", "bubbles", "seaweed"), ("wet", "deep"), ("smooth",)),
}

# Words of the captions' own sentences, beside those of the tables above.
_FRAMES = """one two thing things object objects pair animals some single colour colourful scene background
day with and of a an the something place to view photo picture image"""


def kinds_of(word: str) -> tuple[str, ...]:
    """Return an object's names from the exact one to the widest: "owl", "bird", "animal", "something"."""
    category = CATEGORY_OF[word].name
    return (word, category, *(kind for kind, members in KINDS.items() if category in members), "something")


def vocabulary() -> tuple[str, ...]:
    """Return every word the demo CLIPs' text tower knows, sorted."""
    phrases = [_FRAMES, *COLOURS, *FORMS, *SIZES, *TILTS, *SIDES.values(), *KINDS, *LIGHTS, *MANNERS]
    phrases += [*OBJECTS, *RELATIONS, *(category.name for category in CATEGORIES)]
    for look in LOOKS.values():
        phrases += [*look.colours, *look.forms, *look.parts]
    for scene in SCENES:
        view = VIEWS[scene.name]
        phrases += [scene.name, scene.place, scene.region, scene.anywhere]
        phrases += [*view.colours, *view.sights, *view.airs, *view.surfaces]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))
