"""Heatmaps of a set of pictures on disk: made from the captured attention once, read picture by picture.

Works with numpy alone, and holds one picture at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

import pandas as pd

from vitpeel.errors import InputError, VitpeelError
from vitpeel.heatmaps import Array, Mask, Outliers, Reading, find_outliers, handle, maps, on_grid
from vitpeel.provenance import Provenance, canonical
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors


def write(attention: Sequence[Path], heatmaps: Path, how: Outliers) -> None:
    """Write the maps of every picture and layer (Equation 7), as they are and without their outliers.

    attention: files of `activations.capture`, in the pictures' order. heatmaps: gets "raw" and "handled"
    [N, L, down, across] float32, and "outliers", the same shape, bool. Raises ProvenanceError for files that
    were made differently, VitpeelError where every patch of a map is an outlier.
    """
    with open_tensors(attention[0]) as first:
        made = first.provenance
        _, depth, _, tokens = first.shape("attention")
    if made is None:
        raise InputError(f"{attention[0]}: does not say what made it. Delete it and run `snakemake` again.")
    image_ids: list[str] = []
    for path in attention:
        with open_tensors(path, made) as file:
            image_ids += file.image_ids
    grid = _grid(tokens)
    shape = (len(image_ids), depth, *grid)
    specs = {"raw": "float32", "handled": "float32", "outliers": "bool"}
    with TensorWriter(
        heatmaps,
        {name: TensorSpec(shape, kind) for name, kind in specs.items()},
        replace(made, config=canonical({"outliers": how})),
        image_ids,
    ) as writer:
        for image_id, looks, norms in _each(attention, "attention", "norms"):
            raw = maps(looks, grid).astype("float32")
            outliers = find_outliers(norms[:, 1:], how).reshape(raw.shape)
            try:
                handled = handle(raw, outliers, how)
            except VitpeelError as error:
                raise VitpeelError(f"picture {image_id}: {error}") from error
            for name, made_of in (("raw", raw), ("handled", handled), ("outliers", outliers)):
                writer.append(name, made_of.astype(specs[name])[None])


def every(heatmaps: Path) -> Iterator[tuple[str, Array, Array, Mask]]:
    """(image_id, raw, handled, outliers) of every picture, each [layers, down, across]."""
    yield from _each([heatmaps], "raw", "handled", "outliers")


def compared(
    reading: Reading, heatmaps: Path, rollout: Sequence[Path] = (), expect: Provenance | None = None
) -> Iterator[tuple[str, Array]]:
    """(image_id, maps [layers, down, across]) of every picture, as Equation 7 is read to compare layers.

    map: without outliers; literal: as they are, since Equation 7 as printed leaves none out; rollout: as they
    are too, from these files of `dataflow.decompose`. expect: as for `open_tensors`.
    """
    match reading:
        case "map":
            yield from _each([heatmaps], "handled", expect=expect)
        case "literal":
            yield from _each([heatmaps], "raw", expect=expect)
        case "rollout":
            for image_id, rows in _each(rollout, "rollout", expect=expect):
                yield image_id, on_grid(rows, _grid(rows.shape[-1]))


def lengths(attention: Sequence[Path], token: int, expect: Provenance | None = None) -> pd.DataFrame:
    """How long the token is that each layer reads, |Z^{l-1}_token|: image_id, layer, length."""
    parts = []
    for image_id, norms in _each(attention, "norms", expect=expect):
        length = norms[:, token].astype("float64")
        parts.append(pd.DataFrame({"image_id": image_id, "layer": range(len(length)), "length": length}))
    return pd.concat(parts, ignore_index=True).astype({"layer": "int16"})


def chosen(files: Sequence[Path], name: str, image_ids: Sequence[str], key: str) -> dict[str, Any]:
    """Tensor `name` of chosen pictures, in the order given, from whichever of the files has them.

    key: of the configuration, what the pictures were chosen by; a refusal names it.
    """
    found: dict[str, Array] = {}
    for path in files:
        with open_tensors(path) as file:
            for row, image_id in enumerate(file.image_ids):
                if image_id in image_ids:
                    found[image_id] = file.rows(name, row, row + 1)[0]
    absent = [image_id for image_id in image_ids if image_id not in found]
    if absent:
        raise InputError(
            f"{key}: no {name} of picture {absent[0]} in {files[0].parent}; it was skipped or is beyond "
            "the limit. Choose another picture."
        )
    return {image_id: found[image_id] for image_id in image_ids}


def _each(files: Sequence[Path], *names: str, expect: Provenance | None = None) -> Iterator[tuple[Any, ...]]:
    """(image_id, tensor, ...) of every picture, one read at a time."""
    for path in files:
        with open_tensors(path, expect) as file:
            for row, image_id in enumerate(file.image_ids):
                yield image_id, *(file.rows(name, row, row + 1)[0] for name in names)


def _grid(tokens: int) -> tuple[int, int]:
    """Patches down and across: the grid is square, as InstructBLIP's is."""
    return isqrt(tokens - 1), isqrt(tokens - 1)
