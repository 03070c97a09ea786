"""The lower layers (section 4.2): the variants of Figure 2, and how far their captions are from the model's.

Nothing here runs a model: `points` names what is varied, `variants` makes it ready for a sweep, `compare`
scores the captions that came out, `figure_table` lays the summary out for the plot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from vitpeel.edits import (
    AverageAttentionInput,
    AverageAttentionOutput,
    AverageNormedInput,
    Edit,
    ReplaceResidual,
    ReplaceSkip,
)
from vitpeel.errors import VitpeelError
from vitpeel.sweep import Variant, unedited

if TYPE_CHECKING:
    from vitpeel.means import Means

# average: MSA reads the mean at one layer (red, yellow) or at all of the middle ones (together: blue); other
# average: the mean of another set of pictures (green); confusion: the skip carries the mean.
Curve = Literal["average", "average together", "other average", "other average together", "confusion"]
Confusion = Literal["skip", "stream"]
Range = tuple[int, int]  # first and last layer

_AVERAGES = {
    "input": AverageAttentionInput,
    "normed": AverageNormedInput,
    "output": AverageAttentionOutput,
}
_CONFUSIONS = {"skip": ReplaceSkip, "stream": ReplaceResidual}

METRICS = ("bertscore", "exact", "colourless")
COLOURLESS = re.compile(
    r"\bblack[\s-]+and[\s-]+white\b|\bb\s?&\s?w\b|\bmonochrom\w*|\bgr[ae]y[\s-]?scale\b"
    r"|\bcolou?rless\b|\bdesaturated\b|\bsepia\b|\bwithout colou?rs?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Point:
    """One variant of Figure 2: the curve it is on and the layers, first to last, that it edits."""

    curve: Curve
    first: int
    last: int

    @property
    def name(self) -> str:
        """The variant's, in tables of captions and scores."""
        layers = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.curve} {layers}"

    @property
    def layers(self) -> frozenset[int]:
        """All that are edited."""
        return frozenset(range(self.first, self.last + 1))


def points(lower: Range = (0, 10), middle: Range = (11, 20), other: bool = True) -> tuple[Point, ...]:
    """Everything that Figure 2 varies, the two ranges following each other; other: the green curve too."""
    if not 0 <= lower[0] <= lower[1] < middle[0] <= middle[1] or middle[0] != lower[1] + 1:
        raise ValueError(f"layers {lower} and {middle}: two ranges are wanted, one after the other")
    low, high, both = _each(lower), _each(middle), _each((lower[0], middle[1]))
    found = [Point("average", layer, layer) for layer in [*low, *high]]
    found += [Point("average together", *middle)]
    if other:
        found += [Point("other average", layer, layer) for layer in high]
        found += [Point("other average together", *middle)]
    return (*found, *(Point("confusion", layer, layer) for layer in both))


def variants(
    chosen: Sequence[Point],
    depth: int,
    own: Means,
    inputs: Means,
    other: Means | None = None,
    confusion: Confusion = "skip",
) -> tuple[Variant, ...]:
    """The unedited model and the chosen points, each read at the last of `depth` layers.

    own, other: means of the pictures themselves and of another set, at the place that is to be averaged;
    other may be left out where no point needs it. inputs: the pictures' own means at "input", which
    confusion puts in the place of the skip or of the whole stream.
    """
    if inputs.place != "input":
        raise ValueError(f"confusion takes the means of the stream, at 'input', not at {inputs.place!r}")
    means = {"average": own, "average together": own, "confusion": inputs}
    if other is not None:
        means |= {"other average": other, "other average together": other}

    def edit(point: Point) -> Edit:
        if point.curve not in means:
            raise ValueError(f"{point.name}: the means of another set are needed for it")
        mean = means[point.curve]
        kind = _CONFUSIONS[confusion] if point.curve == "confusion" else _AVERAGES[mean.place]
        return kind(point.layers, mean)

    read = (depth - 1,)
    return (
        Variant(unedited(depth).name, read),
        *(Variant(point.name, read, edit(point)) for point in chosen),
    )


