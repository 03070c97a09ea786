"""The offline labeller: what a text is about, and what a head's texts have in common."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from vitpeel.clip import chance, lexicon
from vitpeel.clip.lexicon import NONE, folded
from vitpeel.demo.descriptions import descriptions
from vitpeel.errors import InputError, VitpeelError

SMALL = lexicon.parse(
    """
none: a view of
colors: red, orange, black
fruit: [orange, apple]
food: orange, apple, soup
styles: black and white
""",
    "small.yaml",
)


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("a red car", {"colors"}),
        ("Red APPLES!", {"colors", "fruit", "food"}),
        ("an orange", {"colors", "fruit", "food"}),
        ("a black-and-white photo", {"styles"}),  # the phrase takes its words along
        ("a black photo", {"colors"}),
        ("a view of apples", {"fruit", "food"}),
        ("reddish", set()),
        ("", set()),
    ],
)
def test_the_properties_of_a_text(text: str, properties: set[str]) -> None:
    assert SMALL.of(text) == properties


def test_phrases_that_show_nothing_take_their_words_along() -> None:
    words = lexicon.parse("none: a view of\nviews: view", "f")
    assert words.of("a view of the sea") == frozenset() and words.of("a sea view") == {"views"}


def test_words_are_folded() -> None:
    assert folded("Cherries, boxes and glasses; houses, buses, grass, T-shirts") == (
        *("cherry", "box", "and", "glass", "house", "buse", "grass", "t", "shirt"),
    )
    assert folded("châteaux d'eau") == ("châteaux", "d", "eau")


EVEN = dict.fromkeys(SMALL.properties, 0.2)


def test_the_label_is_the_property_of_most_texts_where_all_are_as_frequent() -> None:
    found = SMALL.label(["a red car", "an apple", "soup", "an apple", "nothing"], EVEN)
    assert found.label == "food"
    assert found.matches == (False, True, True, True, False)


def test_a_rare_property_needs_fewer_texts_than_a_frequent_one() -> None:
    texts = ["red", "red", "red", "apple", "apple", "soup", "?", "?", "?", "?"]
    assert SMALL.label(texts, {**EVEN, "fruit": 0.01}).label == "fruit"
    assert SMALL.label(texts, {**EVEN, "fruit": 0.15}).label == "colors"
    assert SMALL.label(texts, {**EVEN, "colors": 0.31}).label == "food"  # 3 of 10 are less than usual
    assert SMALL.label(texts, dict.fromkeys(SMALL.properties, 0.5)).label == NONE


def test_of_equals_the_earlier_texts_count_then_the_order_of_the_file() -> None:
    assert SMALL.label(["soup", "red", "soup", "black"], EVEN).label == "food"
    assert SMALL.label(["red", "soup", "black", "soup"], EVEN).label == "colors"
    assert SMALL.label(["apple", "apple"], EVEN).label == "fruit"  # also food, later in the file


def test_one_text_makes_no_label() -> None:
    found = SMALL.label(["a red car", "a tree", "the sea"], EVEN)
    assert found.label == NONE and found.matches == (False, False, False)
    assert SMALL.label([], EVEN).label == NONE


def test_rates_and_tails_against_scipy() -> None:
    rates = SMALL.rates(["red apple", "red", "soup", "a tree"])
    assert rates == {"colors": 3 / 5, "fruit": 2 / 5, "food": 3 / 5, "styles": 1 / 5}
    found = lexicon.tails(rates, 8)
    for place, rate in enumerate(rates.values()):
        for n in range(9):
            if n < lexicon.LEAST or n <= 8 * rate:
                assert np.isinf(found[n, place])
            else:
                assert found[n, place] == pytest.approx(binom.sf(n - 1, 8, rate))


def test_matches_of_a_given_label() -> None:
    assert SMALL.matches("colors", ["red", "soup"]) == (True, False)
    assert SMALL.matches("birds", ["an owl"]) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("colors: [red", "not YAML"),
        ("", "holds no properties"),
        ("Colors: red", "'Colors' is no name of a property"),
        ("colors:", "colors: has no words"),
        ("colors: red,, blue", "colors: '' holds no word"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"mine.yaml: {fault}"):
        lexicon.read(path)
    with pytest.raises(InputError, match=r"no\.yaml: the properties cannot be read"):
        lexicon.read(tmp_path / "no.yaml")


def test_the_shipped_lexicon_knows_the_demo() -> None:
    words = lexicon.shipped()
    having = {text: words.of(text) for text in descriptions()}
    known = sum(map(bool, having.values()))
    assert known / len(having) > 0.95
    for text, name in {
        "something red": "colors",
        "a photo of a giraffe": "animals",
        "a photo of a tractor": "vehicles",
        "a fruit": "fruit",
        "a photo of a cactus": "plants",
        "an instrument": "instruments",
        "a photo of a teddy": "toys",
        "a black and white photo": "photography",
        "something striped": "patterns",
        "something furry": "textures",
        "something big": "sizes",
        "two things": "numbers",
        "something on the left": "positions",
        "a sunny day": "weather",
        "something indoors": "settings",
        "a dark scene": "light",
        "something with wheels": "vehicles",
    }.items():
        assert name in having[text], text
    assert having["a view of snow"] == {"weather"}
    assert "colors" not in having["a black and white photo"]


def test_heads_of_the_demo_s_families_get_their_labels() -> None:
    words = lexicon.shipped()
    families = {
        "colors": ["something red", "a blue background", "a green cactus", "something indoors", "a red car"],
        "animals": ["a photo of an owl", "a bird", "two animals", "a furry small animal", "snow"],
        "settings": ["something indoors", "a city street", "a kitchen", "something in the city", "a beach"],
        "nature": ["a snowy mountain", "a view of waves", "grass", "hills", "a living room"],
    }
    rates = words.rates(descriptions())
    for name, texts in families.items():
        assert words.label(texts, rates).label == name


def test_by_lot_is_what_labelling_random_heads_gives() -> None:
    words, listed, heads, texts = lexicon.shipped(), list(descriptions()), 12, 5
    rates, rng = words.rates(listed), random.Random(3)
    shares = {"shared": 0.0, "unique": 0.0, "associated": 0.0}
    draws = 60
    for _ in range(draws):
        found = [words.label(rng.sample(listed, texts), rates) for _ in range(heads)]
        times = Counter(one.label for one in found if one.label != NONE)
        shares["shared"] += sum(n for n in times.values() if n > 1) / heads / draws
        shares["unique"] += sum(n == 1 for n in times.values()) / heads / draws
        shares["associated"] += sum(sum(one.matches) >= 3 for one in found) / heads / draws
    drawn = chance.chance(words, listed, heads, texts, 3, draws=400)
    for measure, share in shares.items():
        own = getattr(drawn, measure)
        assert own.shape == (400,) and abs(own.mean() - share) < 4 * own.std() / draws**0.5 + 0.005, measure


def test_by_lot_needs_more_descriptions_than_texts() -> None:
    with pytest.raises(VitpeelError, match=r"clip\.labels\.texts: 5 texts a head, but there are 2"):
        chance.chance(SMALL, ["red", "blue"], 3, 5, 3)
