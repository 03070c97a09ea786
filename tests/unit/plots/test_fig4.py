"""Figure 4 is the question, whole, in order, on however many pages."""

from __future__ import annotations

import re

import pytest
from drawn import SOURCE, check_layout, picture
from matplotlib.figure import Figure
from matplotlib.text import Text

from vitpeel.judge.questions import prompt
from vitpeel.plots import fig4


def question(caption: str = "a dog", layers: int = 39, **changed: object) -> fig4.Question:
    numbers = range(layers)
    text = prompt(numbers, [f"{caption} {n}" for n in numbers], numbers)
    values = {
        "text": text,
        "image_id": "unusual-192",
        "layers": [0, layers - 1],
        "calls": "image",
        "model": "judge-2024-08-06",
        "detail": "high",
        "reasoning": "none",
        "answered": True,
    }
    return fig4.Question(**{**values, **changed})  # type: ignore[arg-type]


def words(figures: list[Figure]) -> str:
    return " ".join(text.get_text() for figure in figures for text in figure.findobj(Text))


@pytest.mark.parametrize(
    ("caption", "layers", "pages"), [("a dog", 39, 1), ("a dog in a street " * 12, 39, 3), ("a dog", 2, 1)]
)
def test_every_word_is_on_a_page_and_in_order(caption: str, layers: int, pages: int) -> None:
    asked = question(caption, layers)
    figures = fig4.draw(asked, picture(), SOURCE)
    assert len(figures) == pages
    said = re.sub(r"\s+", " ", words(figures))
    place = 0
    for word in asked.text.split():
        place = said.index(word, place) + len(word)
    for figure in figures:
        check_layout(figure)


def test_long_lists_fill_the_columns_of_further_pages_evenly() -> None:
    figures = fig4.draw(question("a dog in a street " * 4), picture(300, 200), SOURCE)
    assert len(figures) == 2
    assert figures[1].get_size_inches()[0] == figures[0].get_size_inches()[0]
    assert figures[1].get_size_inches()[1] < figures[0].get_size_inches()[1]


def test_it_says_whether_the_run_asked_this() -> None:
    asked = words(fig4.draw(question(), picture(), SOURCE))
    assert "This run's scores are judge-2024-08-06's answers to such questions." in asked.replace("\n", " ")
    rubric = words(fig4.draw(question(answered=False), picture(), SOURCE))
    assert "judge is the offline rubric" in rubric.replace("\n", " ").replace("  ", " ")
    assert "answers to such questions" not in rubric


def test_how_it_is_sent() -> None:
    sent = words(fig4.draw(question(), picture(), SOURCE)).replace("\n", " ")
    assert "temperature 0, reasoning effort none" in sent and "detail high" in sent
    assert "reasoning effort" not in words(fig4.draw(question(reasoning=None), picture(), SOURCE))


def test_title() -> None:
    assert fig4.finding(question(layers=11)).startswith("One question a picture: 11 layers' descriptions")
    assert fig4.finding(question(calls="layer")).startswith("A question a layer")
