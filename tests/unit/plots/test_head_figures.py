"""Figure 6 and appendix D hold whatever number of heads, masks and layers there is, and say what came out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout, picture
from matplotlib.text import Text

from vitpeel import heads
from vitpeel.errors import VitpeelError
from vitpeel.heatmaps import Outliers
from vitpeel.plots import appendix_d, fig6, pages
from vitpeel.provenance import Provenance
from vitpeel.sweep import HeadReading
from vitpeel.tensors import write_tensors

SAID = [
    "a dog",
    "a thing for $5 or $6",
    "",
    "a kangaroo in a city street with a very long tail and more " * 3,
]


def captions(layer: int, count: int, reading: HeadReading, masks: heads.Masks, depth: int) -> pd.DataFrame:
    """What `heads.plan` reads of picture 7, in words from SAID."""
    rows = [
        ("7", variant.name, at, head, SAID[(at + (head or 0)) % 4], 5, head == 1)
        for variant in heads.plan(layer, reading, masks, depth)
        for at in variant.layers
        for head in (range(count) if variant.heads else [None])
    ]
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return pd.DataFrame(rows, columns=columns).astype({"head": "Int16"})


def tables(
    tmp_path: Path, layer: int, count: int, reading: HeadReading = "alone"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figure 6's two tables, of 39 layers of 8 x 8 patches, as its CSVs give them."""
    generator = np.random.default_rng(0)
    looks = {
        "attention": generator.gamma(0.5, size=(1, 39, count, 65)).astype("float32"),
        "norms": generator.random((1, 39, 65)).astype("float32"),
    }
    write_tensors(tmp_path / "a.safetensors", looks, Provenance(checkpoint="c"), ["7"])
    said = captions(layer, count, reading, [{layer: [0]}], 39)
    made = {
        "fig6": heads.fig6(said, ["7"], layer, reading),
        "maps": heads.fig6_heatmaps([tmp_path / "a.safetensors"], ["7"], layer, Outliers()),
    }
    for name, table in made.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return fig6.read(tmp_path / "fig6.csv"), fig6.read(tmp_path / "maps.csv")


def words(page: object) -> list[str]:
    return [text.get_text() for text in page.findobj(Text)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 4, 8, 11, 16, 25])
@pytest.mark.parametrize("size", [(192, 192), (900, 300), (60, 240)])
def test_every_head_has_its_panel(tmp_path: Path, count: int, size: tuple[int, int]) -> None:
    rows, maps = tables(tmp_path, 27, count)
    references = ["a kangaroo in a city", "an animal far from where it lives, among houses", "a kangaroo"]
    page = fig6.draw(rows, maps, picture(*size), references, SOURCE, Outliers())
    check_layout(page)
    found = [text for text in words(page) if text.startswith("Head ")]
    assert found == [f"Head {head}" + (" (cut)" if head == 1 else "") for head in range(count)]
    assert {"Layer 26", "Layer 27, all heads"} <= set(words(page))
    assert len(page.axes) == count + 4  # the picture, two layers, the scale


@pytest.mark.parametrize("reading", ["alone", "left out", "bare"])
def test_each_reading_is_named(tmp_path: Path, reading: HeadReading) -> None:
    rows, maps = tables(tmp_path, 27, 16, reading)
    page = fig6.draw(rows, maps, picture(), [], SOURCE, Outliers())
    check_layout(page)
    name = {"alone": "Head 15", "left out": "Without 15", "bare": "Head 15"}[reading]
    assert name in words(page)


def test_layer_0_stands_beside_the_embedding(tmp_path: Path) -> None:
    rows, maps = tables(tmp_path, 0, 4)
    page = fig6.draw(rows, maps, picture(), ["a thing"], SOURCE, Outliers())
    check_layout(page)
    assert {"Embedding", "Layer 0, all heads", "Head 3"} <= set(words(page))
    assert any("green: what the embedding said, which attends to nothing" in text for text in words(page))
    panel = np.asarray(page.axes[1].images[0].get_array())
    assert np.ptp(panel, axis=-1).max() == 0  # no colour


def test_blue_and_green_are_the_words_of_the_layers(tmp_path: Path) -> None:
    rows, maps = tables(tmp_path, 27, 8)
    page = fig6.draw(rows, maps, picture(), [], SOURCE, Outliers())
    colours = {text.get_text().removesuffix(" (cut)"): text.get_color() for text in page.findobj(Text)}
    for row in rows[rows["part"] == "head"].to_dict("records"):
        same = (
            "#0072B2" if row["caption"] == SAID[3] else "#009E73" if row["caption"] == SAID[2] else "#1A1A1A"
        )
        assert colours[f"Head {row['head']}"] == same


def said(*heads_say: str, layer: str = "new", before: str = "old", reading: str = "alone") -> str:
    rows = pd.DataFrame(
        [("before", 26, before), *(("head", 27, words) for words in heads_say), ("layer", 27, layer)],
        columns=["part", "layer", "caption"],
    )
    as_layer, as_before = rows["caption"] == layer, rows["caption"] == before
    made = fig6.finding(rows.assign(reading=reading, as_layer=as_layer, as_before=as_before))
    return made.replace("\xa0", " ")


