"""The figures of CLIP-InterpreT's tables and of the labels of heads say what their tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout
from matplotlib.text import Text

from vitpeel.clip import chance, interpretability, labels, lexicon, printed
from vitpeel.clip.head_texts import heads
from vitpeel.demo.descriptions import descriptions
from vitpeel.errors import VitpeelError
from vitpeel.plots import clip_heads, clip_tables, style
from vitpeel.tables import HEAD_TEXTS

LISTED = descriptions()


def texts(
    layers: int, number: int, model: str = "clip-small", seed: int = 0, count: int = 10
) -> pd.DataFrame:
    """Heads whose texts lean towards one end of the list, where neighbours are about one property."""
    rng = np.random.default_rng(seed)
    rows = []
    for layer in range(8, 8 + layers):
        for head in range(number):
            near = rng.integers(len(LISTED) - 30) + rng.integers(0, 30, size=count)
            far = rng.integers(len(LISTED), size=count)
            picked = np.where(rng.random(count) < 0.6, near, far)
            rows += [(model, layer, head, rank, LISTED[k], 0.1) for rank, k in enumerate(picked, 1)]
    return pd.DataFrame(rows, columns=HEAD_TEXTS.names)


def labelled(models: dict[str, tuple[int, int]]) -> pd.DataFrame:
    parts = []
    for seed, (model, (layers, number)) in enumerate(models.items()):
        own = heads(texts(layers, number, model, seed), 10)
        parts.append(labels.table(own, LISTED, {"kind": "lexicon"}, {}, None)[0])
    return pd.concat(parts, ignore_index=True)


def rows(models: dict[str, tuple[int, int]], by_lot: bool = True) -> pd.DataFrame:
    found = labelled(models)
    lot = chance.of_models(found, lexicon.shipped(), LISTED, 3) if by_lot else {}
    return printed.beside(interpretability.scores(found, lot, resamples=200))


DEMO = {"clip-small": (4, 6), "clip-large": (4, 8)}
SIX = {row.model: (4, row.heads // 4) for row in printed.printed()}


@pytest.mark.parametrize("models", [DEMO, SIX, {"clip-small": (1, 2)}])
@pytest.mark.parametrize("table", [1, 2])
def test_layout_of_the_tables(models: dict[str, tuple[int, int]], table: int) -> None:
    check_layout(clip_tables.draw(rows(models), table, SOURCE))


def test_marks_and_numbers_are_the_table_s() -> None:
    own = rows(SIX)
    figure = clip_tables.draw(own, 1, SOURCE)
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    for axes, measure in zip(panels, ("shared", "unique"), strict=True):
        some = own[own["measure"] == measure]
        dots = sorted(line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o")
        np.testing.assert_allclose(dots, sorted(some["share"]))
        bars = sorted(
            tuple(line.get_xdata())
            for line in axes.lines
            if line.get_linewidth() == 1.6 and len(line.get_xdata()) == 2
        )
        np.testing.assert_allclose(bars, sorted(zip(some["low"], some["high"], strict=True)))
        grey = sorted(tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 7)
        np.testing.assert_allclose(grey, sorted(zip(some["chance_low"], some["chance_high"], strict=True)))
        diamonds = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
        assert diamonds == ([0.437, 0.52, 0.5, 0.541, 0.359, 0.343] if measure == "unique" else [])
    said = " ".join(text.get_text() for text in figure.findobj(Text))
    first = own[(own["measure"] == "unique") & ~own["folded"]].iloc[0]
    assert f"{first['count']}/48  {100 * first['share']:.0f} % [" in said
    assert "21/48  printed as 0.437" in said and "22/64  printed as 0.343" in said
    assert "; at 48 heads " in said and "lexicon, lists of words and no language model" in said


def test_the_title_says_what_lot_gives() -> None:
    own = rows(DEMO)
    assoc = own[(own["measure"] == "associated") & own["share"].notna()]
    low, high = 100 * assoc["share"].min(), 100 * assoc["share"].max()
    title = clip_tables.finding(own, 2)
    assert title.startswith(
        f"{low:.0f} % to {high:.0f} % of a model’s heads have at least 3 texts that match"
    )
    assert "; with texts by lot " in title
    single = rows({"clip-small": (4, 6)}, by_lot=False)
    assert clip_tables.finding(single, 1).endswith("of clip-small’s heads share their label with another")
    assert clip_tables.finding(single.assign(share=np.nan), 1) == "No head of any model was counted"


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(VitpeelError, match="clip: table 2 has no rows"):
        clip_tables.draw(rows(DEMO).query("table == 1"), 2, SOURCE)


@pytest.mark.parametrize("shape", [(4, 6), (4, 16), (1, 3), (6, 12)])
def test_layout_of_the_grid(shape: tuple[int, int]) -> None:
    own = labels.grid(labelled({"clip-small": shape}), texts(*shape))
    check_layout(clip_heads.draw(own, SOURCE))


def test_the_grid_says_what_the_table_says() -> None:
    own = labels.grid(labelled({"clip-small": (4, 6)}), texts(4, 6))
    own.loc[0, ["label", "source"]] = "a person's label that goes on", "human"
    own.loc[0, "matches"] = pd.NA
    own.loc[1, ["label", "matches", "text"]] = "none", 0, "a text that is much too long " * 8
    figure = clip_heads.draw(own, SOURCE)
    check_layout(figure)
    said = [text.get_text() for text in figure.findobj(Text)]
    for row in own.iloc[2:].to_dict("records"):
        assert f"{row['matches']}/{row['texts']}" in said and row["label"] in said
    assert any("a person and lexicon, no language model" in text for text in said)
    own.loc[2, "matches"] = 2
    weights = [
        text.get_fontweight()
        for text in clip_heads.draw(own, SOURCE).findobj(Text)
        if text.get_text() in set(own["label"]) and text.get_text() != own.loc[0, "label"]
    ]
    assert weights[:2] == ["normal", "normal"] and "bold" in weights
    names = own["label"].tolist()
    most = max(set(names) - {"none"}, key=names.count)
    assert f"{len(own) - names.count('none')} of 24 heads" in clip_heads.finding(own)
    assert f"({names.count(most)} heads)" in clip_heads.finding(own)


def test_shared_labels_have_a_colour_each_and_single_ones_have_none() -> None:
    own = labels.grid(labelled({"clip-small": (4, 6)}), texts(4, 6))
    (axes,) = clip_heads.draw(own, SOURCE).axes
    fills = [patch.get_facecolor() for patch in axes.patches]
    by_label: dict[str, set[tuple[float, ...]]] = {}
    for name, fill in zip(own["label"], fills, strict=True):
        by_label.setdefault(name, set()).add(fill)
    assert all(len(colours) == 1 for colours in by_label.values())
    times = own["label"].value_counts()
    coloured = [name for name, colours in by_label.items() if colours != {(1.0, 1.0, 1.0, 1.0)}]
    assert all(times[name] > 1 for name in coloured) and len(coloured) == min(
        7, (times.drop("none", errors="ignore") > 1).sum()
    )
    assert len({next(iter(by_label[name])) for name in coloured}) == len(coloured)


def test_titles_of_odd_grids() -> None:
    own = labels.grid(labelled({"clip-small": (1, 2)}), texts(1, 2))
    assert clip_heads.finding(own.assign(label="none")) == (
        "clip-small: none of 2 heads has texts with a property in common"
    )
    assert clip_heads.finding(own.assign(label=["a", "b"])).endswith("have 2 labels, all of them different")


def test_the_csvs_give_the_same_pages(tmp_path: Path) -> None:
    from vitpeel.tables import write_csv

    given = rows(DEMO)
    write_csv(tmp_path / "scores.csv", given)
    grid = labels.grid(labelled({"clip-small": (4, 6)}), texts(4, 6))
    grid.loc[0, "matches"] = pd.NA
    grid.loc[1, "label"] = "none"
    write_csv(tmp_path / "grid.csv", grid)
    pages = [
        (
            clip_tables.draw(given, 1, SOURCE),
            clip_tables.draw(clip_tables.read(tmp_path / "scores.csv"), 1, SOURCE),
        ),
        (clip_heads.draw(grid, SOURCE), clip_heads.draw(clip_heads.read(tmp_path / "grid.csv"), SOURCE)),
    ]
    for number, both in enumerate(pages):
        drawn = []
        for place, page in enumerate(both):
            out = tmp_path / f"{number}{place}.png"
            style.save([page], out.with_suffix(".pdf"), out)
            drawn.append(out.read_bytes())
        assert drawn[0] == drawn[1]
