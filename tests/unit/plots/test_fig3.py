"""Figure 3 says what its table says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout, curve_table, rising_curve
from matplotlib.colors import to_hex
from matplotlib.text import Text

from vitpeel import figure_tables
from vitpeel.errors import VitpeelError
from vitpeel.plots import fig3, style


@pytest.fixture
def rising() -> np.ndarray:
    return rising_curve()


def test_title_is_computed_from_the_table(rising: np.ndarray) -> None:
    rows = curve_table(rising)
    gain = rows.loc[rows["layer"] == 31, "gain"].item()
    assert fig3.finding(rows, (31, 38)).startswith(
        f"CIDEr still rises by {gain:.2f} from layer 31 to layer 38"
    )
    plateau = int(fig3.finding(rows, (31, 38)).split("from layer ")[2].split()[0])
    assert plateau in (35, 36)
    falls = fig3.finding(curve_table(rising[::-1]), (0, 38))
    assert falls.startswith("CIDEr falls by")
    assert "does not measurably change" in fig3.finding(curve_table(np.ones(39)), (31, 38))
    assert "no interval" in fig3.finding(curve_table(rising, pictures=1), (31, 38))


def test_curves_are_the_tables(rising: np.ndarray) -> None:
    rows = curve_table(rising)
    left, right = fig3.draw(rows, (31, 38), SOURCE).axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), rows["mean"])
    np.testing.assert_allclose(left.lines[0].get_xydata(), rows.loc[31:38, ["layer", "mean"]])
    band = left.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(rows.loc[31:38, "low"].min())
    assert band[:, 1].max() == pytest.approx(rows.loc[31:38, "high"].max())
    assert to_hex(right.lines[0].get_color()) == style.BLUE.lower()


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
        check_layout(fig3.draw(curve_table(curve, metric, pictures, empty=1), layers, SOURCE))


def test_foot_tells_the_demo_from_the_papers_checkpoint(rising: np.ndarray) -> None:
    rows = curve_table(rising, empty=3)
    other = style.Source("paper", "Salesforce/instructblip-flan-t5-xl", 500, embedded=False)
    demo = " ".join(text.get_text() for text in fig3.draw(rows, (31, 38), SOURCE).findobj(Text))
    paper = " ".join(text.get_text() for text in fig3.draw(rows, (31, 38), other).findobj(Text))
    assert "run demo · checkpoint resources/demo/captioner · 200 pictures" in demo
    assert "embedded demo model" in demo and "embedded" not in paper
    assert "500 pictures" in paper and "at most 3 of 60 (layer 0)" in paper


def test_the_csv_gives_the_same_figure(rising: np.ndarray, tmp_path: Path) -> None:
    rows = curve_table(rising)
    rows.to_csv(tmp_path / "fig3.csv", index=False)
    pd.testing.assert_frame_equal(fig3.read(tmp_path / "fig3.csv"), rows, check_dtype=False)


def test_what_is_not_there_is_named(rising: np.ndarray) -> None:
    rows = curve_table(rising[:12])
    with pytest.raises(VitpeelError, match=r"figures\.fig3\.layers: none of layers 31 to 38 .* has 0 to 11"):
        fig3.draw(rows, (31, 38), SOURCE)
    with pytest.raises(VitpeelError, match=r"no rougeL in the scores\. There are: cider"):
        figure_tables.fig3(rows.assign(head=pd.NA), rows.assign(head=pd.NA), "rougeL", 0.95)
