"""The scores of small tables by hand, the printed ones by exact arithmetic, and the page about them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vitpeel.clip import chance, interpretability, lexicon, printed, synonyms
from vitpeel.demo.descriptions import descriptions
from vitpeel.errors import InputError
from vitpeel.tables import HEAD_LABELS

ROOT = Path(__file__).parents[3]


def table(names: list[str], matches: list[int | None] | None = None, model: str = "m") -> pd.DataFrame:
    matches = [3] * len(names) if matches is None else matches
    rows = [
        (model, 8 + n // 4, n % 4, name, "lexicon", m, 10)
        for n, (name, m) in enumerate(zip(names, matches, strict=True))
    ]
    return pd.DataFrame(rows, columns=HEAD_LABELS.names).astype({"matches": "Int16"})


def found(frame: pd.DataFrame, measure: str, folded: bool = False, **settings: object) -> pd.Series:
    scores = interpretability.scores(frame, {}, resamples=200, **settings)
    (row,) = scores[(scores["measure"] == measure) & (scores["folded"] == folded)].to_dict("records")
    return pd.Series(row)


NAMES = ["Location", "locations", "colors", "wildlife", "animals.", "none", "style", "mixed"]


def test_by_hand() -> None:
    frame = table(NAMES, [3, 2, 4, 10, 0, 0, 3, 1])
    for measure, folded, count, different in (
        ("shared", False, 2, 6),  # location twice
        ("unique", False, 5, 6),
        ("associated", False, 4, 6),
        ("shared", True, 4, 4),  # wildlife is animals
        ("unique", True, 2, 4),  # mixed is none
    ):
        row = found(frame, measure, folded)
        assert (row["count"], row["of"], row["labels"]) == (count, 8, different), (measure, folded)
        assert row["share"] == count / 8 and 0 <= row["low"] <= row["share"] <= row["high"] <= 1
    assert found(frame, "associated", least=4)["count"] == 2


def test_heads_that_nobody_counted_are_left_out_of_the_association_alone() -> None:
    frame = table(NAMES, [3, None, None, 1, 3, 0, 0, 0])
    assert tuple(found(frame, "associated")[["count", "of"]]) == (2, 6)
    assert found(frame, "shared")["of"] == 8
    nobody = found(table(NAMES, [None] * 8), "associated")
    assert nobody["of"] == 0 and np.isnan(nobody["share"])


def test_models_are_apart() -> None:
    frame = pd.concat([table(["a"] * 3 + ["b"], model="one"), table(["a", "b", "c"], model="other")])
    scores = interpretability.scores(frame, {}, resamples=50)
    shared = scores[(scores["measure"] == "shared") & ~scores["folded"]].set_index("model")
    assert shared["count"].to_dict() == {"one": 3, "other": 0}


def test_equal_is_the_mean_over_all_smaller_sets_of_heads() -> None:
    names, kept = ["a", "a", "a", "b", "b", "c", "none"], 4
    frame = pd.concat([table(names), table(["x"] * kept, model="small")])
    alone, shared = [], []
    for some in itertools.combinations(names, kept):
        alone.append(sum(some.count(name) == 1 and name != "none" for name in some) / kept)
        shared.append(sum(some.count(name) > 1 and name != "none" for name in some) / kept)
    scores = interpretability.scores(frame, {}, resamples=50).set_index(["model", "measure", "folded"])
    assert scores.loc[("m", "unique", False), "equal"] == pytest.approx(np.mean(alone))
    assert scores.loc[("m", "shared", False), "equal"] == pytest.approx(np.mean(shared))
    small = scores.loc[("small", "shared", False)]
    assert small["equal"] == small["share"] == 1
    assert set(scores["equal_of"]) == {kept}


def test_the_interval_is_that_of_heads_drawn_anew() -> None:
    frame = table([*(["a"] * 21), *(f"own {n}" for n in range(27))])
    row = interpretability.scores(frame, {}, resamples=20_000).iloc[0]
    assert (row["measure"], row["count"]) == ("shared", 21)
    draws = np.random.default_rng(7).binomial(48, 21 / 48, 200_000) / 48
    low, high = np.quantile(draws, [0.025, 0.975])
    assert abs(row["low"] - low) <= 1 / 48 and abs(row["high"] - high) <= 1 / 48


def test_what_lot_gives_stands_beside_models_that_the_lexicon_labelled_alone() -> None:
    both = pd.concat([table(NAMES), table(NAMES, model="other").assign(source=["human", *["lexicon"] * 7])])
    words = lexicon.shipped()
    lot = chance.of_models(both, words, descriptions(), least=3, seed=1)
    assert set(lot) == {"m"}
    scores = interpretability.scores(both, lot, resamples=50)
    own = chance.chance(words, descriptions(), 8, 10, 3, seed=1)
    row = scores[(scores["model"] == "m") & (scores["measure"] == "associated")].iloc[0]
    assert row["chance"] == own.associated.mean() and row["chance_low"] <= row["chance"] <= row["chance_high"]
    assert scores.loc[scores["model"] == "other", "chance"].isna().all()


def test_labels_are_spelled_and_meant() -> None:
    assert synonyms.spelled(" Geo-Locations. ") == "geo location"
    assert synonyms.meant("Geo-Locations") == "locations"
    assert synonyms.meant("Something new") == "something new" and synonyms.meant("?!") == "none"
    for name in lexicon.shipped().properties:
        assert synonyms.meant(name) == name
    with pytest.raises(InputError, match=r"s\.yaml: Hue: under colors and under light"):
        synonyms.parse("colors: [hue]\nlight: [Hue]", "s.yaml")


def test_printed_values_are_counts_cut_off() -> None:
    for row in printed.printed():
        for value in (row.unique, row.associated):
            (count,) = printed.counts(value, row.heads, "truncated")
            # another way: the decimal expansion itself
            assert str(int(Fraction(1000 * count, row.heads)) / 1000) == str(float(value))
    unrounded = [
        value
        for row in printed.printed()
        for value in (row.unique, row.associated)
        if not printed.counts(value, row.heads, "rounded")
    ]
    assert unrounded == ["0.52", "0.145", "0.541", "0.166", "0.343"]


@pytest.mark.parametrize(("heads", "alike"), [(48, (48, 96, 144)), (64, (64, 128))])
def test_no_other_number_of_heads_fits(heads: int, alike: tuple[int, ...]) -> None:
    own = [row for row in printed.printed() if row.heads == heads]
    for values in ([row.unique for row in own], [row.associated for row in own]):
        assert printed.denominators(values, 150, "truncated") == alike


def test_readings_that_arithmetic_excludes() -> None:
    values = {row.shown: row.unique for row in printed.printed()}
    # mean over labels of the share of heads that have it: 1 / D
    assert not any(1 in printed.counts(values["B-32 OpenAI"], of, "truncated") for of in range(1, 49))
    # different labels that several heads have: all 64 would have to differ
    assert printed.denominators([values["L-14 OpenAI"]], 64, "truncated") == (64,)
    # mean share of other heads with the same label: a label's heads n give at most (n - 1) / (H - 1)
    least = min(n for n in range(1, 49) if Fraction(n - 1, 47) >= Fraction(values["B-16 LAION-2B"]))
    assert least == 27


def test_the_page_holds_what_the_code_says() -> None:
    page = (ROOT / "docs/clip-scores.md").read_text()
    assert printed.fits() in page, "the table is `printed.fits()`"
    assert "39 properties" in page and len(lexicon.shipped().properties) == 39
    for row in printed.printed():
        (count,) = printed.counts(row.unique, row.heads, "truncated")
        assert f"| {row.shown} | {row.heads} | **{count}** |" in page


def test_printed_values_stand_beside_ours() -> None:
    frame = pd.concat([table(NAMES, model="clip-small"), table(NAMES, model="clip-vit-l-14-openai")])
    both = printed.beside(interpretability.scores(frame, {}, resamples=50))
    own = both[(both["model"] == "clip-vit-l-14-openai")].set_index(["measure", "folded"])
    assert (
        own.loc[("unique", False), "printed"] == "0.359" and own.loc[("unique", False), "printed_count"] == 23
    )
    assert own.loc[("associated", False), "printed_of"] == 64
    assert own.loc[("shared", False), "printed"] == own.loc[("unique", True), "printed"] == ""
    assert own["count"].notna().all() and set(own["shown"]) == {"L-14 OpenAI"}
    assert set(both.loc[both["model"] == "clip-small", "printed"]) == {""}
    absent = both[both["count"].isna()]
    assert len(absent) == 10 and (absent["printed"] != "").all()
    assert both["table"].is_monotonic_increasing
