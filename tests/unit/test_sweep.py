"""Prefix sharing: every block runs once for the same state, and sharing changes no bit."""

import weakref
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from torch.testing import assert_close

from vitpeel.edits import (
    UNEDITED,
    AverageAttentionInput,
    Edit,
    IsolateHeads,
    MaskHeads,
    ReplaceResidual,
    ReplaceSkip,
)
from vitpeel.means import Means
from vitpeel.models.instructblip import trunk_of
from vitpeel.sweep import Sweep, Variant, cost, sweep, unedited
from vitpeel.trunk import Trunk


@dataclass(frozen=True)
class Dampen(Edit):
    """Each of the three terms changed at some layers, so that a term that is ignored shows."""

    layers: frozenset[int]
    factor: float

    def at(self, layer: int) -> Hashable:
        return self.factor if layer in self.layers else None

    def attention_input(self, layer: int, z: Tensor) -> Tensor:
        return z * self.factor + 1 if layer in self.layers else z

    def head_scale(self, layer: int, heads: int) -> Tensor | None:
        return torch.tensor([self.factor, 1, 1, 1]) if layer in self.layers else None

    def skip(self, layer: int, z: Tensor) -> Tensor:
        return z * self.factor if layer in self.layers else z


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def trunk() -> Trunk:
    return trunk_of(tiny.model(tiny.config(blocks=5)).vision_model)


