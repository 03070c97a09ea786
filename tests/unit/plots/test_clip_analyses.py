"""The figures of the five analyses say what their tables and maps say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout, picture
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from vitpeel.errors import VitpeelError
from vitpeel.plots import clip_neighbours, clip_segmentation
from vitpeel.tables import NEIGHBOURS, SEGMENTATIONS, write_csv

HEADS = " ".join(f"L{layer}.H{head}" for layer in (8, 9, 10, 11) for head in range(3))
LONG = "an image of a thing that is described at more length than any caption would ever have"
SAID = {
    "property": ("unusual-000", "colors", HEADS),
    "picture": ("unusual-000", "none", "L11.H3"),
    "text": ("a tornado", "weather and seasons", "L11.H3"),
}
SIZES = ((192, 192), (300, 100), (64, 200))


def neighbours(analysis: str, queries: int, count: int, measure: str = "cosine") -> pd.DataFrame:
    asked, label, heads = SAID[analysis]
    rows = []
    for query in range(queries):
        name = (asked if analysis == "text" else f"unusual-{query:03d}") if query else LONG
        name = name if analysis == "text" or query else "an-image-id-that-goes-on-and-on-and-on"
        rows += [
            (
                "clip-large",
                analysis,
                query,
                name,
                label,
                heads,
                measure,
                rank,
                f"p{query}{rank}",
                1 / (query + rank + 1),
            )
            for rank in range(1, count + 1)
        ]
    return pd.DataFrame(rows, columns=NEIGHBOURS.names)


def pictures(names: Any) -> dict[str, Image.Image]:
    return {str(name): picture(*SIZES[number % 3]) for number, name in enumerate(names)}


def drawn(rows: pd.DataFrame) -> Any:
    return clip_neighbours.draw(rows, pictures(rows["asked"]), pictures(rows["image_id"]), SOURCE)


def said(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def same(one: Any, other: Any) -> bool:
    drawn = []
    for figure in (one, other):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn.append(np.asarray(canvas.buffer_rgba()))
    return bool(np.array_equal(*drawn))


@pytest.mark.parametrize(
    ("analysis", "queries", "count"),
    [
        ("property", 6, 4),
        ("property", 1, 8),
        ("picture", 2, 8),
        ("picture", 3, 1),
        ("text", 1, 4),
        ("text", 2, 8),
    ],
)
def test_layout_of_neighbours(analysis: str, queries: int, count: int) -> None:
    check_layout(drawn(neighbours(analysis, queries, count)))


@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_every_neighbour_is_there_with_its_score(measure: str) -> None:
    rows = neighbours("property", 2, 3, measure)
    rows["score"] = [0.987, 0.5, 0.25, 0.0123456, 0.001, -0.1]
    words = said(drawn(rows))
    scores = ["0.987", "0.500", "0.250", "0.012", "0.001", "-0.100"]
    if measure == "dot":
        scores = ["0.987", "0.5", "0.25", "0.0123", "0.001", "-0.1"]
    assert [word for word in words if word in scores] == scores
    assert [word for word in words if word in set(rows["image_id"])] == rows["image_id"].tolist()
    assert words.count("“colors”") == 2 and words.count("L11.H2") == 2 and words.count("12") == 2
    assert any(word.startswith("Cosine of" if measure == "cosine" else "Product of") for word in words)


def test_asked_and_found_pictures_of_one_id_are_two_pictures() -> None:
    rows = neighbours("picture", 2, 1).assign(asked="7", image_id="7")
    black, white = (Image.new("RGB", (32, 32), colour) for colour in ("black", "white"))
    figure = clip_neighbours.draw(rows, {"7": black}, {"7": white}, SOURCE)
    shown = [int(np.asarray(axes.images[0].get_array()).max()) for axes in figure.axes if axes.images]
    assert shown == [0, 255, 0, 255]


def test_rows_are_drawn_by_rank_whatever_their_order() -> None:
    rows = neighbours("property", 2, 4)
    figure = drawn(rows.sample(frac=1, random_state=0))
    names = [word for word in said(figure) if word in set(rows["image_id"])]
    assert names == rows["image_id"].tolist()


def test_titles_of_neighbours() -> None:
    def title(analysis: str, queries: int) -> str:
        return clip_neighbours.finding(neighbours(analysis, queries, 2))

    assert title("property", 3) == (
        "clip-large: the nearest picture is at cosine 0.5 by “colors”, at 0.25 by “colors”"
    )
    assert title("picture", 1).endswith("by L11.H3 is p01 (cosine 0.5)")
    assert title("text", 2).endswith("at 0.33 to “a tornado”")
    assert "nearest to “an image of" in title("text", 1)
    assert " in L11.H3 “weather and seasons” is p01" in title("text", 1)


def test_a_page_of_no_or_several_analyses_is_refused() -> None:
    both = pd.concat([neighbours("text", 1, 1), neighbours("picture", 1, 1)])
    with pytest.raises(VitpeelError, match="one analysis, but the table holds picture, text"):
        drawn(both)
    with pytest.raises(VitpeelError, match="holds nothing"):
        drawn(both[:0])
    table, maps, seen = topics([1])
    with pytest.raises(VitpeelError, match="holds contrast, topic"):
        clip_segmentation.draw(pd.concat([table, contrasts(1)[0]]), maps, seen, SOURCE)


def test_the_csv_of_neighbours_gives_the_same_page(tmp_path: Path) -> None:
    rows = neighbours("picture", 1, 2).assign(image_id="007", asked="001")
    write_csv(tmp_path / "rows.csv", rows)
    assert same(drawn(rows), drawn(clip_neighbours.read(tmp_path / "rows.csv")))


def topics(counts: list[int], size: tuple[int, int] = (64, 64)) -> Any:
    rows = [
        (
            "clip-large",
            "topic",
            query,
            f"unusual-{number:03d}",
            LONG if query else "a dog",
            None,
            "colors",
            "L11.H3",
        )
        for query, count in enumerate(counts)
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=SEGMENTATIONS.names), *maps(len(rows), size)


def contrasts(count: int) -> Any:
    long = [(LONG, LONG), ("a tornado", "a thunderstorm")]
    heads = [HEADS, HEADS + " L11.H7", "L11.H3", "L9.H0 L9.H1"]
    rows = [
        ("clip-large", "contrast", query, f"unusual-{query:03d}", *long[query % 2], "", heads[query % 4])
        for query in range(count)
    ]
    return pd.DataFrame(rows, columns=SEGMENTATIONS.names), *maps(count, (64, 64))


def maps(count: int, size: tuple[int, int]) -> Any:
    draw = np.random.default_rng(0)
    looks = draw.normal(size=(count, 8, 8)).astype("float32") / 1e4
    return looks, np.stack([np.asarray(picture(*size))] * count)


@pytest.mark.parametrize("counts", [[1], [1] * 6, [1, 4]])
def test_layout_of_topics(counts: list[int]) -> None:
    check_layout(clip_segmentation.draw(*topics(counts, (96, 64)), SOURCE))


@pytest.mark.parametrize("count", [1, 4])
def test_layout_of_contrasts(count: int) -> None:
    check_layout(clip_segmentation.draw(*contrasts(count), SOURCE))


def test_scales_are_symmetric_and_say_the_largest_number() -> None:
    table, looks, seen = topics([2, 1])
    looks[1, 0, 0], looks[2, 3, 3] = -0.125, 0.5
    figure = clip_segmentation.draw(table, looks, seen, SOURCE)
    ticks = [[label.get_text() for label in axes.get_xticklabels()] for axes in figure.axes]
    assert [own for own in ticks if len(own) == 3 and own[1] == "0"] == [
        ["−0.12", "0", "0.12"],
        ["−0.5", "0", "0.5"],
    ]
    table, looks, seen = contrasts(2)
    words = said(clip_segmentation.draw(table, looks, seen, SOURCE))
    assert "“a tornado” rather than “a thunderstorm”" in words
    assert "a tornado" in words and "a thunderstorm" in words
    assert "13 heads of layers 8 to 11, added up" in words


def test_every_map_is_beside_its_own_picture() -> None:
    table, looks, seen = topics([2, 1])
    seen = np.stack([np.full((64, 64, 3), 40 * (number + 1), np.uint8) for number in range(3)])
    most = [float(np.abs(looks[:2]).max())] * 2 + [float(np.abs(looks[2]).max())]
    figure = clip_segmentation.draw(table, looks, seen, SOURCE)
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    pairs = [image for image in shown if image.shape[0] > 1]
    for number in range(3):
        np.testing.assert_array_equal(pairs[2 * number], seen[number])
        over = clip_segmentation.overlay(seen[number], looks[number], most[number])
        np.testing.assert_array_equal(pairs[2 * number + 1], over)


def test_colours_lie_where_the_map_is() -> None:
    look = np.zeros((4, 6), np.float32)
    look[0, 0], look[3, 5] = 1, -1
    over = clip_segmentation.overlay(np.full((40, 60, 3), 128, np.uint8), look, 1.0).astype(int)
    assert over.shape[:2] == (40 * 5, 60 * 5)
    red, _, blue = over[5, 5]
    assert blue > red + 80  # upper left, above zero
    red, _, blue = over[-5, -5]
    assert red > blue + 80  # lower right, below zero
    assert len(set(over[100, 150])) == 1  # zero is grey
    half = clip_segmentation.overlay(np.full((40, 60, 3), 128, np.uint8), look, 2.0).astype(int)
    assert half[5, 5, 2] - half[5, 5, 0] < over[5, 5, 2] - over[5, 5, 0]


def test_titles_of_maps() -> None:
    table, looks, _ = topics([1, 1])
    looks[:] = -0.5
    assert clip_segmentation.finding(table, looks) == "clip-large: no patch adds towards its text"
    looks[0, 0, :4] = 1  # half of four equal patches are two
    assert clip_segmentation.finding(table, looks).endswith("towards a text comes from 2 of 64 patches")
    looks[1, 5, 5] = 1
    assert clip_segmentation.finding(table, looks).endswith("comes from 1 to 2 of 64 patches")
    table, looks, _ = contrasts(2)
    looks[:] = 0
    looks[0, 0, 0], looks[0, 0, 1], looks[1, 0, 0] = 3, -1, -1
    assert clip_segmentation.finding(table, looks).endswith("outweighs the second in 1 of 2 pictures")
    second = table[1:]
    assert clip_segmentation.finding(second, looks[1:]) == (
        "clip-large: “a thunderstorm” outweighs “a tornado” in unusual-001 (100 % of the map)"
    )
    assert clip_segmentation.finding(second, -looks[1:]) == (
        "clip-large: “a tornado” outweighs “a thunderstorm” in unusual-001 (100 % of the map)"
    )
    assert "(75 % of the map)" in clip_segmentation.finding(table[:1], looks[:1])


def test_the_csv_of_maps_gives_the_same_page(tmp_path: Path) -> None:
    for number, (table, looks, seen) in enumerate((topics([1]), contrasts(1))):
        path = tmp_path / f"{number}.csv"
        write_csv(path, table.assign(image_id="007"))
        one = clip_segmentation.draw(table.assign(image_id="007"), looks, seen, SOURCE)
        other = clip_segmentation.draw(clip_segmentation.read(path), looks, seen, SOURCE)
        assert same(one, other)
