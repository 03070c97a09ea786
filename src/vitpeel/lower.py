"""The lower layers (section 4.2): the variants of Figure 2.

`points` names what is varied, `variants` makes it ready for a sweep. How the captions that come out compare
with the unedited ones is in `vitpeel.scores.lower`, the tables of that in `vitpeel.lower_tables`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vitpeel.edits import (
    AverageAttentionInput,
    AverageAttentionOutput,
    AverageNormedInput,
    Edit,
    ReplaceResidual,
    ReplaceSkip,
)
from vitpeel.provenance import Provenance, canonical
from vitpeel.sweep import Variant, cost, unedited

if TYPE_CHECKING:
    from vitpeel.means import Means, Place, Vector
    from vitpeel.trunk import Trunk

log = logging.getLogger(__name__)

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


def points(layers: Range = (0, 10), middle: Range = (11, 20), other: bool = True) -> tuple[Point, ...]:
    """Everything that Figure 2 varies, the two ranges following each other; other: the green curve too."""
    if not 0 <= layers[0] <= layers[1] < middle[0] <= middle[1] or middle[0] != layers[1] + 1:
        raise ValueError(f"layers {layers} and {middle}: two ranges are wanted, one after the other")
    low, high, both = _each(layers), _each(middle), _each((layers[0], middle[1]))
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


@dataclass(frozen=True)
class Averaged:
    """Pictures whose means stand in: the files of their sums, one a shard, and what must have made these."""

    sums: Sequence[Path]
    made: Provenance

    def mean(self, place: Place, vector: Vector) -> Means:
        """Their mean at one place. Errors as `means.load`."""
        from vitpeel import means  # here: it takes torch, lists of points are made without it

        found = means.load(self.sums, place, self.made)
        return found.one_vector() if vector == "one" else found


def averaged(
    sums: Sequence[Sequence[Path]], chosen: Sequence[Mapping[str, object]], origin: Provenance
) -> list[Averaged]:
    """The sets of pictures that are averaged, the main one first; sums of a set that is not there are empty.

    chosen: of each set, which it is and how its pictures were drawn; origin: the model.
    """
    made = [replace(origin, config=canonical(dict(how))) for how in chosen]
    return [Averaged(*both) for both in zip(filter(None, sums), made, strict=True)]


def loaded_variants(
    chosen: Sequence[Point],
    trunk: Trunk,
    sets: Sequence[Averaged],
    place: Place = "input",
    vector: Vector = "per position",
    confusion: Confusion = "skip",
) -> tuple[Variant, ...]:
    """`variants` for a trunk with means from files; what a sweep of them costs goes to the log.

    sets: the sums over the pictures themselves and, where points need them, over another set. vector: of
    every mean, those of confusion too.
    """
    own, *more = sets
    mean = own.mean(place, vector)
    inputs = mean if place == "input" else own.mean("input", vector)
    others = more[0].mean(place, vector) if more else None
    made = variants(chosen, trunk.depth, mean, inputs, others, confusion)
    planned = cost(made, trunk.depth, trunk.heads)
    log.info(
        "means of %d pictures%s; %d variants: %d blocks a batch, a naive loop's %d: %.2f of it",
        mean.pictures,
        f" and of {others.pictures} of the other set" if others else "",
        len(made),
        planned.blocks,
        planned.naive_blocks,
        planned.share,
    )
    return made


def _each(layers: Range) -> range:
    return range(layers[0], layers[1] + 1)
