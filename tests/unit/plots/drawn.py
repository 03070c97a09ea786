"""The small tables that figures are drawn from, made from known curves, and checks of what was drawn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from vitpeel import figure_tables
from vitpeel.plots import style
from vitpeel.scores import bootstrap, plateau

SOURCE = style.Source("demo", "resources/demo/captioner", 200, embedded=True)


def curve_tables(
    curve: np.ndarray, metric: str = "cider", pictures: int = 60, empty: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figure 3's tables for scores around `curve` [layers]; `empty` captions of layer 0 are empty."""
    rng = np.random.default_rng(0)
    values = curve + rng.normal(0, 0.3, size=(pictures, 1)) + rng.normal(0, 0.02, size=(pictures, len(curve)))
    index = pd.MultiIndex.from_product(
        [[f"p{n:03d}" for n in range(pictures)], range(len(curve))], names=["image_id", "layer"]
    )
    rows = pd.DataFrame({"value": values.ravel()}, index=index).reset_index()
    rows = rows.assign(variant="unedited", metric=metric, head=pd.array([pd.NA] * len(rows), dtype="Int16"))
    blank = (rows["layer"] == 0) & (rows["image_id"] < f"p{empty:03d}")
    captions = rows.assign(caption=np.where(blank, "", "a dog"))
    summary = bootstrap.summarise(rows, captions, "whoops", resamples=200)
    gains = bootstrap.gain_to_last(rows, metric, resamples=200)
    return figure_tables.fig3(summary, gains, metric, 0.95), plateau.table(rows, metric, resamples=200)


def rising_curve() -> np.ndarray:
    """39 layers: flat, then a rise until layer 35, then a plateau."""
    return 0.2 + 1.1 / (1 + np.exp(-(np.minimum(np.arange(39), 35) - 24) / 5))


def caption_table(layers: list[int]) -> pd.DataFrame:
    """Figure 1's captions of one picture: empty, short, with a dollar sign, long; settled at layer 33."""
    said = ["", "something outdoors", "a thing for $5 or $6", "a dog in a street " * 20]
    captions = [said[layer // 9] if layer < 33 else "a kangaroo in a city street" for layer in range(39)]
    rows = [("7", "unedited", n, pd.NA, text, 5, n == 28) for n, text in enumerate(captions)]
    columns = ["image_id", "variant", "layer", "head", "caption", "tokens", "truncated"]
    return figure_tables.page_captions(
        pd.DataFrame(rows, columns=columns).astype({"head": "Int16"}), ["7"], layers, "figures.fig1"
    )


def heat_table(layers: list[int]) -> pd.DataFrame:
    """Figure 1's heatmaps of that picture, 8 x 8 patches."""
    return figure_tables.page_heatmaps(
        {"7": np.random.default_rng(0).gamma(1, size=(len(layers), 8, 8))}, layers
    )


def picture(width: int = 192, height: int = 192) -> Image.Image:
    """A picture with colour and structure."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 255 - across], axis=-1).astype("uint8"))


def check_layout(figure: Figure) -> None:
    """Every text is at least 8 pt, on the page, and on no other text."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    off = {
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) - 1e-9 <= tick.get_loc() <= max(axis.get_view_interval()) + 1e-9
    }
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text not in off]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    assert len(texts) > 10
    page = figure.bbox
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() >= 8, text
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1, text
    for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or down <= 4, f"{one} on {other}"  # pixels at 200 dpi: descenders may nearly touch
