"""Which heads a property names."""

from __future__ import annotations

import pandas as pd
import pytest

from vitpeel.clip import head_places
from vitpeel.errors import InputError
from vitpeel.tables import HEAD_LABELS


def labels() -> pd.DataFrame:
    rows = [
        ("a", 11, 2, "Colors", "openai", 3, 5),
        ("a", 10, 1, "color", "openai", 3, 5),
        ("b", 10, 1, "colors", "openai", 3, 5),
        ("a", 10, 0, "Animals", "openai", 3, 5),
        ("a", 11, 0, "none", "lexicon", 3, 5),
        ("a", 11, 1, "hues", "openai", 3, 5),
    ]
    return pd.DataFrame(rows, columns=HEAD_LABELS.names)


def test_plurals_and_capitals_are_one_property_and_none_is_no_property() -> None:
    assert head_places.properties(labels(), "a") == {
        "Animals": ((10, 0),),
        "color": ((10, 1), (11, 2)),
        "hues": ((11, 1),),
    }
    assert head_places.properties(labels(), "c") == {}


def test_a_property_is_found_however_it_is_spelled() -> None:
    assert head_places.with_property(labels(), "a", "Colors") == ((10, 1), (11, 2))
    assert head_places.with_property(labels(), "b", "color") == ((10, 1),)


@pytest.mark.parametrize("name", ["seasons", "none"])
def test_a_property_that_no_head_has_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match=f"a: no head is labelled '{name}'.* have: Animals, color, hues"):
        head_places.with_property(labels(), "a", name)
    with pytest.raises(InputError, match="have: none of its heads has one"):
        head_places.with_property(labels(), "c", name)


def test_the_label_of_a_head() -> None:
    assert head_places.label_of(labels(), "a", (11, 1)) == "hues"
    with pytest.raises(InputError, match=r"a: L9\.H1 has no label; L10\.H0 to L11\.H2 have"):
        head_places.label_of(labels(), "a", (9, 1))


def test_names() -> None:
    assert head_places.named([(11, 2), (2, 10), (2, 9)]) == "L2.H9 L2.H10 L11.H2"
    assert head_places.all_heads((3, 4), 2) == ((3, 0), (3, 1), (4, 0), (4, 1))
