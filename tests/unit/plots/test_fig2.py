"""Figure 2 says what its tables say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout
from edited_captions import SPANS, fig2_tables
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from vitpeel.lower import Range
from vitpeel.plots import fig2, lower_curves, style
from vitpeel.scores.lower import Baseline
from vitpeel.tables import write_csv

MEANING = fig2.Meaning("input", "per position", "skip", "all", "whoops", "imagenet")


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())


def drawn(axes: Axes, colour: str) -> list[np.ndarray]:
    """The curves of a colour, without the lines to their names."""
    return [
        np.asarray(line.get_xydata(), dtype=float)
        for line in axes.lines
        if to_hex(line.get_color()) == colour.lower() and line.get_transform() == axes.transData
    ]


def test_title_is_computed_from_the_tables() -> None:
    rows, contrasts = fig2_tables()
    f1 = rows[rows["metric"] == "bertscore"].set_index("curve")["mean"]
    assert fig2.finding(rows, contrasts) == (
        f"BERTScore F1 lost: at least {1 - f1['confusion'].max():.2f} by confusing any one layer, "
        f"{1 - f1['average together']:.2f} by averaging all of 11–20, "
        f"at most {1 - f1['average'].min():.2f} by averaging any one"
    )
    rows, contrasts = fig2_tables(kept={"average": 0.1, "average together": 1.0, "confusion": 0.99})
    said = fig2.finding(rows, contrasts)
    assert said.startswith("BERTScore F1 lost: at most 0.6")
    assert "nothing measurable by averaging all of 11–20" in said
    rows, contrasts = fig2_tables(base=Baseline("given", 0.3, 0.35, 400))
    assert fig2.finding(rows, contrasts).startswith("Rescaled BERTScore F1 lost")


def test_curves_are_the_tables_in_the_papers_colours() -> None:
    rows, contrasts = fig2_tables()
    for axes, metric in zip(
        fig2.draw(rows, contrasts, MEANING, SOURCE).axes, ("bertscore", "exact"), strict=True
    ):
        own = rows[rows["metric"] == metric]
        average = own[own["curve"] == "average"]
        (red,), (yellow,) = drawn(axes, style.RED), drawn(axes, style.YELLOW)
        np.testing.assert_allclose(red, average[["first", "mean"]].iloc[:11].to_numpy(dtype=float))
        np.testing.assert_allclose(yellow, average[["first", "mean"]].iloc[11:].to_numpy(dtype=float))
        (blue,) = drawn(axes, style.BLUE)
        assert (blue[:, 1] == own.loc[own["curve"] == "average together", "mean"].item()).all()
        assert blue[0, 0] < 11 and blue[-1, 0] > 20
        singles, together = drawn(axes, style.GREEN)
        np.testing.assert_allclose(singles[:, 1], own.loc[own["curve"] == "other average", "mean"])
        assert together[0, 1] == own.loc[own["curve"] == "other average together", "mean"].item()
        (purple,) = drawn(axes, style.PURPLE)
        np.testing.assert_allclose(purple[:, 0], range(21))
        bands = [band.get_paths()[0].vertices for band in axes.collections]
        assert min(band[:, 1].min() for band in bands) == pytest.approx(own["low"].min())
        assert max(band[:, 1].max() for band in bands) == pytest.approx(own["high"].max())


def test_without_another_set_there_is_no_green() -> None:
    rows, contrasts = fig2_tables(other=False)
    meaning = fig2.Meaning("input", "per position", "skip", "all", "whoops", None)
    figure = fig2.draw(rows, contrasts, meaning, SOURCE)
    assert not any(drawn(axes, style.GREEN) for axes in figure.axes)
    assert "None" not in words(figure)
    check_layout(figure)


@pytest.mark.parametrize("spans", [SPANS, ((0, 0), (1, 2)), ((0, 0), (1, 1)), ((2, 4), (5, 30))])
@pytest.mark.parametrize("pictures", [40, 1])
@pytest.mark.parametrize("kept", [{}, dict.fromkeys(("average", "average together", "confusion"), 1.0)])
def test_layout(spans: tuple[Range, Range], pictures: int, kept: dict[str, float]) -> None:
    rows, contrasts = fig2_tables(spans, pictures=pictures, kept=kept)
    check_layout(fig2.draw(rows, contrasts, MEANING, SOURCE))


def test_names_hold_long_names_of_sets() -> None:
    rows, contrasts = fig2_tables()
    long = fig2.Meaning("normed", "one", "stream", "half", "a-long-name-of-a-set", "imagenet-validation-2012")
    check_layout(fig2.draw(rows, contrasts, long, SOURCE))


def test_the_note_tells_what_was_averaged_and_what_is_left() -> None:
    rows, contrasts = fig2_tables()
    said = words(fig2.draw(rows, contrasts, MEANING, SOURCE))
    assert "reads, before its norm, over whoops itself, so a picture is part of its own average" in said
    assert "takes the place of the skip. Different captions left then: 1; unedited 11" in said
    assert "95 % bootstrap" in said and "0.350 caption of another picture" in said
    other = fig2.Meaning("output", "one", "stream", "half", "whoops", "imagenet")
    said = words(fig2.draw(rows, contrasts, other, SOURCE))
    assert "attention adds, one vector for all positions, over another half of whoops" in said
    assert "the skip and what attention reads" in said
    rows, contrasts = fig2_tables(base=Baseline("measured", 0.35, 0.35, 400))
    said = words(fig2.draw(rows, contrasts, MEANING, SOURCE))
    assert "0.000 caption of another picture" in said and "caption, rescaled" in said
    rows, contrasts = fig2_tables(pictures=1, base=Baseline())
    said = words(fig2.draw(rows, contrasts, MEANING, SOURCE))
    assert "no interval" in said and "another picture" not in said


def test_the_csv_gives_the_same_figure(tmp_path: Path) -> None:
    rows, contrasts = fig2_tables()
    write_csv(tmp_path / "fig2.csv", rows)
    back = lower_curves.read(tmp_path / "fig2.csv")
    expected = rows.astype({"first": "float64", "last": "float64"})
    pd.testing.assert_frame_equal(back, expected, check_dtype=False, rtol=1e-5)
    assert fig2.finding(back, contrasts) == fig2.finding(rows, contrasts)


def test_names_move_apart_and_stay_in_order() -> None:
    heights = np.full(5, 0.2)
    centres = lower_curves.apart(np.array([1.0, 1.0, 0.99, 0.02, 0.0]), heights, 1.0)
    assert all(a - b >= 0.2 - 1e-9 for a, b in pairwise(centres))
    assert centres[-1] >= 0.0 - 1e-9 and centres[0] <= 1.0
    free = np.array([0.9, 0.5, 0.1])
    assert lower_curves.apart(free, np.full(3, 0.2), 1.0) == pytest.approx(free)
