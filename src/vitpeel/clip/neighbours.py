"""Nearest neighbours by what heads contribute to the embedding (CLIP-InterpreT, sections 5.1, 5.4, 5.5).

A head's contribution to a picture's embedding is M x: its map times d_head + 3 coordinates (see
`vitpeel.clip.contributions`). With M = Q R, the columns of Q orthonormal, y = R x is as long as the
contribution, and its product with a vector q of the embedding space is y . (Q^T q). The index keeps y, head
by head: a search for one head reads N x (d_head + 3) numbers, whatever the size of the embedding.

Several heads are one representation, the sum of their contributions. Its product with q is the sum of theirs.
Its length has terms between heads, so it is no sum: it is stored for the sets of heads that `build` is told
about, and for any other set it is found at the first search, which takes as long as adding up all
contributions, and kept.

A search scans in float32, and computes again in float64 whatever rounding could have kept from the best.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitpeel.clip import feature_files, head_places
from vitpeel.clip.contributions import Features, coordinates
from vitpeel.clip.head_places import Place, named
from vitpeel.errors import InputError
from vitpeel.provenance import Provenance
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors

Measure = Literal["cosine", "dot"]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_BATCH = 1024  # pictures
# A product of n numbers in float32 is wrong by less than n times this part of the lengths' product.
_ROUNDING = float(np.finfo(np.float32).eps)


class Neighbour(NamedTuple):
    """A picture that was found, and how near it is by the measure."""

    image_id: str
    score: float


@dataclass(frozen=True)
class Index:
    """The heads' contributions to the pictures of a set; nothing is read before a search needs it.

    layers: whose heads it holds; heads: of a layer; bases: Q, [layers, heads, embedding, k]; turns: R,
    [layers, heads, k, d_head + 3], both float64; rows: y of each head, [N, k], mapped.
    """

    path: Path
    provenance: Provenance | None
    layers: tuple[int, ...]
    heads: int
    image_ids: tuple[str, ...]
    bases: Floats
    turns: Floats
    rows: Mapping[Place, Singles]
    _lengths: dict[frozenset[Place], Singles] = field(repr=False)

    def basis(self, place: Place) -> Floats:
        """Q of a head.  [embedding, k]."""
        found: Floats = self.bases[self.layers.index(place[0]), place[1]]
        return found

    def lengths(self, places: Collection[Place]) -> Singles:
        """How long the sum of these heads' contributions is, for every picture.  [N], float32."""
        key = frozenset(places)
        if key not in self._lengths:
            some = sorted(key)
            starts = range(0, len(self.image_ids), _BATCH)
            parts = [
                _lengths([(self.rows[at][start : start + _BATCH], self.basis(at)) for at in some])
                for start in starts
            ]
            self._lengths[key] = np.concatenate([np.empty(0, np.float32), *parts])
        return self._lengths[key]

    def represent(self, found: Features, places: Sequence[Place]) -> Floats:
        """The sum of these heads' contributions to pictures that need not be in the index.

        found: of all of the index's layers, as `contributions.features` gives them; returned: [n, embedding],
        each row a query for `nearest`. Raises InputError for a head that is not in the index.
        """
        some = head_places.checked(places, self.layers, self.heads)
        x = coordinates(Features(found.heads, found.scalars.double())).cpu().numpy()
        each = [(self.layers.index(layer), head) for layer, head in some]
        parts = [x[:, at, head] @ self.turns[at, head].T @ self.bases[at, head].T for at, head in each]
        return np.asarray(sum(parts))


def build(
    path: Path,
    features: Sequence[Path],
    maps: Tensor,
    together: Iterable[Sequence[Place]] = (),
    batch: int = _BATCH,
) -> None:
    """Write the index of a set of pictures; memory does not grow with their number.

    features: files of `feature_files.capture`, in the pictures' order; maps: of their heads, as
    `contributions.maps` gives them or as `moments.load(...).maps`; together: sets of heads that will be
    searched as one, such as `head_places.properties(...).values()`; batch: pictures at a time.

    Raises ProvenanceError for features that were made differently, InputError for a picture that is there
    twice.
    """
    with open_tensors(features[0]) as first:
        origin = first.provenance
    layers = feature_files.layers_of(features[0], origin)
    image_ids = _image_ids(features, origin)
    bases, turns = torch.linalg.qr(maps.double().cpu())
    places = head_places.all_heads(layers, maps.shape[1])
    sets = {frozenset([place]) for place in places}
    sets |= {frozenset(head_places.checked(list(some), layers, maps.shape[1])) for some in together}
    size, basis = len(image_ids), {place: bases[layers.index(place[0]), place[1]].numpy() for place in places}
    specs = {_rows(place): TensorSpec((size, bases.shape[-1]), "float32") for place in places}
    specs |= {_length(some): TensorSpec((size,), "float32") for some in sets}
    whole = {"bases": bases, "turns": turns}
    specs |= {name: TensorSpec(tuple(tensor.shape), "float64") for name, tensor in whole.items()}
    assert origin is not None  # layers_of has refused it
    with TensorWriter(path, specs, origin, image_ids, others=whole) as writer:
        for name, tensor in whole.items():
            writer.append(name, tensor)
        for shard in features:
            for found in feature_files.stored(shard, batch, origin):
                rows = _turned(found, turns, layers)
                for place, own in rows.items():
                    writer.append(_rows(place), own)
                for some in sets:
                    pairs = [(rows[place], basis[place]) for place in sorted(some)]
                    writer.append(_length(some), _lengths(pairs))


