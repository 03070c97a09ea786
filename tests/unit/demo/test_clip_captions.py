"""What is said about pictures to the demo CLIPs: only what is drawn, in words their text tower knows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitpeel.demo import clip_captions, clip_pictures
from vitpeel.demo.clip_captions import Said, Shown, exact, facts, name_prompts, single, truth, unshown
from vitpeel.demo.clip_words import LOOKS, VIEWS, vocabulary
from vitpeel.demo.scenes import Layout, Placement
from vitpeel.demo.words import OBJECTS, SCENES, unusual_scenes

DEMO = Path(__file__).parents[3] / "resources" / "demo"
# Where a colour's pixels lie: hue in degrees from and to, saturation and value from and to, 0 to 255.
HUES = {
    "red": (340, 380, 100, 255, 90, 255),
    "orange": (5, 45, 100, 255, 150, 255),
    "yellow": (30, 70, 90, 255, 150, 255),
    "green": (65, 170, 60, 255, 50, 255),
    "blue": (170, 255, 30, 255, 80, 255),
    "purple": (240, 300, 40, 255, 80, 255),
    "pink": (320, 385, 25, 190, 180, 255),
    "brown": (330, 395, 30, 200, 60, 215),
    "grey": (0, 360, 0, 70, 60, 235),
    "black": (0, 360, 0, 255, 0, 80),
    "white": (0, 360, 0, 45, 215, 255),
}


def placed(word: str, x: float = 0.5, y: float = 0.5, height: float = 0.5, angle: float = 5) -> Placement:
    return Placement(word, (x, y), height, angle, False, 1.0)


def seen(k: int) -> Shown:
    return Shown(clip_pictures.layout(2024, k), light=(k % 10) / 10)


def share(colour: str, word: str) -> float:
    """The share of a glyph's opaque pixels that have the colour."""
    with Image.open(DEMO / "glyphs" / f"{word}.png") as glyph:
        rgba = glyph.convert("RGBA")
    solid = np.asarray(rgba)[..., 3] > 200
    hsv = np.asarray(rgba.convert("RGB").convert("HSV"), dtype=float)[solid]
    low, high, s0, s1, v0, v1 = HUES[colour]
    hue = hsv[:, 0] * 360 / 255
    turned = (hue >= low) & (hue <= high) | (hue + 360 >= low) & (hue + 360 <= high)
    return float(
        (turned & (hsv[:, 1] >= s0) & (hsv[:, 1] <= s1) & (hsv[:, 2] >= v0) & (hsv[:, 2] <= v1)).mean()
    )


def test_every_object_and_every_scene_is_described() -> None:
    assert set(LOOKS) == set(OBJECTS)
    assert set(VIEWS) == {scene.name for scene in SCENES}


@pytest.mark.parametrize("word", OBJECTS)
def test_the_colours_of_a_glyph_are_really_there(word: str) -> None:
    assert all(share(colour, word) > 0.08 for colour in LOOKS[word].colours)
    assert sum(share(colour, word) for colour in LOOKS[word].colours) > 0.25


def test_captions_claim_what_holds_and_stay_in_the_vocabulary() -> None:
    rng, known, used = np.random.default_rng(0), set(vocabulary()), set()
    for shown in map(seen, range(2500)):
        for caption in (exact(shown, rng), single(shown, rng)):
            assert caption.facts <= facts(shown), caption
            assert caption.facts
            used |= set(caption.text.split())
    assert used == known  # neither a word without training nor one that the tower lacks


def test_properties_follow_the_drawing() -> None:
    shown = Shown(Layout("beach", (placed("car", x=0.2, height=0.6, angle=12),), "", False, 1), light=0.9)
    held = facts(shown)
    assert {"car+red", "car+left", "vehicle+big", "something+tilted", "light bright", "the sun"} <= held
    assert not {"car+right", "car+little", "car+upright", "light dark", "snow"} & held


def test_black_and_white_pictures_have_no_colours() -> None:
    shown = Shown(Layout("beach", (placed("apple"), placed("cat", x=0.8)), "next to", True, 1), light=0.5)
    held = facts(shown)
    assert "black and white" in held and "apple next to cat" in held and "2 objects" in held
    assert not any(fact.endswith(("red", "orange", "yellow", "blue")) for fact in held)


def test_truth_is_the_subset_relation() -> None:
    rng = np.random.default_rng(1)
    pictures = [facts(seen(k)) for k in range(40)]
    said = [exact(seen(k), rng) for k in range(40)] + [single(seen(k), rng) for k in range(40)]
    found = truth(said, pictures)
    expected = np.asarray([[one.facts <= held for held in pictures] for one in said])
    np.testing.assert_array_equal(found, expected)
    assert 0 < expected.mean() < 0.5


def test_no_scene_rules_out_the_objects_that_training_never_shows_there() -> None:
    assert {word for word in unshown("deep sea") if "+" not in word} == {
        word for word in OBJECTS if "deep sea" in unusual_scenes(word)
    }
    fish = facts(Shown(Layout("deep sea", (placed("fish"),), "", False, 1), light=0.4))
    wrong = ~truth(list(name_prompts()), [fish | unshown("deep sea")])[:, 0]
    assert not wrong[OBJECTS.index("car")] and not wrong[OBJECTS.index("fish")]
    assert wrong[OBJECTS.index("octopus")]


def test_a_claim_about_the_place_stays_wrong() -> None:
    fish = facts(Shown(Layout("deep sea", (placed("fish"),), "", False, 1), light=0.4))
    elsewhere = Said("a car on a city street", frozenset({"car", "on a city street"}))
    assert not truth([elsewhere], [fish | unshown("deep sea")])[0, 0]


def test_a_vague_noun_has_its_article() -> None:
    assert clip_captions.named("spotted food") == "some spotted food"
    assert clip_captions.named("owl") == "an owl"
