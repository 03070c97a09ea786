"""What is kept of the heads of a set of pictures, on disk: captured once, read batch by batch.

A file holds "heads" [N, layers, heads, d_head], z_h of the last layers, and "scalars" [N, 3], mu, sigma and
|e|, both with the pictures in the order of its image_ids. Which layers they are is part of its origin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vitpeel.clip import contributions
from vitpeel.clip.contributions import Features
from vitpeel.datasets.pictures import open_rgb
from vitpeel.errors import ProvenanceError
from vitpeel.logs import progress
from vitpeel.provenance import Provenance, canonical, fingerprint
from vitpeel.tensors import TensorFile, TensorSpec, TensorWriter, open_tensors

if TYPE_CHECKING:
    from vitpeel.datasets.pictures import Picture
    from vitpeel.models import DType
    from vitpeel.models.openclip import Clip


def origin_of(clip: Clip, checkpoint: Path, dtype: str, layers: Sequence[int]) -> Provenance:
    """What makes the features of these layers of `clip`, loaded from `checkpoint` in precision `dtype`."""
    return Provenance(
        checkpoint=fingerprint(checkpoint),
        dtype=dtype,
        preprocessing=clip.preprocessing,
        config=canonical({"layers": list(layers)}),
    )


def layers_of(path: Path, origin: Provenance | None) -> tuple[int, ...]:
    """The layers whose heads are in the file at `path`, from its origin."""
    if origin is None or origin.config is None or "layers" not in (found := json.loads(origin.config)):
        raise ProvenanceError(f"{path}: does not say which layers it holds. Delete it (`rm {path}`).")
    return tuple(found["layers"])


def capture(
    clip: Clip,
    pictures: Sequence[Picture],
    path: Path,
    layers: Sequence[int],
    origin: Provenance,
    batch: int,
    dtype: DType = "float32",
) -> None:
    """Run every picture through `clip` once and write what is kept of its heads.

    layers: whose heads; origin: from `origin_of`; batch: pictures at a time; dtype: z_h is stored in.
    """
    trunk, size = clip.trunk, len(pictures)
    shape = (size, len(layers), trunk.heads, trunk.width // trunk.heads)
    specs = {"heads": TensorSpec(shape, dtype), "scalars": TensorSpec((size, 3), "float32")}
    names = [picture.image_id for picture in pictures]
    with TensorWriter(path, specs, origin, names) as writer, torch.inference_mode():
        for start in progress(range(0, size, batch), -(-size // batch), "batches of pictures"):
            some = pictures[start : start + batch]
            pixels = clip.preprocess([open_rgb(picture.path) for picture in some])
            found = contributions.features(clip, pixels, layers)
            writer.append("heads", found.heads.to(getattr(torch, dtype)))
            writer.append("scalars", found.scalars)


def rows(file: TensorFile, start: int = 0, stop: int | None = None) -> Features:
    """The features of pictures [start, stop) of a file opened for torch ("pt")."""
    return Features(file.rows("heads", start, stop), file.rows("scalars", start, stop))


def stored(path: Path, batch: int, expect: Provenance | None = None) -> Iterator[Features]:
    """All features of a file, `batch` pictures at a time.  expect: what must have made it."""
    with open_tensors(path, expect, "pt") as file:
        for start in range(0, len(file.image_ids), batch):
            yield rows(file, start, start + batch)
