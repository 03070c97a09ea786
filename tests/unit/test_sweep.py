"""Prefix sharing: every block runs once for the same state, and sharing changes no bit."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import pytest
import tiny
import torch
from torch import Tensor

from vitpeel.edits import UNEDITED, Edit
from vitpeel.models.instructblip import trunk_of
from vitpeel.sweep import Variant, sweep, unedited
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

    def head_scale(self, layer: int) -> Tensor | None:
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

    def counted(self: Trunk, layer: int, z: Tensor, edit: Edit = UNEDITED) -> Tensor:
        layers.append(layer)
        return block(self, layer, z, edit)

    monkeypatch.setattr(Trunk, "block", counted)
    return layers


def naive(trunk: Trunk, pixels: Tensor, edit: Edit) -> list[Tensor]:
    """Every layer of one variant, from the pixels on, with Equations 1 and 2 written out."""
    z, layers = trunk.embed(pixels), []
    for layer in range(trunk.depth):
        msa = trunk.attention(layer, edit.attention_input(layer, z), edit.head_scale(layer))
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
