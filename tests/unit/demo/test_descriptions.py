"""The demo's descriptions: file and function in step, all in words that the text towers know."""

from __future__ import annotations

from pathlib import Path

from vitpeel.demo.clip_words import vocabulary
from vitpeel.demo.descriptions import FILE, descriptions
from vitpeel.demo.words import OBJECTS

ROOT = Path(__file__).parents[3]


def test_the_file_is_what_the_function_writes() -> None:
    lines = (ROOT / FILE).read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""  # the last line is ended
    assert tuple(lines) == descriptions(), "run `python -m vitpeel.demo.descriptions`"


def test_at_least_300_each_once_none_blank() -> None:
    every = descriptions()
    assert len(every) >= 300 and len(set(every)) == len(every)
    assert all(text == " ".join(text.split()) != "" for text in every)


def test_every_word_is_one_that_the_text_tower_knows() -> None:
    known = set(vocabulary())
    unknown = {text: set(text.split()) - known for text in descriptions()}
    assert not {text: words for text, words in unknown.items() if words}


def test_every_object_is_there() -> None:
    said = {word for text in descriptions() for word in text.split()}
    assert set(OBJECTS) <= said
