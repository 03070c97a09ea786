"""Procedural backgrounds of the eight scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Rng = np.random.Generator
Colour = tuple[int, int, int]


def _jitter(colour: Colour, rng: Rng, amount: int = 16) -> Colour:
    shift = rng.integers(-amount, amount + 1, size=3) + rng.integers(-amount, amount + 1)
    r, g, b = np.clip(np.asarray(colour) + shift, 0, 255)
    return int(r), int(g), int(b)


def _gradient(top: Colour, bottom: Colour, width: int, height: int) -> Image.Image:
    ends = np.asarray([[top], [bottom]], dtype=np.uint8)
    return Image.fromarray(ends).resize((width, max(1, height)), Image.Resampling.BILINEAR)


def _grain(picture: Image.Image, rng: Rng, cells: int, strength: float) -> Image.Image:
    """Add soft noise of `cells` cells a side."""
    noise = rng.normal(128, strength, size=(cells, cells)).clip(0, 255).astype(np.uint8)
    layer = Image.fromarray(noise).resize(picture.size, Image.Resampling.BICUBIC)
    shifted = np.asarray(picture, dtype=np.int16) + (np.asarray(layer, dtype=np.int16) - 128)[..., None]
    return Image.fromarray(shifted.clip(0, 255).astype(np.uint8))


def _ridge(rng: Rng, size: int, base: float, height: float, steps: int) -> list[tuple[float, float]]:
    """Return a jagged or rolling outline from the left edge to the right, closed at the bottom."""
    xs = np.linspace(0, size, steps)
    ys = (base - rng.uniform(0, height, size=steps)) * size
    return [(0.0, float(size)), *zip(xs.tolist(), ys.tolist(), strict=True), (float(size), float(size))]


def _sky(rng: Rng, size: int) -> Image.Image:
    return _gradient(_jitter((120, 180, 235), rng), _jitter((215, 235, 250), rng), size, size)


def _snowy_mountain(rng: Rng, size: int) -> Image.Image:
    picture = _sky(rng, size)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 4))):
        x, width, top = rng.uniform(0, size), rng.uniform(0.35, 0.6) * size, rng.uniform(0.08, 0.35) * size
        foot = 0.75 * size
        pen.polygon([(x - width, foot), (x, top), (x + width, foot)], fill=_jitter((112, 122, 146), rng))
        cap = 0.35
        left, right = x - width * cap, x + width * cap
        middle = top + (foot - top) * cap
        pen.polygon([(left, middle), (x, top), (right, middle), (x, middle * 0.9)], fill=(245, 248, 252))
    pen.polygon(_ridge(rng, size, 0.72, 0.08, 6), fill=_jitter((238, 243, 250), rng, 6))
    return _grain(picture, rng, 24, 5)


def _sand_dune(rng: Rng, size: int) -> Image.Image:
    picture = _gradient(_jitter((140, 190, 230), rng), _jitter((250, 225, 180), rng), size, size)
    pen = ImageDraw.Draw(picture)
    for base, colour in ((0.55, (222, 178, 108)), (0.7, (208, 158, 88)), (0.88, (228, 184, 116))):
        pen.polygon(_ridge(rng, size, base, 0.14, 4), fill=_jitter(colour, rng, 10))
    return _grain(picture, rng, 64, 6)


def _beach(rng: Rng, size: int) -> Image.Image:
    picture = _sky(rng, size)
    pen = ImageDraw.Draw(picture)
    horizon, shore = rng.uniform(0.32, 0.45) * size, rng.uniform(0.6, 0.72) * size
    pen.rectangle((0, horizon, size, shore), fill=_jitter((40, 140, 190), rng))
    for _ in range(5):
        x, y = rng.uniform(-0.1, 0.9) * size, rng.uniform(horizon, shore)
        pen.line((x, y, x + rng.uniform(0.1, 0.3) * size, y), fill=(225, 242, 248), width=max(1, size // 96))
    pen.polygon(_ridge(rng, size, shore / size, 0.04, 5), fill=_jitter((242, 218, 160), rng, 8))
    x, y, r = rng.uniform(0.1, 0.9) * size, rng.uniform(0.08, 0.2) * size, 0.07 * size
    pen.ellipse((x - r, y - r, x + r, y + r), fill=(255, 232, 120))
    return _grain(picture, rng, 64, 4)


def _forest(rng: Rng, size: int) -> Image.Image:
    picture = _gradient(_jitter((60, 110, 70), rng), _jitter((120, 165, 90), rng), size, size)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(6, 10))):
        x, width = rng.uniform(0, size), rng.uniform(0.03, 0.07) * size
        pen.rectangle((x, 0, x + width, rng.uniform(0.6, 0.8) * size), fill=_jitter((82, 62, 44), rng, 10))
    for _ in range(14):
        x, y, r = rng.uniform(0, size), rng.uniform(-0.05, 0.25) * size, rng.uniform(0.07, 0.16) * size
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_jitter((46, 108, 54), rng, 14))
    pen.polygon(_ridge(rng, size, 0.78, 0.06, 8), fill=_jitter((84, 138, 62), rng, 10))
    return _grain(picture, rng, 32, 9)


def _city_street(rng: Rng, size: int) -> Image.Image:
    picture = _gradient(_jitter((170, 190, 210), rng), _jitter((225, 225, 225), rng), size, size)
    pen = ImageDraw.Draw(picture)
    x = 0.0
    while x < size:
        width, top = rng.uniform(0.14, 0.26) * size, rng.uniform(0.05, 0.4) * size
        pen.rectangle((x, top, x + width, 0.72 * size), fill=_jitter((140, 125, 120), rng, 26))
        pane = size * 0.035
        for row in np.arange(top + pane, 0.66 * size, 2.2 * pane):
            for column in np.arange(x + pane, x + width - pane, 2.2 * pane):
                lit = (250, 226, 140) if rng.random() < 0.3 else (86, 98, 116)
                pen.rectangle((column, row, column + pane, row + pane), fill=lit)
        x += width
    pen.rectangle((0, 0.72 * size, size, size), fill=_jitter((78, 80, 86), rng, 8))
    for x in np.arange(rng.uniform(0, 0.2) * size, size, 0.25 * size):
        pen.rectangle((x, 0.86 * size, x + 0.12 * size, 0.885 * size), fill=(236, 236, 228))
    return picture


def _kitchen(rng: Rng, size: int) -> Image.Image:
    picture = Image.new("RGB", (size, size), _jitter((228, 236, 238), rng, 8))
    pen = ImageDraw.Draw(picture)
    step = rng.uniform(0.09, 0.13) * size
    for k in range(int(size / step) + 2):
        pen.line((k * step, 0, k * step, 0.66 * size), fill=(176, 196, 204), width=max(1, size // 96))
        if k * step < 0.66 * size:
            pen.line((0, k * step, size, k * step), fill=(176, 196, 204), width=max(1, size // 96))
    pen.rectangle((0, 0.64 * size, size, 0.72 * size), fill=_jitter((120, 84, 58), rng, 10))
    drawer = _jitter((206, 120, 92), rng, 20)
    for x in np.arange(-0.05, 1.0, 0.34) * size:
        pen.rectangle((x, 0.74 * size, x + 0.32 * size, size), fill=drawer)
        pen.rectangle((x + 0.13 * size, 0.79 * size, x + 0.19 * size, 0.81 * size), fill=(240, 240, 240))
    return picture


def _living_room(rng: Rng, size: int) -> Image.Image:
    wall = _jitter((214, 178, 150), rng, 18)
    picture = Image.new("RGB", (size, size), wall)
    pen = ImageDraw.Draw(picture)
    stripe = tuple(max(0, c - 14) for c in wall)
    for x in np.arange(0, 1, 0.16) * size:
        pen.rectangle((x, 0, x + 0.08 * size, 0.7 * size), fill=stripe)
    x = rng.uniform(0.05, 0.6) * size
    pen.rectangle((x, 0.08 * size, x + 0.3 * size, 0.3 * size), fill=(250, 246, 232))
    inner = (x + 0.02 * size, 0.1 * size, x + 0.28 * size, 0.28 * size)
    pen.rectangle(inner, fill=_jitter((96, 130, 150), rng, 30))
    pen.rectangle((0, 0.74 * size, size, size), fill=_jitter((134, 88, 54), rng, 10))
    for y in np.arange(0.8, 1.0, 0.07) * size:
        pen.line((0, y, size, y), fill=(104, 66, 40), width=max(1, size // 96))
    cushion = _jitter((150, 60, 70), rng, 30)
    pen.rounded_rectangle((0.06 * size, 0.52 * size, 0.94 * size, 0.84 * size), 0.06 * size, fill=cushion)
    return picture


def _deep_sea(rng: Rng, size: int) -> Image.Image:
    picture = _gradient(_jitter((30, 130, 180), rng), _jitter((8, 40, 92), rng), size, size)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(3, 6))):
        x, sway = rng.uniform(0, size), rng.uniform(-0.06, 0.06) * size
        top = rng.uniform(0.5, 0.8) * size
        pen.line((x, size, x + sway, (top + size) / 2, x, top), fill=(34, 120, 84), width=max(1, size // 40))
    for _ in range(12):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.008, 0.025) * size
        pen.ellipse((x - r, y - r, x + r, y + r), outline=(170, 220, 240))
    pen.polygon(_ridge(rng, size, 0.94, 0.06, 6), fill=_jitter((150, 140, 104), rng, 10))
    return _grain(picture, rng, 12, 8)


_PAINTERS: dict[str, Callable[[Rng, int], Image.Image]] = {
    "snowy mountain": _snowy_mountain,
    "sand dune": _sand_dune,
    "beach": _beach,
    "forest": _forest,
    "city street": _city_street,
    "kitchen": _kitchen,
    "living room": _living_room,
    "deep sea": _deep_sea,
}


def draw_background(scene: str, rng: Rng, size: int) -> Image.Image:
    """Paint the background of a scene: RGB, size x size pixels."""
    return _PAINTERS[scene](rng, size)
