"""Edits of the picture: what they do, and that no batch or seed of torch's has a part in it."""

from collections.abc import Iterator

import numpy as np
import pytest
import tiny
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from vitpeel.edits import Combined, MaskHeads
from vitpeel.models.instructblip import trunk_of
from vitpeel.picture_edits import Blur, Noise, Occlusion, blurred, occluded, with_noise
from vitpeel.sweep import Variant, sweep, unedited


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def test_noise_has_its_deviation_and_hangs_on_picture_and_seed_alone() -> None:
    pixels = tiny.pictures(4, 64)
    noisy = with_noise(pixels, 0.3, seed=5)
    assert (noisy - pixels).std() == pytest.approx(0.3, rel=0.02)
    assert abs((noisy - pixels).mean()) < 0.01
    assert not torch.allclose((noisy - pixels)[0], (noisy - pixels)[1])
    torch.manual_seed(99)
    assert torch.equal(with_noise(pixels.flip(0), 0.3, seed=5).flip(0), noisy)
    assert torch.equal(with_noise(pixels[2:3], 0.3, seed=5), noisy[2:3])
    assert not torch.allclose(with_noise(pixels, 0.3, seed=6), noisy)


def test_blur_equals_scipy() -> None:
    pixels = tiny.pictures(2, 40)
    for deviation in (0.8, 2.0):
        expected = gaussian_filter(
            pixels.numpy(),
            (0, 0, deviation, deviation),
            mode="mirror",
            truncate=np.ceil(3 * deviation) / deviation,
        )
        np.testing.assert_allclose(blurred(pixels, deviation).numpy(), expected, atol=1e-5)


def test_a_box_is_covered_and_nothing_else() -> None:
    pixels = tiny.pictures(2)
    covered = occluded(pixels, (0.25, 0.5, 0.75, 1.0), 7.0)
    box = torch.zeros(32, 32, dtype=torch.bool)
    box[8:24, 16:32] = True
    assert (covered[..., box] == 7).all()
    assert torch.equal(covered[..., ~box], pixels[..., ~box])
    assert not (pixels == 7).any()


def test_a_sweep_of_edited_pictures_equals_a_sweep_over_edited_pixels() -> None:
    trunk = trunk_of(tiny.model(tiny.config()).vision_model)
    pixels = tiny.pictures(3)
    masked = MaskHeads({1: (0,)})
    variants = [
        unedited(3),
        Variant("noise", (0, 2), Noise(0.5, seed=2)),
        Variant("noise, masked", (2,), Combined((Noise(0.5, seed=2), masked))),
        Variant("blur", (2,), Blur(1.0)),
        Variant("both", (2,), Combined((Blur(1.0), Occlusion((0, 0, 1, 0.5))))),
    ]
    found = {(r.variant, r.layer): r.z for r in sweep(trunk, pixels, variants)}

    def expected(seen: Tensor, variant: Variant) -> Tensor:
        (reading,) = sweep(trunk, seen, [variant])
        return reading.z

    plain, noisy = Variant("plain", (2,)), with_noise(pixels, 0.5, seed=2)
    assert torch.equal(found["unedited", 2], expected(pixels, plain))
    assert torch.equal(found["noise", 2], expected(noisy, plain))
    assert torch.equal(found["noise, masked", 2], expected(noisy, Variant("masked", (2,), masked)))
    assert torch.equal(found["blur", 2], expected(blurred(pixels, 1.0), plain))
    covered = occluded(blurred(pixels, 1.0), (0, 0, 1, 0.5))
    assert torch.equal(found["both", 2], expected(covered, plain))
    assert len({z.sum().item() for (_, layer), z in found.items() if layer == 2}) == 5
