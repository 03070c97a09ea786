"""Type, wrapping, and files that hold no date."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn import SOURCE, curve_tables, rising_curve
from matplotlib.figure import Figure
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.plots import fig3, style


@pytest.fixture
def rising() -> np.ndarray:
    return rising_curve()


def test_bands_cover_every_layer_as_the_paper_names_them() -> None:
    covered = {layer: [b.name for b in style.BANDS if b.first <= layer <= b.last] for layer in range(39)}
    assert all(covered.values())
    assert covered[20] == ["lower-middle", "middle"] and covered[10] == ["lower"] and covered[31] == ["upper"]


def test_wrap_keeps_every_word_or_says_that_it_did_not() -> None:
    text = "a giraffe and a penguin under the sea beside a very large mushroom"
    lines = style.wrap(text, 1.6, 9, 9).split("\n")
    assert " ".join(lines) == text and len(lines) > 2
    short = style.wrap(text, 1.6, 9, 2).split("\n")
    assert len(short) == 2 and short[-1].endswith("…")
    assert style.wrap("x" * 200, 1.6, 9, 2).endswith("…") and style.wrap("", 1.6, 9, 2) == ""


def test_wrap_is_as_wide_as_matplotlib_draws_it() -> None:
    with style.theme():
        figure = Figure(figsize=(6, 2))
        text = figure.text(0, 0.5, style.wrap("a giraffe on a snowy mountain " * 9, 1.6, 9, 99), fontsize=9)
    assert 1.2 < text.get_window_extent().width / figure.dpi <= 1.6 * 1.03


def test_pages_become_a_pdf_and_one_tall_png(tmp_path: Path, rising: np.ndarray) -> None:
    pages = [fig3.draw(*curve_tables(rising), (31, 38), SOURCE) for _ in range(2)]
    style.save(pages, tmp_path / "a" / "fig.pdf", tmp_path / "a" / "fig.png")
    assert (tmp_path / "a" / "fig.pdf").read_bytes().count(b"/Type /Page ") == 2
    image = Image.open(tmp_path / "a" / "fig.png")
    assert image.size == (1440, 1640) and round(image.info["dpi"][0]) == 200
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, rising: np.ndarray) -> None:
    (tmp_path / "file").write_text("")
    page = fig3.draw(*curve_tables(rising), (31, 38), SOURCE)
    with pytest.raises(VitpeelError, match=r"fig\.pdf"):
        style.save([page], tmp_path / "file" / "fig.pdf", tmp_path / "fig.png")


def test_equal_tables_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np; from pathlib import Path;"
        "from drawn import *; from vitpeel.heatmaps import Outliers;"
        "from vitpeel.plots import fig1, fig3, style;"
        "n = [0, 20, 38]; said, look = caption_table(n), heat_table(n);"
        "page = fig1.draw(said, look, picture(), ['a dog'], SOURCE, Outliers());"
        "other = fig3.draw(*curve_tables(np.linspace(0, 1, 39)), (31, 38), SOURCE);"
        "style.save([page], Path(sys.argv[2] + '1.pdf'), Path(sys.argv[2] + '1.png'));"
        "style.save([other], Path(sys.argv[2] + '3.pdf'), Path(sys.argv[2] + '3.png'));"
        "assert 'torch' not in sys.modules, 'a figure job imports torch'"
    )
    # another clock, hash seed and matplotlibrc must leave no trace
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nlines.linewidth: 9\nsavefig.bbox: tight\n")
    for name, other in (
        ("a", {}),
        ("b", {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "MATPLOTLIBRC": str(tmp_path)}),
    ):
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / name)]
        subprocess.run(command, check=True, env=os.environ | other)
    for kind in ("1.pdf", "1.png", "3.pdf", "3.png"):
        assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes(), kind
