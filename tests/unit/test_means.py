"""Means equal numpy's over what transformers computes, whatever the batches, their order and the shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import tiny
import torch
from torch import Tensor
from torch.testing import assert_close

from vitpeel import means
from vitpeel.errors import InputError, ProvenanceError
from vitpeel.means import Place, Sums
from vitpeel.models.instructblip import trunk_of
from vitpeel.provenance import Provenance
from vitpeel.tensors import write_tensors
from vitpeel.trunk import Trunk

PLACES: tuple[Place, ...] = get_args(Place)
MADE = Provenance(checkpoint="c", dtype="float32")
COUNT = 7


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def checkpoint() -> Any:
    return tiny.model(tiny.config()).vision_model


@pytest.fixture
def trunk(checkpoint: Any) -> Trunk:
    return trunk_of(checkpoint)


def found(trunk: Trunk, batches: Any) -> Sums:
    return means.sums(trunk, means.fresh_inputs(trunk, batches), PLACES)


def test_every_place_equals_hooks_on_the_checkpoint(checkpoint: Any, trunk: Trunk) -> None:
    pixels = tiny.pictures(COUNT)
    seen: dict[str, list[Tensor]] = {place: [] for place in PLACES}
    hooks = []
    for block in checkpoint.encoder.layers:
        norm, attention = block.layer_norm1, block.self_attn
        hooks.append(norm.register_forward_pre_hook(lambda _, args: seen["input"].append(args[0])))
        hooks.append(norm.register_forward_hook(lambda _, args, out: seen["normed"].append(out)))
        hooks.append(attention.register_forward_hook(lambda _, args, out: seen["output"].append(out[0])))
    checkpoint(pixels)
    for hook in hooks:
        hook.remove()
    sums = found(trunk, pixels.split(3))
    for place in PLACES:
        mean = sums.mean(place)
        assert (mean.place, mean.pictures) == (place, COUNT)
        assert mean.values.dtype == torch.float64
        assert_close(mean.values, torch.stack(seen[place]).double().mean(1), atol=1e-5, rtol=0)


def test_the_order_of_pictures_changes_nothing_but_float64_rounding(trunk: Trunk) -> None:
    # two are half a million times as large, so that sums in float32 would part
    rows = [*tiny.pictures(COUNT), *(5e5 * tiny.pictures(2, seed=1))]
    forward, backward = (found(trunk, [row[None] for row in order]) for order in (rows, rows[::-1]))
    for place in PLACES:
        assert_close(forward.totals[place], backward.totals[place], atol=1e-9, rtol=1e-13)


def test_batches_and_shards_change_nothing(trunk: Trunk) -> None:
    pixels = tiny.pictures(COUNT)
    expected = found(trunk, [pixels])
    parts = found(trunk, [pixels[:4]]) + found(trunk, []) + found(trunk, [pixels[4:]])
    for other in (found(trunk, pixels.split(2)), found(trunk, pixels.split(1)), parts):
        assert other.pictures == COUNT
        for place in PLACES:
            assert_close(other.totals[place], expected.totals[place], atol=1e-5, rtol=0)


@pytest.fixture
def residuals(trunk: Trunk, tmp_path: Path) -> Path:
    pixels, path = tiny.pictures(COUNT), tmp_path / "residuals.safetensors"
    stream = torch.stack([trunk.embed(pixels), *(z for _, z in trunk.layers(pixels))], dim=1)
    write_tensors(path, {"residuals": stream}, MADE, list("abcdefg"))
    return path


def test_cached_residuals_give_the_same_means(trunk: Trunk, residuals: Path) -> None:
    expected = found(trunk, [tiny.pictures(COUNT)])
    for batch in (2, 100):
        cached = means.sums(trunk, means.cached_inputs(residuals, trunk, MADE, batch), PLACES)
        assert cached.pictures == COUNT
        for place in PLACES:
            assert_close(cached.totals[place], expected.totals[place], atol=1e-5, rtol=0)
    # sums of the very same numbers: float64 rounding alone is left
    cut = [means.sums(trunk, means.cached_inputs(residuals, trunk, MADE, batch)) for batch in (1, 3, 7)]
    for other in cut[1:]:
        assert_close(other.totals["input"], cut[0].totals["input"], atol=1e-13, rtol=1e-13)


def test_means_of_some_of_the_cached_pictures(trunk: Trunk, residuals: Path) -> None:
    kept = means.sums(trunk, means.cached_inputs(residuals, trunk, MADE, 2, keep={"b", "f", "z"}))
    expected = found(trunk, [tiny.pictures(COUNT)[[1, 5]]])
    assert kept.pictures == 2
    assert_close(kept.totals["input"], expected.totals["input"], atol=1e-5, rtol=0)


def test_residuals_that_something_else_made_are_refused(trunk: Trunk, residuals: Path) -> None:
    with pytest.raises(ProvenanceError, match="made with checkpoint c, but this run has d"):
        means.sums(trunk, means.cached_inputs(residuals, trunk, Provenance(checkpoint="d"), 2))


def test_shards_on_disk_come_back_as_one_mean(trunk: Trunk, tmp_path: Path) -> None:
    pixels, paths = tiny.pictures(COUNT), []
    for number, part in enumerate((pixels[:4], pixels[4:4], pixels[4:])):
        paths.append(tmp_path / f"means-{number}-of-3.safetensors")
        means.save(paths[-1], found(trunk, part.split(1) if len(part) else []), MADE)
    expected = found(trunk, pixels.split(1))
    for place in PLACES:
        loaded = means.load(paths, place, MADE)
        assert (loaded.place, loaded.pictures) == (place, COUNT)
        assert_close(loaded.values, expected.totals[place] / COUNT, atol=1e-13, rtol=1e-13)
    with pytest.raises(ProvenanceError, match="means-0-of-3"):
        means.load(paths, "input", Provenance(checkpoint="other"))
    with pytest.raises(InputError, match="not one picture"):
        means.load(paths[1:2], "input", MADE)
    means.save(paths[0], means.sums(trunk, means.fresh_inputs(trunk, [pixels])), MADE)
    with pytest.raises(InputError, match=r"holds input, pictures, not output"):
        means.load(paths[:1], "output", MADE)


def test_sums_of_different_places_are_not_added(trunk: Trunk) -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        found(trunk, []) + means.sums(trunk, [])


def test_one_vector_is_the_mean_over_positions(trunk: Trunk) -> None:
    mean = found(trunk, [tiny.pictures(2)]).mean("input")
    one = mean.one_vector()
    for position in range(trunk.tokens):
        assert_close(one.values[:, position], mean.values.mean(1))
    half = one.at(1, torch.zeros(1, dtype=torch.float16))
    assert (half.dtype, half.shape) == (torch.float16, (1, trunk.tokens, trunk.width))
