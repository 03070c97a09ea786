"""Appendix A says what its tables say."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SOURCE, check_layout, picture
from edited_captions import SPANS, appendix_tables
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from vitpeel.lower import Range
from vitpeel.plots import appendix_a, style


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text().strip()]


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text() for text in texts(figure)).split())


def page(spans: tuple[Range, Range] = SPANS, other: bool = True, caption: str | None = None) -> Figure:
    cases, _ = appendix_tables(spans, other)
    own = cases[cases["image_id"] == "p03"]
    if caption is not None:
        own = own.assign(caption=[own["caption"].iloc[0], *[caption] * (len(own) - 1)], exact=0.0)
    references = ["a dog on a snowy mountain", "something " * 30, "a", "b", "c", "d"]
    return appendix_a.draw(own, picture(), references, "imagenet" if other else None, SOURCE)


def test_the_title_counts_the_averages_that_keep_the_caption() -> None:
    cases, _ = appendix_tables()
    own = cases[cases["image_id"] == "p03"]
    averaged = own[own["curve"].str.contains("average")]
    assert appendix_a.finding(own) == (
        f"{int(averaged['exact'].sum())} of 7 averages keep “a dog on a snowy mountain”; "
        "layer\xa020 confused: “a bicycle on a sand dune”"
    )
    assert appendix_a.finding(own.assign(exact=1.0)) == (
        "All of 7 averages keep “a dog on a snowy mountain”; layer\xa020 confused changes nothing"
    )


def test_changed_words_are_red_and_the_others_are_not() -> None:
    marked = {t.get_text(): to_hex(t.get_color()) for t in texts(page(caption="a dog on a sand dune"))}
    assert marked["sand"] == marked["dune"] == style.RED.lower()
    black = [t for t in texts(page(caption="a dog on a sand dune")) if t.get_text() == "dog"]
    assert black and all(to_hex(text.get_color()) != style.RED.lower() for text in black)


def test_every_edit_has_its_row() -> None:
    said = words(page())
    for name in ("layer 0 averaged", "layer 20 averaged", "layers 11–20 averaged", "layer 5 confused"):
        assert name in said
    assert "11–20, avg. of imagenet" in said and "F1 0.30" in said and "the same" in said
    assert "avg." not in words(page(other=False))


@pytest.mark.parametrize("spans", [SPANS, ((0, 0), (1, 2)), ((0, 0), (1, 1))])
@pytest.mark.parametrize(
    "caption", [None, "", "a very long winded sentence about nothing at all " * 8, "$5 _^x"]
)
def test_layout_of_a_page(spans: tuple[Range, Range], caption: str | None) -> None:
    check_layout(page(spans, caption=caption))


@pytest.mark.parametrize(
    ("kept", "drained", "expected"),
    [
        ({}, "", "does not measurably bring wording without colours: none of 40 captions, unedited 1"),
        ({}, "confusion", "Confusing layer 0 makes wording without colours more frequent: 40 of 40 captions"),
    ],
)
def test_the_first_page_compares_with_the_unedited_rate(
    kept: dict[str, float], drained: str, expected: str
) -> None:
    _, rows = appendix_tables(kept=kept, drained=drained)
    assert expected in appendix_a.wording_finding(rows)
    said = words(appendix_a.draw_wording(rows, "imagenet", SOURCE))
    assert "1 of the 40 pictures are called so by a reference" in said and "dashed: unedited, 1 of 40" in said
    assert f"at most {rows['gained'].max()}; no longer: at most {rows['lost'].max()}" in said


def test_a_rarer_wording_is_told() -> None:
    _, rows = appendix_tables()
    confused = rows["curve"] == "confusion"
    rows.loc[confused, ["difference", "difference_low", "difference_high"]] = (-0.045, -0.075, -0.02)
    rows.loc[rows["curve"] == "unedited", "share"] = 0.05
    assert appendix_a.wording_finding(rows) == (
        "Confusion brings no wording without colours, it takes it away: none of 40 captions, unedited 2"
    )


@pytest.mark.parametrize("spans", [SPANS, ((0, 0), (1, 2)), ((0, 0), (1, 1))])
@pytest.mark.parametrize(("other", "pictures"), [(True, 40), (False, 40), (True, 1)])
def test_layout_of_the_first_page(spans: tuple[Range, Range], other: bool, pictures: int) -> None:
    for drained in ("", "confusion"):
        _, rows = appendix_tables(spans, other, pictures, drained=drained)
        figure = appendix_a.draw_wording(rows, "imagenet" if other else None, SOURCE)
        check_layout(figure)
        left, right = figure.axes
        assert left.get_ylim()[1] > rows["high"].max()
        lowest = min(np.asarray(line.get_ydata(), dtype=float).min() for line in right.lines)
        assert lowest <= rows["difference"].min() + 1e-12