def open_index(path: Path, expect: Provenance | None = None) -> Index:
    """Open an index; what it reads of the file is mapped, so there is nothing to close.

    expect: refuse (`ProvenanceError`) an index of features that differ in a field that is set there, such as
    `feature_files.origin_of`.
    """
    with open_tensors(path, expect) as file:
        layers = feature_files.layers_of(path, file.provenance)
        bases, turns = file.rows("bases"), file.rows("turns")
        places = head_places.all_heads(layers, bases.shape[1])
        by_name = {named([place]): place for place in places}
        lengths = {
            frozenset(by_name[head] for head in name.split()[1:]): file.mapped(name)
            for name in file.names
            if name.startswith("length ")
        }
        rows = {place: file.mapped(_rows(place)) for place in places}
        return Index(
            path, file.provenance, layers, bases.shape[1], file.image_ids, bases, turns, rows, lengths
        )


def nearest(
    index: Index,
    query: ArrayLike,
    places: Sequence[Place],
    count: int,
    measure: Measure = "cosine",
    leave_out: Collection[str] = (),
) -> list[Neighbour]:
    """The pictures whose contribution through these heads, added up, is nearest to `query`; the best first.

    query: a row of `Index.represent` for the same heads, or the unit embedding of a text, [embedding]. count:
    fewer are found in a smaller set. measure: cosine of the angle, or the product, in which long
    contributions win; where either vector is zero the cosine is 0. leave_out: ids of pictures that are not to
    be found, such as the query's own. Of equal scores the smaller id comes first.

    Raises InputError for a head that is not in the index.
    """
    some = head_places.checked(places, index.layers, index.heads)
    q = np.asarray(query, dtype=np.float64)
    weights = {place: index.basis(place).T @ q for place in some}
    scanned = np.zeros(len(index.image_ids), np.float32)
    doubt = 0.0
    for place, weight in weights.items():
        scanned += index.rows[place] @ weight.astype(np.float32)
        longest = float(index.lengths([place]).max(initial=0.0))
        doubt += (len(weight) + len(some)) * _ROUNDING * longest * float(np.linalg.norm(weight))
    unit = np.ones_like(scanned)
    if measure == "cosine":
        unit = _inverse(index.lengths(some) * np.float32(np.linalg.norm(q)))
    kept = np.ones(len(scanned), dtype=bool)
    kept[[at for at, name in enumerate(index.image_ids) if name in leave_out]] = False
    low, high = (scanned - doubt) * unit, (scanned + doubt) * unit
    wanted = min(count, int(kept.sum()))
    if wanted <= 0:
        return []
    bar = np.partition(low[kept], -wanted)[-wanted]
    left = np.flatnonzero(kept & (high >= bar))
    # a sum along each row: equal rows give equal scores, which a product of matrices does not promise
    exact = sum((index.rows[place][left] * weight).sum(1) for place, weight in weights.items())
    if measure == "cosine":
        exact = exact * _inverse(index.lengths(some)[left].astype(np.float64) * np.linalg.norm(q))
    found = [Neighbour(index.image_ids[at], float(s)) for at, s in zip(left, np.asarray(exact), strict=True)]
    return sorted(found, key=lambda one: (-one.score, one.image_id))[:count]


def _inverse(lengths: NDArray[Any]) -> NDArray[Any]:
    """1 over each length, and 0 of what has none."""
    found = np.zeros_like(lengths)
    np.divide(1, lengths, out=found, where=lengths > 0)
    return found


def _turned(found: Features, turns: Tensor, layers: Sequence[int]) -> dict[Place, Singles]:
    """y of a batch for every head.  [n, k] each."""
    x = coordinates(Features(found.heads, found.scalars.double()))  # [n, layers, heads, r]
    rows = (x.permute(1, 2, 0, 3) @ turns.transpose(2, 3)).float().numpy()
    return {
        (layer, head): rows[at, head] for at, layer in enumerate(layers) for head in range(turns.shape[1])
    }


def _lengths(parts: Sequence[tuple[Singles, Floats]]) -> Singles:
    """Of sums of contributions.  parts: y [n, k] and Q [embedding, k] of each head -> [n]."""
    if len(parts) == 1:
        return np.asarray(np.sqrt(np.square(parts[0][0], dtype=np.float64).sum(1)), np.float32)
    y = np.concatenate([rows for rows, _ in parts], axis=1).astype(np.float64)
    whole = y @ np.concatenate([basis for _, basis in parts], axis=1).T
    return np.asarray(np.sqrt(np.square(whole).sum(1)), np.float32)


def _image_ids(features: Sequence[Path], origin: Provenance | None) -> list[str]:
    """The pictures of all files, in order, each once."""
    found: list[str] = []
    for path in features:
        with open_tensors(path, origin) as file:
            found += file.image_ids
    if len(set(found)) < len(found):
        files = " ".join(str(path) for path in features)
        raise InputError(f"{features[0].parent}: a picture is in two of {files}. Delete them (`rm {files}`).")
    return found


def _rows(place: Place) -> str:
    return f"rows {named([place])}"


def _length(places: Iterable[Place]) -> str:
    return f"length {named(list(places))}"