def unedited_captions(captions: pd.DataFrame) -> pd.Series:
    """What the unedited model says of each row's picture at that row's layer.

    captions: a `captions` table. Raises VitpeelError for a row without such a caption.
    """
    keys = ["image_id", "layer"]
    plain = captions[(captions["variant"] == unedited(0).name) & captions["head"].isna()]
    found = captions[keys].merge(plain[[*keys, "caption"]], on=keys, how="left", validate="many_to_one")
    absent = found[found["caption"].isna()]
    if len(absent):
        row = absent.iloc[0]
        raise VitpeelError(
            f"picture {row['image_id']}: no unedited caption at layer {row['layer']} to compare with. "
            "Delete its captions and run `snakemake` again."
        )
    return found["caption"].set_axis(captions.index)


def compare(
    captions: pd.DataFrame, model: str | Path, layer: int, batch: int = 64, device: str = "cpu"
) -> pd.DataFrame:
    """A `scores` table of `METRICS` for every row of a `captions` table, the unedited rows included.

    bertscore: F1 against the unedited caption of the same picture and layer; exact: 1 where the two are the
    same words, else 0; colourless: 1 where the caption is worded as if there were no colours, else 0. model,
    layer, batch, device: as in `scores.bertscore.score`.
    """
    from vitpeel.scores import bertscore  # here: it takes torch, the table behind a figure does not

    similar = bertscore.score(captions, model, layer, batch, unedited_captions, device)
    reading = captions[["image_id", "variant", "layer", "head"]].astype({"layer": "int16", "head": "Int16"})
    same = captions["caption"].str.split() == unedited_captions(captions).str.split()
    colourless = captions["caption"].map(is_colourless)
    counted = [
        reading.assign(metric=metric, value=values.astype("float64"))
        for metric, values in (("exact", same), ("colourless", colourless))
    ]
    order = ["metric", "variant", "layer", "head", "image_id"]
    return pd.concat([similar, *counted]).sort_values(order, ignore_index=True)


def is_colourless(caption: str) -> bool:
    """Whether the wording says that there are no colours, as in "a black and white photo"."""
    return COLOURLESS.search(caption) is not None


def figure_table(summary: pd.DataFrame, chosen: Sequence[Point]) -> pd.DataFrame:
    """Figure 2's numbers: curve, first, last, metric, mean, low, high, pictures, empty, in the points' order.

    summary: a `summary` table of `compare`'s scores. The unedited model comes first, as curve "unedited"
    with first and last empty. Raises VitpeelError for a point without a summary.
    """
    plain = unedited(0).name
    places: list[tuple[str, str, int | None, int | None]] = [(plain, plain, None, None)]
    places += [(point.name, point.curve, point.first, point.last) for point in chosen]
    order = pd.DataFrame(places, columns=["variant", "curve", "first", "last"])
    order = order.astype({"first": "Int16", "last": "Int16"})
    absent = [name for name in order["variant"] if name not in set(summary["variant"])]
    if absent:
        raise VitpeelError(
            f"{absent[0]}: no such variant in the summary. Delete it and run `snakemake` again."
        )
    found = order.merge(summary, on="variant", how="left", sort=False)
    return found[["curve", "first", "last", "metric", "mean", "low", "high", "pictures", "empty"]]


def side_by_side(captions: pd.DataFrame, image_ids: Sequence[str]) -> pd.DataFrame:
    """Appendix A: a row a picture, in the given order, and a column a variant with its caption.

    Variants keep the captions' order. captions: a `captions` table read at one layer.
    """
    wide = captions.pivot(index="image_id", columns="variant", values="caption")
    absent = [image_id for image_id in image_ids if image_id not in wide.index]
    if absent:
        raise VitpeelError(f"picture {absent[0]}: it has no captions; it was skipped or is beyond the limit.")
    return wide.loc[list(image_ids), list(captions["variant"].drop_duplicates())]


def _each(layers: Range) -> range:
    return range(layers[0], layers[1] + 1)
