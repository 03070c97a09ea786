"""Training examples, drawn on the fly: example k of a seed is always the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vitpeel.demo.architecture import IMAGE_SIZE, PATCH_SIZE
from vitpeel.demo.captions import training_caption
from vitpeel.demo.scenes import compose, draw, owner_of_patches
from vitpeel.demo.words import OBJECTS, SCENES

# What a picture shows, as a multi-hot vector: objects, scenes, black and white.
CONCEPTS = (*OBJECTS, *(scene.name for scene in SCENES), "black and white")
BACKGROUND = len(OBJECTS)  # class of a patch that no object covers
TRAINING_STREAM = 1  # keeps training's random numbers apart from those of the shipped pictures


@dataclass(frozen=True)
class Batch:
    """One batch of training examples."""

    pixels: Tensor  # [B, 3, 64, 64], normalised
    labels: Tensor  # [B, words], padded with -100
    concepts: Tensor  # [B, concepts], 0 or 1
    owners: Tensor  # [B, 64], the object word that covers each patch, or BACKGROUND

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class Scenes(Dataset[dict[str, Any]]):
    """An endless supply of ordinary scenes; example k follows from the seed and k alone."""

    def __init__(self, glyphs: Path, processor: Any, seed: int, length: int) -> None:
        self.glyphs, self.seed, self.length = glyphs, seed, length
        self.tokenizer = processor.tokenizer
        normalisation = processor.image_processor
        self.mean = np.asarray(normalisation.image_mean, dtype=np.float32)
        self.std = np.asarray(normalisation.image_std, dtype=np.float32)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Any]:
        """Draw example k."""
        if k >= self.length:
            raise IndexError(k)
        rng = np.random.default_rng([self.seed, TRAINING_STREAM, k])
        layout = compose(rng, unusual=False)
        picture = draw(layout, self.glyphs).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
        values = (np.asarray(picture, dtype=np.float32) / 255 - self.mean) / self.std
        words = [OBJECTS.index(word) for word in layout.objects]
        concepts = np.zeros(len(CONCEPTS), dtype=np.float32)
        concepts[words] = 1
        concepts[CONCEPTS.index(layout.scene)] = 1
        concepts[-1] = layout.monochrome
        owner = owner_of_patches(layout, self.glyphs, IMAGE_SIZE, IMAGE_SIZE // PATCH_SIZE).ravel()
        return {
            "pixels": torch.from_numpy(values.transpose(2, 0, 1).copy()),
            "labels": self.tokenizer(training_caption(layout, rng)).input_ids,
            "concepts": torch.from_numpy(concepts),
            "owners": torch.from_numpy(np.asarray([*words, BACKGROUND])[owner]),
        }


def collate(examples: list[dict[str, Any]]) -> Batch:
    """Stack examples into a batch."""
    longest = max(len(example["labels"]) for example in examples)
    labels = torch.full((len(examples), longest), -100)
    for row, example in zip(labels, examples, strict=True):
        row[: len(example["labels"])] = torch.tensor(example["labels"])
    stacked = {key: torch.stack([e[key] for e in examples]) for key in ("pixels", "concepts", "owners")}
    return Batch(labels=labels, **stacked)


def loader(examples: Scenes, start: int, rank: int, ranks: int, batch: int, workers: int) -> Iterable[Batch]:
    """Return this rank's batches from example `start` on; all ranks together see every example."""
    mine = [
        k
        for first in range(start + rank * batch, len(examples) - batch + 1, ranks * batch)
        for k in range(first, first + batch)
    ]
    return DataLoader(
        examples,
        batch_size=batch,
        sampler=mine,
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
