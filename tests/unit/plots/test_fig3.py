"""Figure 3 says what its table says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout, curve_tables, rising_curve
from matplotlib.colors import to_hex
from matplotlib.text import Text

from vitpeel import figure_tables
from vitpeel.errors import VitpeelError
from vitpeel.plots import fig3, style


@pytest.fixture
def rising() -> np.ndarray:
    return rising_curve()


def test_title_is_computed_from_the_tables(rising: np.ndarray) -> None:
    rows, plateau = curve_tables(rising)
    gain = rows.loc[rows["layer"] == 31, "gain"].item()
    found = plateau[plateau["plateau"]].iloc[0]
    said = fig3.finding(rows, plateau, (31, 38))
    assert said.startswith(
        f"CIDEr rises by {gain:.2f} from layer 31 to layer 38; its plateau begins at layer 3"
    )
    assert found["layer"] in (34, 35)
    assert (
        f"at layer {found['layer']} (the paper's: 35), later layers add at most {found['most']:.2f}" in said
    )
    falls = fig3.finding(*curve_tables(rising[::-1]), (0, 38))
    assert falls.startswith("CIDEr falls by")
    assert re.search(r"3\d of the later layers are significantly worse than layer [0-3], none better", falls)
    assert "does not measurably change" in fig3.finding(*curve_tables(np.ones(39)), (31, 38))
    steady = fig3.finding(*curve_tables(np.linspace(0, 4, 39)), (31, 38))
    assert steady.endswith("where no plateau is reached")
    assert "no interval" in fig3.finding(*curve_tables(rising, pictures=1), (31, 38))


@pytest.mark.parametrize(("metric", "depth", "named"), [("rougeL", 39, False), ("cider", 12, False)])
def test_the_papers_layer_is_set_beside_its_own_metric_and_depth_only(
    rising: np.ndarray, metric: str, depth: int, named: bool
) -> None:
    tables = curve_tables(rising[-depth:], metric)
    assert ("paper" in fig3.finding(*tables, (8, 11))) == named


def test_curves_are_the_tables(rising: np.ndarray) -> None:
    rows, plateau = curve_tables(rising)
    left, right, *strips = fig3.draw(rows, plateau, (31, 38), SOURCE).axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), rows["mean"])
    np.testing.assert_allclose(left.lines[0].get_xydata(), rows.loc[31:38, ["layer", "mean"]])
    band = left.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(rows.loc[31:38, "low"].min())
    assert band[:, 1].max() == pytest.approx(rows.loc[31:38, "high"].max())
    assert to_hex(right.lines[0].get_color()) == style.BLUE.lower()
    found = plateau[plateau["plateau"]].iloc[0]
    for strip, panel in zip(strips, (left, right), strict=True):
        bar, dot, _, paper = strip.lines
        assert list(bar.get_xdata()) == [found["plateau_low"], found["plateau_high"]]
        assert [*dot.get_xdata(), *paper.get_xdata()] == [found["layer"], 35]
        assert strip.get_xlim() == panel.get_xlim()
        names = [label.get_text() for label in strip.get_yticklabels()]
        assert names == [f"plateau: {found['layer']}", "paper: 35"]


@pytest.mark.parametrize(
    ("curve", "metric", "pictures", "names"),
    [
        (np.linspace(0, 4, 39), "cider", 60, ["no plateau", "paper: 35"]),
        (np.linspace(4, 0, 39), "rougeL", 60, ["peak: 0", "paper: 35"]),
        (np.linspace(0, 4, 39), "bertscore", 60, ["no plateau"]),
        (np.zeros(3), "meteor", 60, ["plateau: 0"]),
        (np.linspace(0, 4, 39), "cider", 1, ["paper: 35"]),
        (np.linspace(0, 4, 3), "cider", 1, None),
    ],
)
def test_what_is_marked_below_the_panels(
    curve: np.ndarray, metric: str, pictures: int, names: list[str] | None
) -> None:
    figure = fig3.draw(*curve_tables(curve, metric, pictures), (0, len(curve) - 1), SOURCE)
    check_layout(figure)
    strips = figure.axes[2:]
    assert len(strips) == (2 if names else 0)
    for strip in strips:
        assert [label.get_text() for label in strip.get_yticklabels()] == names


@pytest.mark.parametrize(
    ("metric", "depth", "layers", "pictures"),
    [
        ("cider", 39, (31, 38), 60),
        ("rougeL", 39, (31, 38), 60),
        ("bertscore", 12, (8, 11), 60),
        ("cider", 39, (0, 38), 1),
    ],
)
def test_layout(rising: np.ndarray, metric: str, depth: int, layers: tuple[int, int], pictures: int) -> None:
    for curve in (rising[:depth], rising[:depth][::-1], np.zeros(depth)):
        check_layout(fig3.draw(*curve_tables(curve, metric, pictures, empty=1), layers, SOURCE))


def test_foot_tells_the_demo_from_the_papers_checkpoint(rising: np.ndarray) -> None:
    tables = curve_tables(rising, empty=3)
    other = style.Source("paper", "Salesforce/instructblip-flan-t5-xl", 500, embedded=False)
    demo = " ".join(text.get_text() for text in fig3.draw(*tables, (31, 38), SOURCE).findobj(Text))
    paper = " ".join(text.get_text() for text in fig3.draw(*tables, (31, 38), other).findobj(Text))
    assert "run demo · checkpoint resources/demo/captioner · 200 pictures" in demo
    assert "embedded demo model" in demo and "embedded" not in paper
    assert "500 pictures" in paper and "at most 3 of 60 (layer 0)" in paper


def test_the_csv_gives_the_same_figure(rising: np.ndarray, tmp_path: Path) -> None:
    for pictures in (60, 1):
        tables = curve_tables(rising, pictures=pictures)
        for name, read, rows in zip(("fig3", "plateau"), (fig3.read, fig3.read_plateau), tables, strict=True):
            rows.to_csv(tmp_path / f"{name}.csv", index=False)
            pd.testing.assert_frame_equal(read(tmp_path / f"{name}.csv"), rows, check_dtype=False)


def test_what_is_not_there_is_named(rising: np.ndarray) -> None:
    rows, plateau = curve_tables(rising[:12])
    with pytest.raises(VitpeelError, match=r"figures\.fig3\.layers: none of layers 31 to 38 .* has 0 to 11"):
        fig3.draw(rows, plateau, (31, 38), SOURCE)
    with pytest.raises(VitpeelError, match=r"no rougeL in the scores\. There are: cider"):
        figure_tables.fig3(rows.assign(head=pd.NA), rows.assign(head=pd.NA), "rougeL", 0.95)
