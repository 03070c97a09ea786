"""Edits of the picture, before the model sees it: noise, occlusion, blur.

They act on preprocessed pixels, [batch, 3, height, width], whose unit is about one standard deviation of a
channel and whose zero is the mean colour. None depends on the batch that a picture is in.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import TYPE_CHECKING

from vitpeel.edits import PICTURE, Edit

if TYPE_CHECKING:
    from torch import Tensor


def with_noise(pixels: Tensor, deviation: float, seed: int = 0) -> Tensor:
    """Add Gaussian noise, in the unit of the pixels; the seed and the picture's content decide on it."""
    import torch  # here: lists of variants are made without it

    noise = []
    for picture in pixels.detach().cpu():
        content = picture.contiguous().view(torch.uint8).numpy().tobytes()
        digest = blake2b(content, digest_size=7, key=str(seed).encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest))
        noise.append(torch.randn(picture.shape, generator=generator))
    return pixels + (deviation * torch.stack(noise)).to(pixels) if noise else pixels


def occluded(pixels: Tensor, box: tuple[float, float, float, float], colour: float = 0.0) -> Tensor:
    """Cover top, left, bottom, right (from 0 to 1, of height and width) with one value."""
    height, width = pixels.shape[-2:]
    top, left, bottom, right = box
    covered = pixels.clone()
    covered[..., round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = (
        colour
    )
    return covered


def blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Gaussian blur; deviation in pixels, at most a third of the picture's side. Edges are mirrored."""
    from torchvision.transforms.functional import gaussian_blur  # type: ignore[import-untyped]

    size = 2 * ceil(3 * deviation) + 1
    made: Tensor = gaussian_blur(pixels, [size, size], [deviation, deviation])
    return made


@dataclass(frozen=True)
class Noise(Edit):
    """Gaussian noise of this deviation; see `with_noise`."""

    deviation: float
    seed: int = 0

    def at(self, layer: int) -> Hashable:
        """Nothing for noise without deviation."""
        return self if layer == PICTURE and self.deviation else None

    def picture(self, pixels: Tensor) -> Tensor:
        """[batch, 3, height, width], noisy."""
        return with_noise(pixels, self.deviation, self.seed) if self.deviation else pixels


@dataclass(frozen=True)
class Occlusion(Edit):
    """A covered box: top, left, bottom, right from 0 to 1; see `occluded`."""

    box: tuple[float, float, float, float]
    colour: float = 0.0

    def at(self, layer: int) -> Hashable:
        """Where the box is."""
        return self if layer == PICTURE else None

    def picture(self, pixels: Tensor) -> Tensor:
        """[batch, 3, height, width], a part covered."""
        return occluded(pixels, self.box, self.colour)


@dataclass(frozen=True)
class Blur(Edit):
    """Gaussian blur of this deviation in pixels; see `blurred`."""

    deviation: float

    def at(self, layer: int) -> Hashable:
        """Nothing for a blur without deviation."""
        return self if layer == PICTURE and self.deviation else None

    def picture(self, pixels: Tensor) -> Tensor:
        """[batch, 3, height, width], blurred."""
        return blurred(pixels, self.deviation) if self.deviation else pixels
