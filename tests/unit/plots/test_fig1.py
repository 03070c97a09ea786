"""Figure 1 shows every chosen layer, whatever the captions and the picture are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, caption_table, check_layout, heat_table, picture
from matplotlib.text import Text
from PIL import Image

from vitpeel import figure_tables
from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Outliers
from vitpeel.plots import fig1

HOW = Outliers()
CHOSEN = [0, 5, 11, 16, 21, 28, 31, 38]


@pytest.mark.parametrize("layers", [[38], CHOSEN, [*range(27, 39)], [*range(3, 39, 2)]])
@pytest.mark.parametrize("size", [(192, 192), (900, 300), (60, 240)])
def test_layout(layers: list[int], size: tuple[int, int]) -> None:
    references = ["a kangaroo in a city", "an animal far from where it lives, among houses", "a kangaroo"]
    page = fig1.draw(caption_table(layers), heat_table(layers), picture(*size), references, SOURCE, HOW)
    check_layout(page)
    words = [text.get_text() for text in page.findobj(Text)]
    assert [word for word in words if word.startswith("Layer ") and ":" not in word] == [
        f"Layer {layer}" + (" (cut)" if layer == 28 else "") for layer in layers
    ]


def test_captions_are_drawn_as_written_and_nothing_is_said_where_there_is_none() -> None:
    page = fig1.draw(caption_table(CHOSEN), heat_table(CHOSEN), picture(), [], SOURCE, HOW)
    texts = page.findobj(Text)
    words = [text.get_text() for text in texts]
    assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())  # no formula
    assert "a thing for $5 or $6" in words and "(empty caption)" in words and "References" not in words


def test_a_page_says_what_became_of_outliers() -> None:
    for how, said in (
        (Outliers(k=7, fill="masked"), "outliers (norm above median + 7 MAD) masked"),
        (Outliers(rule="absolute", norm=90), "outliers (norm above 90) inpainted"),
        (Outliers(rule="top", share=0.02), "outliers (the 2 % largest norms) inpainted"),
    ):
        page = fig1.draw(caption_table(CHOSEN), heat_table(CHOSEN), picture(), [], SOURCE, how)
        assert any(said in text.get_text() for text in page.findobj(Text)), said
        check_layout(page)
    page = fig1.draw(caption_table(CHOSEN), heat_table(CHOSEN), picture(), [], SOURCE, Outliers(rule="off"))
    assert not any("outliers" in text.get_text() for text in page.findobj(Text))


def test_title_is_computed_from_the_captions() -> None:
    rows = caption_table(CHOSEN)
    assert fig1.finding(rows) == "Layer\xa00: nothing; from layer\xa033 on: “a kangaroo in a city street”"
    same = rows.assign(caption="a dog")
    assert fig1.finding(same) == "Every layer says “a dog”"
    last = same.assign(caption=["a dog"] * 38 + ["a cat"])
    assert fig1.finding(last) == "Layer\xa00: “a dog”; only the last layer: “a cat”"
    assert fig1.settled_at(["a", "b", "a", "b", "b"]) == 3


def test_the_hottest_patch_is_where_the_attention_is() -> None:
    heat = np.full((1, 8, 8), 1.0)
    heat[0, 1, 6] = 12.0  # second row from the top, second column from the right
    white = Image.new("RGB", (192, 192), "white")
    maps = figure_tables.page_heatmaps({"7": heat}, [38])
    page = fig1.draw(caption_table([38]), maps, white, [], SOURCE, HOW)
    panel = np.asarray(page.axes[1].images[0].get_array(), dtype=float)
    darkness = panel.max() - panel.sum(axis=-1)
    y, x = np.argwhere(darkness >= np.quantile(darkness, 0.999)).mean(axis=0)
    assert (y // 24, x // 24) == (1, 6)
    assert np.ptp(panel[120:]) == 0  # at an equal share the picture is grey


def test_heatmaps_are_multiples_of_an_equal_share() -> None:
    heat = np.random.default_rng(0).random((2, 3, 4)) * 0.01
    rows = figure_tables.page_heatmaps({"b": heat, "a": heat}, [5, 38])
    assert rows["image_id"].tolist()[::24] == ["b", "a"]
    np.testing.assert_allclose(rows.groupby(["image_id", "layer"])["attention"].mean(), 1)
    cell = rows.query("image_id == 'a' and layer == 38 and row == 2 and column == 1")["attention"].item()
    assert cell == pytest.approx(heat[1, 2, 1] / heat[1].mean())


def test_the_csv_gives_the_same_tables(tmp_path: Path) -> None:
    rows = caption_table(CHOSEN)
    rows.loc[3, "caption"] = "None"
    rows["image_id"] = "007"
    rows.to_csv(tmp_path / "fig1.csv", index=False)
    pd.testing.assert_frame_equal(fig1.read(tmp_path / "fig1.csv"), rows, check_dtype=False)


def test_what_is_not_there_is_named() -> None:
    captions = caption_table([38]).assign(variant="unedited", head=pd.NA)
    with pytest.raises(
        VitpeelError, match=r"figures\.fig1\.images: no caption of picture 8\. There are 1: 7"
    ):
        figure_tables.page_captions(captions, ["8"], [38], "figures.fig1")
    with pytest.raises(
        VitpeelError, match=r"figures\.appendix_b\.layers: layer 39 was not captioned; 0 to 38 were"
    ):
        figure_tables.page_captions(captions, ["7"], [39], "figures.appendix_b")
    everything = list(range(39))
    with pytest.raises(VitpeelError, match=r"figures\.appendix_b\.layers: 39 layers do not fit on a page"):
        fig1.draw(
            caption_table(everything),
            heat_table(everything),
            picture(),
            [],
            SOURCE,
            HOW,
            "figures.appendix_b",
        )
    with pytest.raises(VitpeelError, match="picture 7 has no heatmap of layer 38"):
        fig1.draw(caption_table([38]), heat_table([5]), picture(), [], SOURCE, HOW)
