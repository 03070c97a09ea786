"""The figures of sections 3.3 to 3.5 say what their tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import SOURCE, check_layout, picture
from matplotlib.figure import Figure
from matplotlib.text import Text

from vitpeel import heatmaps, perspective_tables, perspectives
from vitpeel.errors import InputError, VitpeelError
from vitpeel.plots import dataflow as dataflow_plot
from vitpeel.plots import delta_maps
from vitpeel.plots import outliers as outliers_plot
from vitpeel.plots import perspectives as perspectives_plot
from vitpeel.tables import write_csv


def flow_rows(attention: np.ndarray, pictures: int = 20, heads: int = 4) -> pd.DataFrame:
    """A dataflow table: heads take `attention` [layers] of an update of length 2, the bias 5 %."""
    rng, rows = np.random.default_rng(0), []
    for image in range(pictures):
        for layer, part in enumerate(attention + rng.normal(0, 0.02, len(attention))):
            own = [part * (head + 1) / 10 for head in range(heads)]
            shares = dict(zip([f"head {n}" for n in range(heads)], own, strict=True))
            shares |= {"mlp": 0.95 - part, "bias": 0.05}
            for name, share in shares.items():
                rows.append((f"p{image}", layer, name, abs(share) * 2, share, np.sign(share)))
    columns = ["image_id", "layer", "component", "norm", "share", "cosine"]
    return pd.DataFrame(rows, columns=columns)


def crossing(depth: int = 39) -> np.ndarray:
    return np.where(np.arange(depth) < depth // 3, 0.2, 0.8)


def changed(curves: dict[str, np.ndarray], pictures: int = 20) -> pd.DataFrame:
    """A changes table of noisy curves, layers from 1."""
    rng, parts = np.random.default_rng(0), []
    for measure, curve in curves.items():
        index = pd.MultiIndex.from_product(
            [[f"p{n}" for n in range(pictures)], range(1, len(curve) + 1)], names=["image_id", "layer"]
        )
        values = curve + 0.05 * rng.random((pictures, len(curve)))
        rows = pd.DataFrame({"change": values.ravel()}, index=index)
        parts.append(rows.reset_index().assign(measure=measure))
    return pd.concat(parts, ignore_index=True)


def compared(
    sign: float, language: float, pictures: int = 20, depth: int = 39, reading: str = "map"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rise = np.linspace(0.1, 1, depth - 1)
    turned = 1.1 - rise
    heat = rise if sign > 0 else turned
    curves = {"update": rise, "relative update": turned, reading: heat, "bleu4": rise, "cider": turned}
    changes = changed(curves | {"bertscore": rise if language > 0 else turned}, pictures)
    return perspectives.curves(changes, 100), perspectives.correlations(changes, 100)


def outlier_figure(depth: int = 39, pictures: int = 3, rule: str = "mad") -> tuple[pd.DataFrame, Figure]:
    rng = np.random.default_rng(0)
    maps, norms = rng.gamma(1, size=(pictures, depth, 8, 8)), rng.uniform(28, 32, (pictures, depth, 64))
    norms[:, : depth // 2, 9] = 90
    how = heatmaps.Outliers(rule=rule)  # type: ignore[arg-type]
    found = heatmaps.find_outliers(norms, how).reshape(maps.shape)
    ids = [f"unusual-{n:03d}" for n in range(pictures)]
    each = [
        dict(zip(ids, values, strict=True)) for values in (maps, found, heatmaps.handle(maps, found, how))
    ]
    shares = perspective_tables.outlier_shares(zip(maps, found, strict=True))
    drawn = perspective_tables.outlier_maps(*each, [0, 1, 2, 3, depth // 3, depth - 1])
    shown = dict.fromkeys(ids, picture())
    return shares, outliers_plot.draw(shares, drawn, shown, SOURCE, how)


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_dataflow_table_and_title() -> None:
    rows = perspective_tables.dataflow(flow_rows(crossing()), 100)
    own = rows.set_index(["quantity", "layer"])
    assert own["mean"]["attention", 20] == pytest.approx(0.8, abs=0.02)
    assert own["mean"]["head 3", 20] == pytest.approx(0.32, abs=0.01)
    assert own["mean"]["update", 0] == pytest.approx(2)
    assert own["low"]["mlp", 3] < own["mean"]["mlp", 3] < own["high"]["mlp", 3]
    expected = (
        "The heads make more of CLS's update than the MLP in 26 of 39 layers (13–38), less in 13 (0–12)"
    )
    assert dataflow_plot.finding(rows) == expected
    turned = perspective_tables.dataflow(flow_rows(0.95 - crossing()), 100)
    assert dataflow_plot.finding(turned).startswith("The MLP makes more of CLS's update than the heads in 26")
    equal = perspective_tables.dataflow(flow_rows(np.full(5, 0.475)), 100)
    assert "about equally" in dataflow_plot.finding(equal)
    alone = perspective_tables.dataflow(flow_rows(crossing(), pictures=1), 100)
    assert "no interval" in dataflow_plot.finding(alone)
    assert "more of patch 7's update than" in words(dataflow_plot.draw(rows, SOURCE, "patch 7"))


def test_perspectives_title_is_computed() -> None:
    curves, same = compared(1, 1)
    assert perspectives_plot.finding(same, "bertscore").startswith("The three perspectives see the same")
    _, mixed = compared(1, -1)
    title = perspectives_plot.finding(mixed, "bertscore")
    assert title.startswith("Data flow and heatmap (+0.9") or title.startswith("Data flow and heatmap (+1.0")
    assert "heatmap and language (−" in title and title.endswith("do not")
    assert "agree on" in perspectives_plot.finding(compared(-1, -1)[1], "bertscore")
    assert "cannot be told" in perspectives_plot.finding(compared(1, 1, pictures=1)[1], "bertscore")
    still = changed({"update": np.arange(5.0), "map": np.arange(5.0), "bleu4": np.zeros(5)})
    still = still.assign(change=still["change"].mask(still["measure"] == "bleu4", 0.0))
    title = perspectives_plot.finding(perspectives.correlations(still, 50), "bleu4")
    assert title.startswith("Data flow and heatmap (+1.00) agree")
    assert title.endswith("data flow and language, heatmap and language cannot be told, for nothing changes")
    never = perspectives.correlations(still[still["measure"] != "map"], 50)
    assert perspectives_plot.finding(never, "bleu4").startswith("Nothing changes")
    with pytest.raises(
        VitpeelError, match=r"no meteor in the table\. There are: update, relative update, map"
    ):
        perspectives_plot.draw(curves, same, SOURCE, "meteor")


def test_outliers_title_is_computed() -> None:
    shares, figure = outlier_figure()
    title = outliers_plot.finding(shares)
    assert title.startswith(f"{100 * shares['patches'].mean():.1f} % of the patches are outliers")
    assert title.endswith("20 of 39 layers have none")
    assert "embedded demo model" in words(figure)
    assert "norm above median + 10 MAD; inpainted, the map's sum kept" in words(figure)
    shares, figure = outlier_figure(rule="off")
    assert outliers_plot.finding(shares) == "No patch is an outlier in any layer"
    assert "Outliers are not looked for (perspectives.outliers.rule: off)" in words(figure)
    check_layout(figure)


def test_outlier_tables() -> None:
    maps = np.ones((2, 3, 2, 2))
    maps[0, 1, 0, 0] = 5
    found = np.zeros(maps.shape, dtype=bool)
    found[0, 1, 0, 0] = True
    shares = perspective_tables.outlier_shares(zip(maps, found, strict=True))
    assert shares["patches"].tolist() == [0, 1 / 8, 0]
    assert shares["attention"].tolist() == pytest.approx([0, 5 / 8 / 2, 0])
    assert shares["attention_low"].tolist() == [0, 0, 0]
    assert shares["attention_high"].tolist() == pytest.approx([0, 5 / 8, 0])
    handled = heatmaps.handle(maps, found, heatmaps.Outliers(renormalise=False))
    rows = perspective_tables.outlier_maps({"a": maps[0]}, {"a": found[0]}, {"a": handled[0]}, [1])
    assert rows["attention"].tolist() == [2.5, 0.5, 0.5, 0.5]
    assert rows["handled"].tolist() == [0.5] * 4
    assert rows["outlier"].tolist() == [True, False, False, False]


@pytest.mark.parametrize(("depth", "pictures"), [(39, 20), (12, 1)])
def test_layout(depth: int, pictures: int) -> None:
    rows = perspective_tables.dataflow(flow_rows(crossing(depth), pictures), 50)
    check_layout(dataflow_plot.draw(rows, SOURCE))
    for sign, language in ((1, 1), (1, -1), (-1, 1)):
        tables = compared(sign, language, pictures, depth)
        check_layout(perspectives_plot.draw(*tables, SOURCE, "bertscore"))
    for reading in perspectives.HEATMAPS:
        curves, pairs = compared(1, 1, pictures, depth, reading)
        check_layout(perspectives_plot.draw(curves, pairs, SOURCE, "cider", token=200))
    figure = outlier_figure(depth, min(pictures, 3))[1]
    check_layout(figure)
    assert all(axes.get_position().x0 >= 0 and axes.get_position().x1 <= 0.99 for axes in figure.axes)


def test_curves_drawn_are_the_tables() -> None:
    rows = perspective_tables.dataflow(flow_rows(crossing()), 50)
    shares = dataflow_plot.draw(rows, SOURCE).axes[0]
    attention = rows[rows["quantity"] == "attention"]["mean"]
    assert any(np.array_equal(line.get_ydata(), attention) for line in shares.lines)
    curves, correlations = compared(1, -1)
    figure = perspectives_plot.draw(curves, correlations, SOURCE, "bertscore")
    for axes, measure in zip(figure.axes, ("update", "relative update", "map"), strict=False):
        drawn = curves[curves["measure"] == measure]["mean"]
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), drawn)


def stack(pictures: int = 2, depth: int = 6) -> dict[str, np.ndarray]:
    maps = np.random.default_rng(0).random((pictures, depth, 4, 4)) / 20
    return {f"p{n}": own for n, own in enumerate(maps)}


def test_delta_maps_are_the_differences_and_in_the_chosen_order() -> None:
    maps = stack(3)
    rows = perspective_tables.delta_maps(maps.items(), ["p2", "p0"], [0, 3, 5], "figures.outliers.images")
    assert rows["image_id"].unique().tolist() == ["p2", "p0"] and rows["layer"].unique().tolist() == [3, 5]
    own = rows[(rows["image_id"] == "p0") & (rows["layer"] == 5)]
    np.testing.assert_allclose(own["change"], 16 * (maps["p0"][5] - maps["p0"][4]).ravel())
    np.testing.assert_allclose(own["after"] - own["before"], own["change"])
    np.testing.assert_allclose(own["l1"], np.abs(maps["p0"][5] - maps["p0"][4]).sum())
    with pytest.raises(InputError, match=r"figures\.outliers\.images: picture p9 has no heatmaps"):
        perspective_tables.delta_maps(maps.items(), ["p9"], [3], "figures.outliers.images")
    assert perspective_tables.delta_maps(maps.items(), ["p0"], [0], "key").empty


@pytest.mark.parametrize("layers", [[1], [1, 2, 3, 4, 5, 6]])
def test_the_page_of_delta_maps(layers: list[int]) -> None:
    curves, _ = compared(1, 1, depth=7)
    rows = perspective_tables.delta_maps(stack(depth=7).items(), ["p0", "p1"], layers, "key")
    page = delta_maps.draw(rows, curves, dict.fromkeys(["p0", "p1"], picture()), SOURCE)
    check_layout(page)
    heat = curves[curves["measure"] == "map"].set_index("layer")["mean"]
    said = f"changes most in layer {heat.idxmax()} (L1 {heat.max():.2g}), least in layer {heat.idxmin()}"
    assert said in delta_maps.finding(curves)
    value = rows[(rows["image_id"] == "p1") & (rows["layer"] == layers[-1])]["l1"].iloc[0]
    assert f"L1 {value:.2f}" in words(page)
    drawn = page.axes[3].images[0].get_array()
    np.testing.assert_allclose(drawn.ravel(), rows["change"].iloc[:16])


def test_the_title_of_the_delta_maps_names_the_reading() -> None:
    curves, _ = compared(1, 1, reading="literal")
    assert delta_maps.finding(curves).startswith("The amount of CLS's attention to patches changes most in")
    still = curves.assign(mean=0.0)
    assert delta_maps.finding(still) == "No layer looks anywhere else than the one before"


def test_the_csv_gives_the_same_title(tmp_path: Path) -> None:
    rows = perspective_tables.dataflow(flow_rows(crossing()), 50)
    write_csv(tmp_path / "dataflow.csv", rows)
    read = dataflow_plot.read(tmp_path / "dataflow.csv")
    assert dataflow_plot.finding(read) == dataflow_plot.finding(rows)
    _, correlations = compared(1, -1)
    write_csv(tmp_path / "perspectives.csv", correlations)
    again = perspectives_plot.read(tmp_path / "perspectives.csv")
    assert perspectives_plot.finding(again, "bertscore") == perspectives_plot.finding(
        correlations, "bertscore"
    )
