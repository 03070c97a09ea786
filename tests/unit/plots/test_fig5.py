"""Figure 5 says what its tables say, and who judged."""

from __future__ import annotations

from pathlib import Path

import judged
import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout
from matplotlib.figure import Figure
from matplotlib.text import Text

from vitpeel.errors import VitpeelError
from vitpeel.plots import fig5
from vitpeel.tables import write_csv


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def mean_row(trends: pd.DataFrame, first: int) -> pd.Series:
    return trends[(trends["metric"] == "judge_mean") & (trends["first"] == first)].iloc[0]


def test_title_is_computed_from_the_table() -> None:
    _, trends = judged.tables(judged.RISING)
    change = mean_row(trends, 20)["change"]
    title = fig5.finding(trends, (20, 30))
    assert title.startswith(f"The judge's mean score rises by {change:.2f} from layer 20 to 30: ")
    assert "information\xa0+" in title
    falling = {name: -slope for name, slope in judged.RISING.items()}
    assert "mean score falls by" in fig5.finding(judged.tables(falling)[1], (0, 38))
    flat = fig5.finding(judged.tables(judged.FLAT)[1], (20, 30))
    assert flat.startswith("The judge's mean score does not measurably change from layer 20 to 30")
    single = judged.tables(judged.RISING, pictures=1, captioned=1)[1]
    assert fig5.finding(single, (20, 30)).endswith("no interval can be given")


def test_only_measurable_criteria_are_in_the_title() -> None:
    _, trends = judged.tables({**judged.FLAT, "information": 0.12})
    title = fig5.finding(trends, (0, 38))
    assert "information\xa0+" in title and "entities" not in title


def test_curves_are_the_tables_and_the_mean_is_thick() -> None:
    curves, trends = judged.tables(judged.RISING)
    left, right = fig5.draw(curves, trends, (20, 30), SOURCE).axes
    for axes, own in ((left, curves[curves["layer"].between(20, 30)]), (right, curves)):
        lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
        assert len(lines) == 5
        mean = own[own["metric"] == "judge_mean"]
        np.testing.assert_allclose(lines[-1].get_xydata(), mean[["layer", "mean"]])
        assert lines[-1].get_linewidth() > 2 * lines[0].get_linewidth()
        band = axes.collections[4].get_paths()[0].vertices
        assert band[:, 1].max() == pytest.approx(mean["high"].max())


def test_the_steepest_step_is_marked_and_said() -> None:
    curves, trends = judged.tables(judged.RISING)
    figure = fig5.draw(curves, trends, (20, 30), SOURCE)
    row = mean_row(trends, 20)
    (span,) = [patch for patch in figure.axes[0].patches if patch.get_width() == 1]
    assert span.get_x() == row["step_from"]
    said = words(figure)
    assert f"steepest rise of the mean: layer {row['step_from']} to {row['step_to']}," in said
    assert f"[{row['rise_low']:+.2f}, {row['rise_high']:+.2f}]".replace("-", "\N{MINUS SIGN}") in said
    assert f"in {100 * row['stable']:.0f} % of resamples" in said
    assert f"rank correlation: {row['rho']:+.2f} [" in said


def test_without_a_rise_nothing_is_marked() -> None:
    layers = range(3)
    table = judged.scores(judged.FLAT, layers, 4)
    table["value"] = 5.0 - 2 * table["layer"]
    curves = judged.judge_tables.fig5(table, judged.captions(layers, 4), judged.RUBRIC, resamples=20)
    trends = judged.judge_tables.trends(table, [(0, 2)], resamples=20)
    figure = fig5.draw(curves, trends, (0, 2), SOURCE)
    assert "no layer's mean is above that of the one before" in words(figure)
    assert not [patch for patch in figure.axes[0].patches if patch.get_width() == 1]
    constant = judged.judge_tables.trends(table.assign(value=3.0), [(0, 2)], resamples=20)
    assert "rank correlation: none, it is constant" in words(fig5.draw(curves, constant, (0, 2), SOURCE))


def test_who_judged_and_how_many_pictures() -> None:
    rubric = words(fig5.draw(*judged.tables(judged.RISING), (20, 30), SOURCE))
    assert "Judge: offline rubric, not a language model" in rubric and "GPT" not in rubric.upper()
    tables = judged.tables(judged.RISING, pictures=57, who=judged.MODEL)
    model = words(fig5.draw(*tables, (20, 30), SOURCE))
    assert "Judge: judge-2024-08-06, asked through OpenAI's API; 57 of 60 pictures judged" in model


@pytest.mark.parametrize(
    ("slopes", "layers", "middle", "pictures"),
    [
        (judged.RISING, range(39), (20, 30), 60),
        ({name: -slope for name, slope in judged.RISING.items()}, range(39), (20, 30), 57),
        (judged.FLAT, range(39), (0, 38), 60),
        (judged.RISING, range(20, 31), (24, 28), 60),
        (judged.RISING, range(3), (1, 2), 1),
        (judged.RISING, range(12), (6, 9), 60),
    ],
)
def test_layout(slopes: dict[str, float], layers: range, middle: tuple[int, int], pictures: int) -> None:
    tables = judged.tables(slopes, layers, middle, pictures, max(pictures, 60), judged.MODEL)
    check_layout(fig5.draw(*tables, middle, SOURCE))


def test_the_csv_gives_the_same_figure(tmp_path: Path) -> None:
    for number, table in enumerate(judged.tables(judged.RISING)):
        write_csv(tmp_path / f"{number}.csv", table)
        found = fig5.read(tmp_path / f"{number}.csv")
        pd.testing.assert_frame_equal(found, table, check_dtype=False, rtol=1e-4)


def test_layers_that_are_not_there_are_named() -> None:
    with pytest.raises(VitpeelError, match=r"figures\.fig5\.layers: layers 35 to 40 are not all .* 0 to 38"):
        fig5.draw(*judged.tables(judged.RISING), (35, 40), SOURCE)
