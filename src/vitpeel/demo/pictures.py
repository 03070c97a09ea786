"""The shipped pictures: 200 unusual ones, 200 ordinary ones, with five references each."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vitpeel.demo.captions import references
from vitpeel.demo.scenes import Layout, compose, draw

COUNT = 200  # pictures a set
PAIRS = 0.3  # share of the unusual pictures with two objects
UNUSUAL_STREAM, ORDINARY_STREAM = 2, 3  # keep their random numbers apart from training's
JPEG_QUALITY = 92


def layouts(seed: int, unusual: bool) -> list[Layout]:
    """Return the contents of a shipped set: unusual scenes, or ordinary ones of a single object."""
    stream = UNUSUAL_STREAM if unusual else ORDINARY_STREAM
    rngs = (np.random.default_rng([seed, stream, k]) for k in range(COUNT))
    return [
        compose(rng, unusual, PAIRS) if unusual else compose(rng, unusual, two_objects=0.0) for rng in rngs
    ]


def draw_set(folder: Path, glyphs: Path, seed: int, unusual: bool) -> None:
    """Write one set: `<prefix>-<number>.jpg`, and `captions.csv` with one reference a row."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "unusual" if unusual else "ordinary"
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "caption"])
        for k, layout in enumerate(layouts(seed, unusual)):
            image_id = f"{prefix}-{k:03d}"
            draw(layout, glyphs).save(folder / f"{image_id}.jpg", quality=JPEG_QUALITY)
            writer.writerows([image_id, reference] for reference in references(layout))
