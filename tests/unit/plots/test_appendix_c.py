"""Appendix C says what its table says."""

from __future__ import annotations

import re
from pathlib import Path

import judged
import pandas as pd
import pytest
from drawn import SOURCE, check_layout, picture
from matplotlib.figure import Figure
from matplotlib.text import Text

from vitpeel import judge_tables
from vitpeel.plots import appendix_c
from vitpeel.tables import write_csv

REFERENCES = ("a dog in a street", "a street with a dog and a very long description of it " * 3)


def rows(layers: list[int], image: str = "p001", pictures: int = 3) -> pd.DataFrame:
    whole = range(39)
    scores = judged.scores(judged.RISING, whole, pictures)
    return judge_tables.appendix_c(scores, judged.captions(whole), judged.RUBRIC, [image], layers)


def draw(table: pd.DataFrame) -> Figure:
    return appendix_c.draw(table, picture(), REFERENCES, SOURCE)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_every_score_is_in_its_cell() -> None:
    table = rows([20, 22, 24])
    said = words(draw(table))
    cells = [text for text in said if re.fullmatch(r"[135]|\d\.\d", text)]
    expected = [
        f"{row[metric]:.{int(metric == 'judge_mean')}f}"
        for row in table.to_dict("records")
        for metric in appendix_c._COLUMNS
    ]
    assert cells == expected
    assert [text for text in said if text.startswith("Layer ")][-3:] == ["Layer 20", "Layer 22", "Layer 24"]
    assert "Judge: offline rubric, not a language model" in said


def test_title_is_computed_from_the_table() -> None:
    table = rows([20, 24])
    first, last = (f"{score:.1f}" for score in table["judge_mean"])
    start, end = ("nothing" if not c else f"“{' '.join(c.split())[:20]}" for c in table["caption"])
    title = appendix_c.finding(table)
    assert title.startswith(f"Layer\xa020: {start}") and f"scores {first}; layer\xa024: {end}" in title
    assert title.endswith(f" {last}")
    same = table.assign(caption="a dog", judge_mean=[3.0, 2.5])
    assert appendix_c.finding(same) == "Layers\xa020 and\xa024 say “a dog”: 3.0 and 2.5"
    assert appendix_c.finding(same.iloc[:1]) == "Layer\xa020: “a dog” scores 3.0"


def test_a_picture_that_was_not_judged() -> None:
    table = rows([20, 24], image="p005")
    assert appendix_c.finding(table).endswith("the judge gave no scores")
    assert words(draw(table)).count("–") == 10


@pytest.mark.parametrize("layers", [[5], list(range(20, 31)), list(range(39))])
@pytest.mark.parametrize("image", ["p000", "p003", "p005"])
def test_layout(layers: list[int], image: str) -> None:
    check_layout(draw(rows(layers, image, pictures=4)))


def test_the_csv_gives_the_same_page(tmp_path: Path) -> None:
    for image in ("p001", "p005"):
        table = rows([20, 21, 22], image).assign(caption=["null", "7", ""])
        write_csv(tmp_path / "c.csv", table)
        found = appendix_c.read(tmp_path / "c.csv")
        pd.testing.assert_frame_equal(found, table, check_dtype=False)