@pytest.fixture
def ran(trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layers whose block ran, in order."""
    layers: list[int] = []
    block = Trunk.block

    def counted(
        self: Trunk, layer: int, z: Tensor, edit: Edit = UNEDITED, msa: Tensor | None = None
    ) -> Tensor:
        layers.append(layer)
        return block(self, layer, z, edit, msa)

    monkeypatch.setattr(Trunk, "block", counted)
    return layers


def naive(trunk: Trunk, pixels: Tensor, edit: Edit) -> list[Tensor]:
    """Every layer of one variant, from the pixels on, with Equations 1 and 2 written out."""
    z, layers = trunk.embed(pixels), []
    for layer in range(trunk.depth):
        msa = trunk.attention(layer, edit.attention_input(layer, z), edit.head_scale(layer, trunk.heads))
        z_hat = msa + edit.skip(layer, z)
        z = trunk.mlp(layer, z_hat) + z_hat
        layers.append(z)
    return layers


def test_all_layers_of_a_batch_come_from_one_pass(trunk: Trunk, ran: list[int]) -> None:
    pixels = tiny.pictures(4)
    readings = list(sweep(trunk, pixels, [unedited(trunk.depth)]))
    assert ran == [0, 1, 2, 3, 4]
    assert [(r.variant, r.layer, r.head) for r in readings] == [("unedited", layer, None) for layer in ran]
    for reading, expected in zip(readings, naive(trunk, pixels, UNEDITED), strict=True):
        assert torch.equal(reading.z, expected)


def test_variants_share_what_they_have_in_common(trunk: Trunk, ran: list[int]) -> None:
    pixels = tiny.pictures(2)
    late, later = Dampen(frozenset({2, 3}), 0.5), Dampen(frozenset({2, 4}), 0.5)
    variants = [unedited(5), Variant("late", (1, 4), late), Variant("later", (2, 4), later)]
    readings = {(r.variant, r.layer): r.z for r in sweep(trunk, pixels, variants)}

    # blocks 0 and 1 serve all three, block 2 the edited two
    assert sorted(ran) == [0, 1, 2, 2, 3, 3, 3, 4, 4, 4]
    assert readings["late", 1] is readings["unedited", 1]
    assert len(readings) == 5 + 2 + 2
    for variant in variants:
        expected = naive(trunk, pixels, variant.edit)
        for layer in variant.layers:
            assert torch.equal(readings[variant.name, layer], expected[layer])
    assert not torch.allclose(readings["late", 4], readings["later", 4], atol=1e-3)


def test_the_order_of_variants_changes_nothing(trunk: Trunk) -> None:
    pixels = tiny.pictures(2)
    variants = [unedited(5), Variant("edited", (0, 4), Dampen(frozenset({1}), 0.3))]
    forward = {(r.variant, r.layer): r.z for r in sweep(trunk, pixels, variants)}
    backward = {(r.variant, r.layer): r.z for r in sweep(trunk, pixels, variants[::-1])}
    assert forward.keys() == backward.keys()
    assert all(torch.equal(forward[key], backward[key]) for key in forward)


def test_an_edit_that_changes_nothing_is_exact(trunk: Trunk) -> None:
    pixels = tiny.pictures(2)
    (nothing,) = sweep(trunk, pixels, [Variant("nothing", (4,), Dampen(frozenset(), 0.5))])
    assert torch.equal(nothing.z, naive(trunk, pixels, UNEDITED)[4])


def test_no_block_runs_beyond_the_last_layer_read(trunk: Trunk, ran: list[int]) -> None:
    list(sweep(trunk, tiny.pictures(1), [Variant("early", (1,)), Variant("unread", ())]))
    assert ran == [0, 1]


def test_a_layer_outside_the_trunk_is_refused(trunk: Trunk) -> None:
    with pytest.raises(ValueError, match=r"early.*5.*0\.\.4"):
        list(sweep(trunk, tiny.pictures(1), [Variant("early", (5,))]))


def means(seed: int = 0) -> Means:
    drawn = torch.randn(5, 17, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Means("input", drawn, pictures=4)


@pytest.fixture
def attended(trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(layer, pictures) of every attention that ran."""
    passes: list[tuple[int, int]] = []
    attend = Trunk._attend

    def counted(self: Trunk, layer: int, x: Tensor) -> Tensor:
        passes.append((layer, len(x)))
        return attend(self, layer, x)

    monkeypatch.setattr(Trunk, "_attend", counted)
    return passes


def test_an_averaged_input_is_attended_to_once_for_all_batches(
    trunk: Trunk, attended: list[tuple[int, int]]
) -> None:
    average = Variant("average", (4,), AverageAttentionInput(frozenset({1, 2, 3, 4}), means()))
    run = Sweep(trunk, (average,))
    for _ in range(3):
        list(run(tiny.pictures(6)))
    assert sorted(attended) == [*[(0, 6)] * 3, (1, 1), (2, 1), (3, 1), (4, 1)]


def test_variants_that_differ_in_the_skip_alone_share_the_attention(
    trunk: Trunk, attended: list[tuple[int, int]], ran: list[int]
) -> None:
    confused = Variant("confused", (3,), ReplaceSkip(frozenset({3}), means()))
    list(sweep(trunk, tiny.pictures(2), [unedited(4), confused]))
    assert sorted(ran) == [0, 1, 2, 3, 3]
    assert sorted(attended) == [(0, 2), (1, 2), (2, 2), (3, 2)]


def test_a_stream_without_the_picture_is_run_for_one_and_read_for_all(
    trunk: Trunk, attended: list[tuple[int, int]]
) -> None:
    replaced = Variant("replaced", (2, 4), ReplaceResidual(frozenset({2}), means()))
    pixels = tiny.pictures(3)
    readings = list(sweep(trunk, pixels, [replaced]))
    assert attended == [(0, 3), (1, 3), (2, 1), (3, 1), (4, 1)]
    expected = naive(trunk, pixels, replaced.edit)
    for reading in readings:
        assert reading.z.shape == (3, 17, 32)
        assert_close(reading.z, expected[reading.layer].expand(3, -1, -1), atol=1e-5, rtol=0)


def every_kind() -> list[Variant]:
    own, other = means(), means(1)
    return [
        unedited(5),
        Variant("average", (4,), AverageAttentionInput(frozenset({1}), own)),
        Variant("together", (4,), AverageAttentionInput(frozenset({1, 2}), own)),
        Variant("other", (4,), AverageAttentionInput(frozenset({1, 2}), other)),
        Variant("confused", (4,), ReplaceSkip(frozenset({2}), own)),
        Variant("masked", (2, 4), MaskHeads({2: (0, 3)})),
        Variant("heads", (2, 3), heads="alone"),
        Variant("heads left out", (3,), MaskHeads({2: (0, 3)}), heads="left out"),
        Variant("heads bare", (3,), AverageAttentionInput(frozenset({3}), own), heads="bare"),
    ]


def by_reading(run: Sweep, batches: Iterable[Tensor]) -> dict[tuple[str, int, int | None], Tensor]:
    """Every reading, [pictures, tokens, width], of all batches."""
    parts: dict[tuple[str, int, int | None], list[Tensor]] = {}
    for pixels in batches:
        for r in run(pixels):
            parts.setdefault((r.variant, r.layer, r.head), []).append(r.z)
    return {key: torch.cat(found) for key, found in parts.items()}


def test_neither_order_nor_batch_nor_sharding_changes_a_reading(trunk: Trunk) -> None:
    pixels, variants = tiny.pictures(7), every_kind()
    expected = by_reading(Sweep(trunk, tuple(variants)), [pixels])
    assert len(expected) == 5 + 5 + 1 + 4 * (2 + 1 + 1)
    for order in (variants[::-1], variants[4:] + variants[:4]):
        found = by_reading(Sweep(trunk, tuple(order)), [pixels])
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    alone = {key: z for v in variants for key, z in by_reading(Sweep(trunk, (v,)), [pixels]).items()}
    assert all(torch.equal(alone[key], expected[key]) for key in expected)
    for cut in (pixels.split(3), pixels.split(1)):
        found = by_reading(Sweep(trunk, tuple(variants)), cut)
        for key in expected:
            assert_close(found[key], expected[key], atol=1e-5, rtol=0)


@pytest.mark.parametrize("edit", [UNEDITED, MaskHeads({1: (2,), 3: (0,)})])
def test_single_heads_equal_masks_of_the_others(trunk: Trunk, edit: Edit) -> None:
    pixels, every = tiny.pictures(3), range(trunk.heads)
    before = naive(trunk, pixels, edit)[2]
    ways = [Variant(how, (3,), edit, heads=how) for how in ("alone", "left out", "bare")]
    found = by_reading(Sweep(trunk, tuple(ways)), [pixels])
    assert found.keys() == {(how, 3, head) for how in ("alone", "left out", "bare") for head in every}
    factors = edit.head_scale(3, trunk.heads)
    own = torch.ones(trunk.heads) if factors is None else factors
    for head in every:
        alone = IsolateHeads({3: (head,)}).head_scale(3, trunk.heads)
        assert_close(found["bare", 3, head], trunk.attention(3, before, own * alone), atol=1e-5, rtol=0)
        for how, left in (("alone", alone), ("left out", 1 - alone)):
            z_hat = trunk.attention(3, before, own * left) + before
            assert_close(found[how, 3, head], trunk.mlp(3, z_hat) + z_hat, atol=1e-5, rtol=0)
    assert not torch.allclose(found["alone", 3, 1], found["alone", 3, 2], atol=1e-2)


def test_heads_of_a_layer_are_one_attention_and_one_mlp_pass(
    trunk: Trunk, attended: list[tuple[int, int]], ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[tuple[int, torch.Size]] = []
    mlp = Trunk.mlp

    def counted(self: Trunk, layer: int, z_hat: Tensor) -> Tensor:
        fed.append((layer, z_hat.shape[:-2]))
        return mlp(self, layer, z_hat)

    monkeypatch.setattr(Trunk, "mlp", counted)
    list(sweep(trunk, tiny.pictures(2), [Variant("heads", (2, 3), heads="alone"), Variant("whole", (2,))]))
    assert sorted(attended) == [(0, 2), (1, 2), (2, 2), (3, 2)]
    assert sorted(ran) == [0, 1, 2]
    assert sorted(fed) == [(0, (2,)), (1, (2,)), (2, (2,)), (2, (2, 4)), (3, (2, 4))]


def test_the_plan_tells_what_runs(trunk: Trunk, attended: list[tuple[int, int]], ran: list[int]) -> None:
    variants = every_kind()
    planned = cost(variants, trunk.depth, trunk.heads)
    list(sweep(trunk, tiny.pictures(2), variants))
    assert planned.blocks == len(ran)
    assert planned.attentions == sum(pictures == 2 for _, pictures in attended)
    # heads: alone at 2 and 3, left out at 3; bare heads need no MLP
    assert planned.mlps == len(ran) + 3 * 4
    # six variants to the last layer; a loop over the heads runs each up to its layer
    assert planned.naive_blocks == 6 * 5 + 4 * (3 + 4 + 4 + 4)
    assert planned.share == planned.mlps / planned.naive_blocks


def test_few_streams_are_held_however_many_variants(trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> None:
    held, most = weakref.WeakSet[Tensor](), 0
    block = Trunk.block

    def counted(self: Trunk, *terms: Any) -> Tensor:
        nonlocal most
        z = block(self, *terms)
        held.add(z)
        most = max(most, len(held))
        return z

    monkeypatch.setattr(Trunk, "block", counted)
    edits = [ReplaceSkip(frozenset({layer}), means(layer)) for layer in range(5) for _ in range(3)]
    for _ in sweep(trunk, tiny.pictures(1), [unedited(5), *(Variant(str(e), (4,), e) for e in edits)]):
        pass
    assert most <= 6
