"""Figure 4 (section 4.4): what a language model that judges is sent, word by word, with the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from vitpeel.plots import pages, style

_WIDTH, _HEIGHT = 10.0, 7.5  # inches; further pages are as high as they need
_COLUMN, _GAP = 4.7, 0.3  # inches
_LINE, _LOWEST = 0.157, 0.58  # inches a line; lower edge of the text
_PICTURE = 1.5  # inches
_INDENT = "  "
_PAPER = "#F4F4F4"  # behind what is sent


@dataclass(frozen=True)
class Question:
    """text: as it is sent. layers: first and last judged. calls, model, detail, reasoning: of judge.openai.
    answered: whether this run's scores are answers to such questions; if not, they are the offline rubric's.
    """

    text: str
    image_id: str
    layers: Sequence[int]
    calls: str
    model: str
    detail: str
    reasoning: str | None
    answered: bool


def finding(question: Question) -> str:
    """What is asked, in a sentence: the page's title."""
    if question.calls == "layer":
        return "A question a layer: its description beside that of the layer before, four criteria, 1, 3 or 5"
    count = question.layers[1] - question.layers[0] + 1
    return f"One question a picture: {count} layers' descriptions, four criteria, 1, 3 or 5 for each"


def draw(question: Question, picture: Image.Image, source: style.Source) -> list[Figure]:
    """Draw the question, on as many pages as its text takes. picture: RGB."""
    lines = _wrapped(question.text)
    with style.theme():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        title = style.wrap(finding(question), _WIDTH - 2 * pages.EDGE, style.TITLE + 2, 2, bold=True)
        pages.write(figure, (pages.EDGE, _HEIGHT - 0.14), title, style.TITLE + 2, weight="bold")
        top = _HEIGHT - (0.72 if "\n" in title else 0.5)
        low = _about(figure, top, question, picture)
        left = _columns(figure, (low, top), lines, _first_column(lines, _room(low), _room(top)))
        drawn = [figure]
        while left:
            half = min(ceil(len(left) / 2), _room(_HEIGHT - 0.15))
            top = _LOWEST + 0.12 + half * _LINE
            figure = Figure(figsize=(_WIDTH, top + 0.15))
            left = _columns(figure, (top, top), left, half)
            drawn.append(figure)
        for figure in drawn:
            style.foot(figure, source, "The text is in tables/fig4.txt, as it is sent.")
    return drawn


def _room(top: float) -> int:
    """How many lines a column takes that starts `top` inches above the page's lower edge."""
    return int((top - 0.1 - _LOWEST) / _LINE)


def _columns(figure: Figure, tops: tuple[float, float], lines: Sequence[str], first: int) -> Sequence[str]:
    """Write `first` lines into one column, as many as fit into the next; returns those that are left."""
    end = first + _room(tops[1])
    for number, part in enumerate((lines[:first], lines[first:end])):
        if not part:
            continue
        left, top, low = pages.EDGE + number * (_COLUMN + _GAP), tops[number], _LOWEST - 0.06
        height = figure.get_size_inches()[1]
        box = Rectangle(
            (left / _WIDTH, low / height),
            _COLUMN / _WIDTH,
            (top - low) / height,
            transform=figure.transFigure,
            color=_PAPER,
            zorder=-1,
        )
        figure.add_artist(box)
        pages.write(figure, (left + 0.1, top - 0.08), "\n".join(part))
    return lines[end:]


def _wrapped(text: str) -> list[str]:
    """The text in lines of a column's width; a paragraph's or list entry's further lines are indented."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n"):
        own = style.wrap(paragraph, _COLUMN - 0.35, style.BODY, 60).split("\n")
        further = _INDENT if paragraph.startswith(("- ", "Layer ")) else ""
        lines += [own[0], *(f"{further}{line}" for line in own[1:])]
    return lines


def _first_column(lines: Sequence[str], room: int, beside: int) -> int:
    """How many lines go into the first column: to the last blank line if the rest fits into the one beside
    it, otherwise all that fit."""
    if len(lines) <= room:
        return len(lines)
    blank = next((at for at in range(room, 0, -1) if not lines[at].strip()), 0)
    return blank + 1 if blank and len(lines) - blank - 1 <= beside else room


def _about(figure: Figure, top: float, question: Question, picture: Image.Image) -> float:
    """The picture, and beside it how the question is sent; returns the lower edge, in inches."""
    low = pages.show(figure, np.asarray(pages.fit(picture)), pages.EDGE, top, _PICTURE, _PICTURE)
    left, width = pages.EDGE + _PICTURE + 0.2, _COLUMN - _PICTURE - 0.3
    who = (
        f"This run's scores are {question.model}'s answers to such questions."
        if question.answered
        else "This run's judge is the offline rubric, which is not a language model and reads no prompt. "
        "The openai judge would send this."
    )
    effort = f", reasoning effort {question.reasoning}" if question.reasoning else ""
    facts = (
        f"Sent to {question.model}: this picture ({question.image_id}, detail {question.detail}) and "
        f"the text on grey; temperature 0{effort}; the answer must fit a JSON schema."
    )
    words = style.wrap(who, width, style.BODY, 5, bold=True)
    pages.write(figure, (left, top), words, color=style.RED, weight="bold")
    below = top - _LINE * (words.count("\n") + 1) - 0.08
    pages.write(figure, (left, below), style.wrap(facts, width, style.BODY, 6))
    lines = style.wrap(facts, width, style.BODY, 6).count("\n") + 1
    return min(low, below - _LINE * lines) - 0.2