def test_the_title_counts_the_heads() -> None:
    assert said("new", "new") == "Each of the 2 heads of layer 27 says what the whole layer says: “new”"
    assert said("new", before="new") == (
        "Each of the 1 heads of layer 27 says what the whole layer says, as layer 26 did: “new”"
    )
    assert said("old", "old") == (
        "All 2 heads of layer 27 say something else than the whole layer: what layer 26 said"
    )
    assert said("new", "old", "third", "new") == (
        "2 of the 4 heads of layer 27 say something else than the whole layer, 1 of them what layer 26 said; "
        "3 different captions"
    )
    assert said("new", "third") == (
        "1 of the 2 heads of layer 27 says something else than the whole layer; 2 different captions"
    )
    assert said("new", reading="left out") == "Without any one of its 1 heads, layer 27 still says “new”"
    assert said("new", "old", reading="left out") == (
        "Leaving out a single head changes what layer 27 says for 1 of its 2 heads, for 1 to what layer 26 "
        "said; 2 different captions"
    )


def test_a_head_without_a_heatmap_is_named(tmp_path: Path) -> None:
    rows, maps = tables(tmp_path, 27, 4)
    with pytest.raises(VitpeelError, match="fig6: picture 7 has no heatmap of layer 27, head 2"):
        fig6.draw(rows, maps[~maps["head"].eq(2).fillna(False)], picture(), [], SOURCE, Outliers())


MASKS = [{27: [0, 1]}, {38: [3]}, {20: [1], 22: [0, 2], 30: [3]}, {n: [n % 4] for n in range(39)}]


def masked(tmp_path: Path, masks: heads.Masks, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Appendix D's two tables, as its CSVs give them; with the masks other words are said at some layers."""
    rows = captions(5, count, "alone", masks, 39)
    edited = rows["variant"].str.startswith("mask") & (rows["layer"] != 38)
    rows.loc[edited, "caption"] = [f"a $ {text} dog" for text in rows.loc[edited, "caption"]]
    rows = pd.concat([rows, rows.assign(image_id="8")])
    heads.appendix_d(rows, ["7", "8"], masks).to_csv(tmp_path / "d.csv", index=False)
    heads.matrices(masks, count).to_csv(tmp_path / "m.csv", index=False)
    return appendix_d.read(tmp_path / "d.csv"), appendix_d.read(tmp_path / "m.csv")


@pytest.mark.parametrize("count", [4, 8, 16])
@pytest.mark.parametrize("times", [1, 4])
def test_every_mask_is_on_a_page(tmp_path: Path, count: int, times: int) -> None:
    rows, cells = masked(tmp_path, MASKS * times, count)
    drawn = appendix_d.draw(rows, cells, "7", picture(), SOURCE)
    assert len(drawn) > 1 if times > 1 else len(drawn) == 1
    found = []
    for page in drawn:
        check_layout(page)
        assert page.get_figheight() < 10
        found += [text for text in words(page) if text.startswith("Mask ")]
    assert found == [f"Mask {number}" for number in range(1, 4 * times + 1)]


def test_the_matrix_shows_what_is_masked(tmp_path: Path) -> None:
    rows, cells = masked(tmp_path, MASKS, 4)
    (page,) = appendix_d.draw(rows, cells, "7", picture(), SOURCE)
    matrix = np.asarray(page.axes[3].collections[0].get_array()).reshape(-1, 4)
    assert [tuple(place) for place in np.argwhere(matrix)] == [(0, 1), (2, 0), (2, 2), (10, 3)]
    assert [label.get_text() for label in page.axes[3].get_yticklabels()][:3] == [
        "layer 20",
        "layer 21",
        "layer 22",
    ]


def test_appendix_d_counts_what_changed(tmp_path: Path) -> None:
    rows, _ = masked(tmp_path, MASKS[:3], 4)
    assert appendix_d.finding(rows, "8") == (
        "Masked heads change 0 of 3 captions at the last layer and 2 of 3 where they are masked; over 2 "
        "pictures 0 and 4 of 6"
    )
    rows, _ = masked(tmp_path, [{38: [0]}], 4)
    one = rows[rows["image_id"] == "7"]
    assert appendix_d.finding(one, "7") == "Masked heads change 0 of 1 captions at the last layer"


def test_changed_words_are_bold(tmp_path: Path) -> None:
    assert pages.changed("a dog in a street", "a cat in the street") == [
        ("a", False),
        ("cat", True),
        ("in", False),
        ("the", True),
        ("street", False),
    ]
    assert pages.changed("a dog", "") == []
    rows, cells = masked(tmp_path, [{26: [0]}], 4)
    (page,) = appendix_d.draw(rows, cells, "7", picture(), SOURCE)
    bold = [text.get_text() for text in page.findobj(Text) if text.get_color() == "#D55E00"]
    assert " ".join(bold).startswith("a $ dog")  # of layer 26, whose unedited caption is empty
