"""Drawn scenes: one or two glyphs of an open emoji font on a procedural background.

Every picture follows from a seed and a number, so drawing again gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from vitpeel.demo.backgrounds import draw_background
from vitpeel.demo.words import OBJECTS, RELATIONS, SCENES, unusual_scenes

SIZE = 192  # pixels a side; the model's processor resizes to its own
TWO_OBJECTS = 0.4  # share of pictures with two objects
MONOCHROME = 0.07  # share of pictures in black and white
SINGLE_HEIGHT = (0.40, 0.66)  # height of a lone glyph, as a share of the picture's
PAIR_HEIGHT = (0.38, 0.50)


@dataclass(frozen=True)
class Placement:
    """Where and how one glyph stands."""

    word: str
    centre: tuple[float, float]  # (x, y) as shares of the picture's side
    height: float  # share of the picture's side
    angle: float  # degrees
    mirrored: bool
    brightness: float


@dataclass(frozen=True)
class Layout:
    """What a picture shows, before it is drawn."""

    scene: str
    placements: tuple[Placement, ...]  # in the caption's order: left first, or upper first
    relation: str  # "" for a single object
    monochrome: bool
    paint: int  # seed of the background

    @property
    def objects(self) -> tuple[str, ...]:
        """The object words, in the caption's order."""
        return tuple(placement.word for placement in self.placements)


@cache
def allowed(scene: str, unusual: bool) -> tuple[str, ...]:
    """Return the objects that may stand in a scene: those training shows there, or those it never does."""
    return tuple(word for word in OBJECTS if (scene in unusual_scenes(word)) == unusual)


def _place(word: str, centre: tuple[float, float], height: float, rng: np.random.Generator) -> Placement:
    return Placement(
        word=word,
        centre=centre,
        height=height,
        angle=float(rng.uniform(-14, 14)),
        mirrored=bool(rng.random() < 0.5),
        brightness=float(rng.uniform(0.85, 1.12)),
    )


def compose(rng: np.random.Generator, unusual: bool, two_objects: float = TWO_OBJECTS) -> Layout:
    """Draw the contents of one picture at random.

    Parameters
    ----------
    unusual
        Take only objects which training never shows in this scene; else only objects which it may show.
    two_objects
        Probability of a second object.
    """
    scene = SCENES[rng.integers(len(SCENES))].name
    words = allowed(scene, unusual)
    monochrome = bool(rng.random() < MONOCHROME)
    paint = int(rng.integers(2**32))
    if rng.random() >= two_objects:
        height = float(rng.uniform(*SINGLE_HEIGHT))
        centre = (float(rng.uniform(0.30, 0.70)), float(rng.uniform(0.36, 0.66)))
        word = words[rng.integers(len(words))]
        return Layout(scene, (_place(word, centre, height, rng),), "", monochrome, paint)
    pair = rng.choice(len(words), size=2, replace=False)
    relation = RELATIONS[rng.integers(len(RELATIONS))]
    near, far = float(rng.uniform(0.22, 0.30)), float(rng.uniform(0.70, 0.78))
    across = float(rng.uniform(0.36, 0.64))
    drift = float(rng.uniform(-0.07, 0.07))
    if relation == "above":
        centres = ((across + drift, near), (across - drift, far))
    else:
        centres = ((near, across + drift), (far, across - drift))
    placements = tuple(
        _place(words[k], centre, float(rng.uniform(*PAIR_HEIGHT)), rng)
        for k, centre in zip(pair, centres, strict=True)
    )
    return Layout(scene, placements, relation, monochrome, paint)


@cache
def load_glyph(path: Path) -> Image.Image:
    """Return one glyph, RGBA with premultiplied alpha left to PIL."""
    with Image.open(path) as glyph:
        return glyph.convert("RGBA")


def _glyph(placement: Placement, glyphs: Path, size: int) -> Image.Image:
    glyph = load_glyph(glyphs / f"{placement.word}.png")
    if placement.mirrored:
        glyph = glyph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    side = placement.height * size / max(glyph.size)
    shape = (max(1, round(glyph.width * side)), max(1, round(glyph.height * side)))
    glyph = glyph.resize(shape, Image.Resampling.BILINEAR)
    glyph = glyph.rotate(placement.angle, Image.Resampling.BILINEAR, expand=True)
    return ImageEnhance.Brightness(glyph).enhance(placement.brightness)


def draw(layout: Layout, glyphs: Path, size: int = SIZE) -> Image.Image:
    """Draw a layout.

    Parameters
    ----------
    glyphs
        Folder with one PNG an object word.
    size
        Pixels a side.

    Returns
    -------
    RGB picture, size x size.
    """
    picture = draw_background(layout.scene, np.random.default_rng(layout.paint), size)
    for placement in layout.placements:
        glyph = _glyph(placement, glyphs, size)
        x, y = (round(c * size - half / 2) for c, half in zip(placement.centre, glyph.size, strict=True))
        picture.paste(glyph, (x, y), glyph)
    return picture.convert("L").convert("RGB") if layout.monochrome else picture


def owner_of_patches(layout: Layout, glyphs: Path, size: int, patches: int) -> np.ndarray:
    """Return which object covers each patch, by place in the layout: [patches, patches] int, -1 for none."""
    owner = np.full((patches, patches), -1, dtype=np.int64)
    best = np.full((patches, patches), 0.25)  # an object owns a patch that it covers by a quarter or more
    for k, placement in enumerate(layout.placements):
        glyph = _glyph(placement, glyphs, size).getchannel("A")
        mask = Image.new("L", (size, size))
        x, y = (round(c * size - half / 2) for c, half in zip(placement.centre, glyph.size, strict=True))
        mask.paste(glyph, (x, y))
        cover = np.asarray(mask.resize((patches, patches), Image.Resampling.BOX), dtype=np.float64) / 255
        owner[cover > best] = k
        best = np.maximum(best, cover)
    return owner
