"""Each edit equals forward hooks on transformers' own vision model, in every layer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from vitpeel.edits import (
    UNEDITED,
    AverageAttentionInput,
    AverageAttentionOutput,
    AverageNormedInput,
    Combined,
    Edit,
    IsolateHeads,
    MaskHeads,
    ReplaceResidual,
    ReplaceSkip,
    ScaleHeads,
)
from vitpeel.means import Means, Place
from vitpeel.models.instructblip import trunk_of
from vitpeel.picture_edits import Blur, Noise, Occlusion
from vitpeel.sweep import Variant, sweep

BLOCKS, HEADS, SIZE = 5, 4, 8
AT = (1, 3)
LAYERS = frozenset(AT)
Hooked = Callable[[list[nn.Module]], None]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def means(place: Place = "input", seed: int = 3) -> Means:
    drawn = torch.randn(BLOCKS, 17, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Means(place, drawn, pictures=9)


MEANS = means()


def mean(layer: int, like: Tensor) -> Tensor:
    return MEANS.values[layer].float().expand_as(like)


def reads_before_norm(blocks: list[Any]) -> None:
    for at in AT:
        blocks[at].layer_norm1.register_forward_pre_hook(lambda _, args, at=at: (mean(at, args[0]),))


def reads_after_norm(blocks: list[Any]) -> None:
    for at in AT:
        blocks[at].layer_norm1.register_forward_hook(lambda _, args, out, at=at: mean(at, out))


def gives(blocks: list[Any]) -> None:
    for at in AT:
        blocks[at].self_attn.register_forward_hook(lambda _, args, out, at=at: (mean(at, out[0]), out[1]))


def carries(blocks: list[Any]) -> None:
    """The block gets the mean, but its norm the stream that the block would have got."""
    for at in AT:
        real: list[Tensor] = []

        def swap(_: nn.Module, args: Any, at: int = at, real: list[Tensor] = real) -> Any:
            real[:] = [args[0]]
            return (mean(at, args[0]), *args[1:])

        blocks[at].register_forward_pre_hook(swap)
        blocks[at].layer_norm1.register_forward_pre_hook(lambda _, args, real=real: (real[0],))


def starts_from(blocks: list[Any]) -> None:
    for at in AT:
        blocks[at].register_forward_pre_hook(lambda _, args, at=at: (mean(at, args[0]), *args[1:]))


def scales(factors: Mapping[int, Mapping[int, float]]) -> Hooked:
    def hook(blocks: list[Any]) -> None:
        for at, by_head in factors.items():

            def scale(_: nn.Module, args: Any, by_head: Mapping[int, float] = by_head) -> Any:
                heads = args[0].clone()
                for head, factor in by_head.items():
                    heads[..., head * SIZE : (head + 1) * SIZE] *= factor
                return (heads,)

            blocks[at].self_attn.projection.register_forward_pre_hook(scale)

    return hook


def both(*hooks: Hooked) -> Hooked:
    def hook(blocks: list[nn.Module]) -> None:
        for one in hooks:
            one(blocks)

    return hook


CASES: list[tuple[Edit, Hooked]] = [
    (UNEDITED, lambda blocks: None),
    (AverageAttentionInput(LAYERS, MEANS), reads_before_norm),
    (AverageNormedInput(LAYERS, MEANS), reads_after_norm),
    (AverageAttentionOutput(LAYERS, MEANS), gives),
    (ReplaceSkip(LAYERS, MEANS), carries),
    (ReplaceResidual(LAYERS, MEANS), starts_from),
    (MaskHeads({1: (0, 2), 3: (1,)}), scales({1: {0: 0, 2: 0}, 3: {1: 0}})),
    (IsolateHeads({1: (0, 2), 3: ()}), scales({1: {1: 0, 3: 0}, 3: dict.fromkeys(range(4), 0)})),
    (ScaleHeads({0: {3: 1.5}, 3: {0: -0.5, 1: 2}}), scales({0: {3: 1.5}, 3: {0: -0.5, 1: 2}})),
    (
        Combined((MaskHeads({1: (2,), 2: (0,)}), AverageAttentionInput(LAYERS, MEANS))),
        both(scales({1: {2: 0}, 2: {0: 0}}), reads_before_norm),
    ),
    (
        Combined((MaskHeads({1: (2,)}), ScaleHeads({1: {2: 3.0, 0: 3.0}}), ReplaceSkip(LAYERS, MEANS))),
        both(scales({1: {2: 0, 0: 3.0}}), carries),
    ),
]
NAMES = [f"{number} {type(edit).__name__}" for number, (edit, _) in enumerate(CASES)]


def hooked(pixels: Tensor, hook: Hooked) -> list[Tensor]:
    """Every layer of the checkpoint with these hooks."""
    checkpoint: Any = tiny.model(tiny.config(blocks=BLOCKS)).vision_model
    blocks, layers = checkpoint.encoder.layers, []
    for block in blocks:
        block.register_forward_hook(lambda _, args, out: layers.append(out))
    hook(blocks)
    checkpoint(pixels)
    return layers


def edited(pixels: Tensor, edit: Edit) -> list[Tensor]:
    trunk = trunk_of(tiny.model(tiny.config(blocks=BLOCKS)).vision_model)
    return [reading.z for reading in sweep(trunk, pixels, [Variant("v", tuple(range(BLOCKS)), edit)])]


@pytest.mark.parametrize(("edit", "hook"), CASES, ids=NAMES)
def test_every_layer_equals_hooks_on_the_checkpoint(edit: Edit, hook: Hooked) -> None:
    pixels = tiny.pictures(3)
    layers = edited(pixels, edit)
    assert len(layers) == BLOCKS
    for z, expected in zip(layers, hooked(pixels, hook), strict=True):
        assert_close(z, expected, atol=1e-4, rtol=0)
    if edit is not UNEDITED:
        plain = hooked(pixels, lambda blocks: None)
        assert torch.allclose(layers[0], plain[0], atol=1e-4) == (edit.at(0) is None)
        assert not torch.allclose(layers[4], plain[4], atol=1e-2)


NOTHING = [
    AverageAttentionInput(frozenset(), MEANS),
    ReplaceSkip(frozenset({7}), MEANS),
    MaskHeads({2: ()}),
    ScaleHeads({1: {0: 1.0}}),
    Combined(()),
    Combined((MaskHeads({}), ReplaceResidual(frozenset(), MEANS))),
    Noise(0.0),
    Blur(0.0),
]


@pytest.mark.parametrize("edit", NOTHING, ids=[f"{n} {type(e).__name__}" for n, e in enumerate(NOTHING)])
def test_an_edit_of_nothing_is_bit_exact_and_shares_every_block(edit: Edit) -> None:
    pixels = tiny.pictures(2)
    assert {edit.at(layer) for layer in range(-1, BLOCKS)} == {None}
    assert all(torch.equal(a, b) for a, b in zip(edited(pixels, edit), edited(pixels, UNEDITED), strict=True))


@pytest.mark.parametrize("edit", [IsolateHeads({1: range(HEADS)}), ScaleHeads({1: {0: 2.0, 1: 1.0}})])
def test_a_factor_of_one_is_bit_exact(edit: Edit) -> None:
    scale = edit.head_scale(1, HEADS)
    assert scale is not None
    z = torch.randn(2, HEADS, 3, 4)
    same = scale == 1
    assert same.any()
    assert torch.equal((z * scale[:, None, None])[:, same], z[:, same])


EDITS = [edit for edit, _ in CASES] + [Noise(0.5), Noise(0.5, seed=1), Occlusion((0, 0, 0.5, 0.5)), Blur(1.0)]


def test_edits_are_hashable_and_only_equal_edits_share() -> None:
    assert len(set(EDITS)) == len(EDITS)
    keys = [tuple(edit.at(layer) for layer in range(-1, BLOCKS)) for edit in EDITS]
    assert len(set(keys)) == len(EDITS)
    assert MaskHeads({1: [2, 0]}) == MaskHeads({1: (0, 2)})
    assert MaskHeads({1: [2]}).at(1) == ScaleHeads({1: {2: 0.0, 3: 1.0}}).at(1)
    assert Combined((MaskHeads({1: [2]}), Blur(0.0))).at(1) == MaskHeads({1: [2]}).at(1)
    assert AverageAttentionInput(LAYERS, MEANS).at(1) != AverageAttentionInput(LAYERS, means()).at(1)


def test_edits_do_not_change_with_what_they_were_made_from() -> None:
    masked = {1: [0]}
    edit = MaskHeads(masked)
    masked[1].append(3)
    masked[2] = [1]
    assert edit == MaskHeads({1: (0,)})


@pytest.mark.parametrize("edit", [MaskHeads({1: (4,)}), IsolateHeads({1: (-1,)}), ScaleHeads({1: {9: 2.0}})])
def test_a_head_that_is_not_there_is_refused(edit: Edit) -> None:
    with pytest.raises(ValueError, match=r"layer 1: no head (4|-1|9), the heads are 0 to 3"):
        edited(tiny.pictures(1), edit)


def test_the_later_of_two_edits_has_the_last_word() -> None:
    pixels, other = tiny.pictures(2), means(seed=4)
    first, second = AverageAttentionInput(LAYERS, other), AverageAttentionInput(LAYERS, MEANS)
    expected = edited(pixels, second)
    for z, wanted in zip(edited(pixels, Combined((first, second))), expected, strict=True):
        assert torch.equal(z, wanted)
    assert not torch.allclose(edited(pixels, Combined((second, first)))[4], expected[4], atol=1e-2)
