"""Training batches of the demo CLIPs: pictures of the pool, captions, and which is wrong for which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vitpeel.demo.clip_architecture import MEAN, STD, tokens
from vitpeel.demo.clip_captions import Shown, exact, facts, name_prompts, single, truth, unshown
from vitpeel.demo.clip_pictures import layout, numbers
from vitpeel.demo.words import OBJECTS

CAPTION_STREAM = 7  # keeps the captions' random numbers apart from the pictures'


@dataclass(frozen=True)
class Batch:
    """One batch: B pictures and T = 2 B + objects texts."""

    pixels: Tensor  # [B, 3, 64, 64], normalised
    owners: Tensor  # [B, 8, 8] int64, the object word on each patch, or BACKGROUND
    texts: Tensor  # [T, context] int64
    pairs: Tensor  # [T, B] bool, the texts that should find the picture
    wrong: Tensor  # [T, B] bool, the texts that it is taught not to match

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def normalised(pictures: np.ndarray) -> Tensor:
    """Return uint8 pictures [B, 64, 64, 3] as the models take them: [B, 3, 64, 64] float32."""
    values = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def assemble(pictures: np.ndarray, owners: np.ndarray, shown: list[Shown], rng: np.random.Generator) -> Batch:
    """Return the batch of pictures [B, 64, 64, 3]: an exact and a generic caption each, and all names."""
    said = [exact(one, rng) for one in shown] + [single(one, rng) for one in shown]
    said += name_prompts(rng)
    held = [facts(one) for one in shown]
    possible = [known | unshown(one.layout.scene) for known, one in zip(held, shown, strict=True)]
    true = torch.from_numpy(truth(said, held))
    pairs = torch.eye(len(shown), dtype=torch.bool).repeat(2, 1)
    return Batch(
        pixels=normalised(pictures),
        owners=torch.from_numpy(owners.astype(np.int64)),
        texts=tokens([one.text for one in said]),
        pairs=torch.cat([pairs, true[-len(OBJECTS) :]]),
        wrong=~torch.from_numpy(truth(said, possible)),
    )


def batches(pool: Path, seed: int, first: int, total: int, batch: int) -> Iterator[Batch]:
    """Yield batches, `total` pictures in all; seed and `first`, the number seen before, decide which."""
    pixels, owners = (np.load(pool / f"{name}.npy", mmap_mode="r") for name in ("pixels", "owners"))
    rng = np.random.default_rng([seed, CAPTION_STREAM, first])
    for chosen in numbers(len(pixels), total, batch, seed + first):
        pictures = pixels[chosen]
        light = pictures.mean((1, 2, 3)) / 255
        shown = [Shown(layout(seed, int(k)), float(mean)) for k, mean in zip(chosen, light, strict=True)]
        yield assemble(pictures, owners[chosen], shown, rng)
