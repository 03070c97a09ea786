"""The page of Table 1 says what its tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout
from matplotlib.text import Text

from vitpeel import pruning_tables
from vitpeel.errors import VitpeelError
from vitpeel.plots import style, table1
from vitpeel.tables import SCORES

GAINS = {"unedited": 0.0, "pruned": 0.0, "pruned only": 0.0, "scaled only": 0.0, "best": 0.0}


def plan(layers: int = 5, heads: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    keys = [(layer, head) for layer in range(24, 24 + layers) for head in range(heads)]
    table = pd.DataFrame(keys, columns=["layer", "head"]).assign(
        score=rng.uniform(0.8, 0.95, len(keys)), coefficient=rng.uniform(0.9, 1.1, len(keys)), pictures=100
    )
    rank = table.groupby("layer")["score"].rank()
    return table.assign(low=table["score"] - 0.02, high=table["score"] + 0.03, pruned=rank <= 2)


def rows(
    cider: float = 0.0, layer: float = 0.0, draws: int = 20, spread: float = 0.05, pictures: int = 50
) -> pd.DataFrame:
    """pruned gains this much CIDEr and layers; the draws spread around no change."""
    chance = {f"random {n}": by for n, by in enumerate(np.linspace(-spread, spread, draws))}
    noise = np.random.default_rng(0).normal(0, 0.01, size=(2, 40, pictures))
    noise -= noise.mean(axis=-1, keepdims=True)
    made = [
        (f"p{p:02d}", variant, 38, None, metric, level + p / 10 + (by or 0) * size + noise[m, v, p] * (v > 0))
        for m, (metric, level, size, gain) in enumerate(
            (("cider", 1.2, 1.0, cider), ("convergence", 30.0, 10.0, layer))
        )
        for v, (variant, by) in enumerate({**GAINS, "pruned": gain / size, **chance}.items())
        for p in range(pictures)
    ]
    scores = pd.DataFrame(made, columns=SCORES.names).astype({"head": "Int16"})
    return pruning_tables.table1(scores, plan(), parameters=4608, resamples=200)


def test_title_says_whether_random_pruning_does_as_well() -> None:
    alike = table1.finding(rows(0.03, -0.2))
    assert alike.startswith("Algorithm 1 raises CIDEr by 0.03, and captions settle 0.2 layers earlier")
    assert alike.endswith("4 and 6 of 20 random prunings do as well, so it is no result")
    apart = table1.finding(rows(0.3, -2.0))
    assert apart.endswith("in neither does random pruning do as well")
    assert "random pruning does as well in CIDEr (" in table1.finding(rows(-0.01, -2.0))
    assert "not in CIDEr" in table1.finding(rows(0.3, 0.3))
    few = table1.finding(rows(0.3, -2.0, draws=3))
    assert few.endswith("0 and 0 of 3 random prunings do as well, and 3 are too few to tell")
    nothing = table1.finding(rows())
    assert "does not measurably change CIDEr, and captions settle no earlier and no later" in nothing
    worse = table1.finding(rows(-0.2, 1.0))
    assert "lowers CIDEr by 0.20, and captions settle 1.0 layers later" in worse
    assert "cannot be told" in table1.finding(rows(pictures=1))


def test_points_and_bars_are_the_table_s() -> None:
    table = rows(0.03, -0.2)
    figure = table1.draw(table, plan(), SOURCE)
    for axes, metric in zip(figure.axes[:2], ("cider", "convergence"), strict=True):
        own = table[table["metric"] == metric].set_index("pruning")
        points = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        order = ["pruned", "pruned only", "scaled only", "random", "best"]
        np.testing.assert_allclose(points, own.loc[order, "change"])
        bars = [
            line.get_xdata()
            for line in axes.lines
            if line.get_linewidth() == 1.6 and len(line.get_xdata()) == 2
        ]
        bars = [bar for bar in bars if bar[0] != bar[1] or bar[0] != 0][: len(order)]
        np.testing.assert_allclose(bars, own.loc[order, ["change_low", "change_high"]])
        (dots,) = [line for line in axes.lines if len(line.get_xdata()) == 20]
        np.testing.assert_allclose(dots.get_xdata(), own["change"].filter(like="random ").to_numpy())


def test_the_page_gives_the_paper_s_numbers_as_the_paper_s_and_what_was_removed() -> None:
    texts = table1.draw(rows(), plan(), SOURCE).findobj(Text)
    said = " ".join(" ".join(text.get_text().split()) for text in texts)
    assert (
        "The paper's Table 1 BLIP2 FlanT5-XXL: CIDEr 1.2, pruned 1.24; convergence layer 35, pruned 34"
        in said
    )
    assert "removes 10 of 40 heads of these layers, 46,080 parameters" in said
    assert "A result that random pruning also gives is no result" in said
    assert "embedded demo model" in said


def test_pruned_heads_are_marked() -> None:
    heads = plan()
    axes = table1.draw(rows(), heads, SOURCE).axes[2]
    crossed = {
        tuple(map(round, t.get_position())) for t in axes.texts if "\N{MULTIPLICATION SIGN}" in t.get_text()
    }
    gone = heads[heads["pruned"]]
    assert crossed == {(layer - 24, head) for layer, head in zip(gone["layer"], gone["head"], strict=True)}


@pytest.mark.parametrize(("layers", "heads"), [(5, 8), (1, 4), (5, 16), (15, 16), (39, 12)])
def test_layout(layers: int, heads: int) -> None:
    for table in (rows(), rows(0.3, -2.0), rows(-0.03, 0.2, draws=1)):
        check_layout(table1.draw(table, plan(layers, heads), SOURCE))


def test_layout_without_halves_or_intervals() -> None:
    plain = rows()
    check_layout(table1.draw(plain[~plain["pruning"].str.contains("only")], plan(), SOURCE))
    check_layout(table1.draw(rows(pictures=1), plan(), SOURCE))


def test_the_csvs_give_the_same_page(tmp_path: Path) -> None:
    pages = []
    for given, heads in ((rows(), plan()),):
        given.to_csv(tmp_path / "table1.csv", index=False)
        heads.to_csv(tmp_path / "heads.csv", index=False)
        read = table1.read(tmp_path / "table1.csv"), table1.read(tmp_path / "heads.csv")
        for number, tables in enumerate(((given, heads), read)):
            out = tmp_path / f"{number}.pdf", tmp_path / f"{number}.png"
            style.save([table1.draw(*tables, SOURCE)], *out)
            pages.append(out[1].read_bytes())
    assert pages[0] == pages[1]


def test_a_metric_that_is_not_there_is_named() -> None:
    table = rows()
    with pytest.raises(VitpeelError, match=r"no convergence in the table\. There are: cider"):
        table1.draw(table[table["metric"] == "cider"], plan(), SOURCE)
