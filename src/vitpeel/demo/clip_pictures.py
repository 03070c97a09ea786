"""The demo CLIPs' training pictures: a pool of ordinary scenes, drawn once and read many times.

Picture k of a seed is always the same; its stream of random numbers is its own, so that none of the
captioner's training pictures and none of the shipped ones is in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from vitpeel.demo.scenes import Layout, compose, draw, owner_of_patches
from vitpeel.demo.words import OBJECTS

IMAGE_SIZE = 64  # pixels a side, as both models see a picture
OWNERS = 8  # patches a side of the maps that say which object is where
TRAINING_STREAM = 4  # apart from the captioner's and the shipped pictures' streams
ORDINARY_STREAM, UNUSUAL_STREAM = 5, 6  # pictures of a single object that only evaluation sees
BACKGROUND = len(OBJECTS)  # class of a patch that no object covers


def layout(seed: int, k: int, stream: int = TRAINING_STREAM) -> Layout:
    """Return the contents of picture k: a single object, in usual or unusual scenes, but in training."""
    rng = np.random.default_rng([seed, stream, k])
    if stream == TRAINING_STREAM:
        return compose(rng, unusual=False)
    return compose(rng, unusual=stream == UNUSUAL_STREAM, two_objects=0.0)


def pixels(shown: Layout, glyphs: Path) -> np.ndarray:
    """Draw a layout and resize it as the models' preprocessing does: [64, 64, 3] uint8."""
    picture = draw(shown, glyphs).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8)


def owners(shown: Layout, glyphs: Path) -> np.ndarray:
    """Return the object that covers each patch, as a number of its word, or BACKGROUND: [8, 8] uint8."""
    place = owner_of_patches(shown, glyphs, IMAGE_SIZE, OWNERS)
    words = np.asarray([*(OBJECTS.index(word) for word in shown.objects), BACKGROUND], dtype=np.uint8)
    found: np.ndarray = words[place]
    return found


def draw_pool(folder: Path, glyphs: Path, seed: int, count: int) -> None:
    """Write `pixels.npy` [count, 64, 64, 3] and `owners.npy` [count, 8, 8], both uint8."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {"pixels": (count, IMAGE_SIZE, IMAGE_SIZE, 3), "owners": (count, OWNERS, OWNERS)}
    maps = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        for name, shape in shapes.items()
    }
    for k in range(count):
        shown = layout(seed, k)
        maps["pixels"][k] = pixels(shown, glyphs)
        maps["owners"][k] = owners(shown, glyphs)
    for map_ in maps.values():
        map_.flush()


def numbers(count: int, total: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Yield `total // batch` batches of picture numbers below `count`, each pass in an order of its own."""
    left, passes = np.empty(0, dtype=np.int64), 0
    for _ in range(total // batch):
        while len(left) < batch:
            left = np.concatenate([left, np.random.default_rng([seed, passes]).permutation(count)])
            passes += 1
        yield left[:batch]
        left = left[batch:]
