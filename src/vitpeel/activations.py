"""What every layer holds: residual tokens and CLS attention of a set of pictures, captured once and kept.

One forward pass a picture gives both (sections 3.4 and 3.5); captions in any wording and heatmaps then come
from the files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vitpeel.datasets.pictures import Picture, from_frame, open_rgb
from vitpeel.logs import progress
from vitpeel.provenance import Provenance, fingerprint
from vitpeel.sweep import Sweep, Variant, unedited
from vitpeel.tables import PICTURES, Reading, read_table
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from vitpeel.models import Model

T = TypeVar("T")


def shard(items: Sequence[T], name: str) -> Sequence[T]:
    """The part of `items` that belongs to shard `name`, "0-of-3" to "2-of-3": neighbours stay together."""
    number, _, count = name.partition("-of-")
    part, parts = int(number), int(count)
    return items[len(items) * part // parts : len(items) * (part + 1) // parts]


def read_shard(pictures: Path, name: str) -> Sequence[Picture]:
    """The pictures of shard `name` from the picture table at `pictures`."""
    return shard(from_frame(read_table(pictures, PICTURES)), name)


def origin_of(model: Model, checkpoint: Path, dtype: str) -> Provenance:
    """What makes the activations of `model`, loaded from the folder `checkpoint` in precision `dtype`."""
    return Provenance(checkpoint=fingerprint(checkpoint), dtype=dtype, preprocessing=model.preprocessing)


def capture(
    model: Model,
    pictures: Sequence[Picture],
    residuals: Path | None,
    attention: Path,
    origin: Provenance,
    batch: int,
) -> None:
    """Run every picture through the trunk once and write what its layers hold.

    residuals: gets [N, L+1, T, d], the stream before block 0 and after every block, in the model's
    precision; None: not written. attention: gets "attention" [N, L, H, T] float32, the CLS token's row in
    every head, and "norms" [N, L, T] float32, the length of each token that the layer reads. batch: pictures
    at a time.
    """
    import torch  # here: readers of these files do without

    trunk, image_ids = model.trunk, [picture.image_id for picture in pictures]
    size, depth = len(pictures), trunk.depth
    dtype = str(trunk.positions.dtype).removeprefix("torch.")
    rows = {"residuals": TensorSpec((size, depth + 1, trunk.tokens, trunk.width), dtype)}
    looks = {
        "attention": TensorSpec((size, depth, trunk.heads, trunk.tokens), "float32"),
        "norms": TensorSpec((size, depth, trunk.tokens), "float32"),
    }
    with contextlib.ExitStack() as stack, torch.inference_mode():
        attended = stack.enter_context(TensorWriter(attention, looks, origin, image_ids))
        kept = None if residuals is None else TensorWriter(residuals, rows, origin, image_ids)
        if kept is not None:
            stack.enter_context(kept)
        for start in progress(range(0, size, batch), -(-size // batch), "batches of pictures"):
            z = trunk.embed(pixels_of(model, pictures[start : start + batch]))
            stream, weights, norms = [z], [], []
            for layer in range(depth):
                weights.append(trunk.cls_attention(layer, z).float())
                norms.append(z.float().norm(dim=-1))
                z = trunk.block(layer, z)
                stream.append(z)
            attended.append("attention", torch.stack(weights, dim=1))
            attended.append("norms", torch.stack(norms, dim=1))
            if kept is not None:
                kept.append("residuals", torch.stack(stream, dim=1))


def cached_layers(residuals: Path, expect: Provenance) -> Iterator[tuple[Reading, Tensor]]:
    """Every layer of every picture from a residuals file, unedited: (key, Z^l [tokens, width])."""
    with open_tensors(residuals, expect, "pt") as file:
        name = unedited(0).name
        for row, image_id in enumerate(file.image_ids):
            stream = file.rows("residuals", row, row + 1)[0]
            yield from ((Reading(image_id, name, layer, None), z) for layer, z in enumerate(stream[1:]))


def swept(
    model: Model, pictures: Sequence[Picture], variants: Sequence[Variant], batch: int
) -> Iterator[tuple[Reading, Tensor]]:
    """Every variant at its layers, of every picture, from new forward passes: (key, Z [tokens, width]).

    batch: pictures at a time.
    """
    run = Sweep(model.trunk, tuple(variants))
    for start in range(0, len(pictures), batch):
        some = pictures[start : start + batch]
        for reading in run(pixels_of(model, some)):
            for picture, z in zip(some, reading.z, strict=True):
                yield Reading(picture.image_id, reading.variant, reading.layer, reading.head), z


def pixels_of(model: Model, pictures: Sequence[Picture]) -> Tensor:
    """What the model sees of these pictures, [pictures, 3, height, width]."""
    return model.preprocess([open_rgb(picture.path) for picture in pictures])
