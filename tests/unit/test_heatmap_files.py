"""Heatmaps on disk are what transformers' attention gives, handled as the configuration says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from vitpeel import activations, heatmap_files, heatmaps
from vitpeel.errors import InputError, ProvenanceError, VitpeelError
from vitpeel.heatmaps import Outliers
from vitpeel.models.instructblip import trunk_of
from vitpeel.provenance import Provenance, canonical
from vitpeel.tensors import open_tensors, write_tensors

MADE = Provenance(checkpoint="c", dtype="float32", preprocessing="p")
NAMES = tuple("abcde")


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[np.ndarray], np.ndarray]:
    """Attention files of two shards and an empty one; transformers' attention [N, H, T, T] a layer; norms."""
    folder = tmp_path_factory.mktemp("attention")
    checkpoint = tiny.vision()
    checkpoint.set_attn_implementation("eager")
    with torch.no_grad():
        found = checkpoint(tiny.pictures(5), output_attentions=True, output_hidden_states=True)
    whole = [weights.numpy() for weights in found.attentions]
    norms = torch.stack(found.hidden_states[:-1], 1).norm(dim=-1).numpy()
    looks = np.stack([weights[:, :, 0] for weights in whole], axis=1)
    files = []
    for number, rows in enumerate((slice(0, 2), slice(2, 2), slice(2, 5))):
        files.append(folder / f"attention-{number}-of-3.safetensors")
        write_tensors(files[-1], {"attention": looks[rows], "norms": norms[rows]}, MADE, NAMES[rows])
    return files, whole, norms


def test_maps_are_transformers_attention(captured, tmp_path: Path) -> None:
    files, whole, norms = captured
    how = Outliers(k=2.0)
    heatmap_files.write(files, tmp_path / "h.safetensors", how)
    with open_tensors(tmp_path / "h.safetensors") as file:
        assert file.image_ids == NAMES and file.names == ("handled", "outliers", "raw")
        assert file.provenance == replace(MADE, config=canonical({"outliers": how}))
        raw, handled, outliers = (file.rows(name) for name in ("raw", "handled", "outliers"))
    expected = np.stack([weights[:, :, 0, 1:].mean(1) for weights in whole], axis=1)
    np.testing.assert_allclose(raw, expected.reshape(raw.shape), rtol=1e-5)
    patches = norms[..., 1:]
    median = np.median(patches, axis=-1, keepdims=True)
    beyond = patches > median + 2 * np.median(np.abs(patches - median), axis=-1, keepdims=True)
    assert beyond.any()
    np.testing.assert_array_equal(outliers, beyond.reshape(raw.shape))
    np.testing.assert_allclose(handled.sum((2, 3)), raw.sum((2, 3)), rtol=1e-5)
    clean = ~outliers.any(axis=(2, 3))
    np.testing.assert_array_equal(handled[clean], raw[clean])
    assert not np.allclose(handled[~clean], raw[~clean])


@pytest.mark.parametrize(
    "how",
    [
        Outliers(rule="off"),
        Outliers(rule="absolute", norm=11.5),
        Outliers(rule="top", share=0.2),
        Outliers(rule="top", share=0.2, fill="masked"),
        Outliers(rule="top", share=0.2, renormalise=False),
        Outliers(rule="top", share=0.2, fill="masked", renormalise=False),
    ],
)
def test_every_switch_reaches_the_file(captured, tmp_path: Path, how: Outliers) -> None:
    files, _, norms = captured
    heatmap_files.write(files, tmp_path / "h.safetensors", how)
    for row, (image_id, raw, handled, outliers) in enumerate(heatmap_files.every(tmp_path / "h.safetensors")):
        assert image_id == NAMES[row]
        found = outliers.reshape(len(raw), -1)
        match how.rule:
            case "off":
                assert not found.any() and (handled == raw).all()
            case "absolute":
                np.testing.assert_array_equal(found, norms[row, :, 1:] > 11.5)
                assert norms[..., 1:].max() > 11.5
            case "top":
                assert (found.sum(1) == 3).all()  # of 16
                for own, place in zip(norms[row, :, 1:], found, strict=True):
                    assert own[place].min() >= own[~place].max()
        if how.fill == "masked":
            assert (handled[outliers] == 0).all()
        elif how.rule == "top":
            assert (handled[outliers] > 0).all()
        if not how.renormalise:
            assert (handled[~outliers] == raw[~outliers]).all()
        else:
            np.testing.assert_allclose(handled.sum((1, 2)), raw.sum((1, 2)), rtol=1e-5)


def test_readings_of_equation_7(captured, tmp_path: Path) -> None:
    files, whole, _ = captured
    path, rolled = tmp_path / "h.safetensors", tmp_path / "rollout.safetensors"
    heatmap_files.write(files, path, Outliers(rule="top", share=0.2, renormalise=False))
    rows = np.stack(list(heatmaps.rollout(whole)), axis=1)
    write_tensors(rolled, {"rollout": rows}, MADE, NAMES)
    maps = {name: own for name, own in heatmap_files.compared("map", path)}
    raw = {name: own for name, own in heatmap_files.compared("literal", path)}
    rollout = {name: own for name, own in heatmap_files.compared("rollout", path, [rolled])}
    stored = {name: (plain, handled) for name, plain, handled, _ in heatmap_files.every(path)}
    for number, name in enumerate(NAMES):
        np.testing.assert_array_equal(raw[name], stored[name][0])
        np.testing.assert_array_equal(maps[name], stored[name][1])
        printed = np.array([weights[number, :, 0, 1:].sum() / weights.shape[1] for weights in whole])
        np.testing.assert_allclose(raw[name].sum((1, 2)), printed, rtol=1e-5)
        np.testing.assert_allclose(rollout[name], rows[number, :, 1:].reshape(len(whole), 4, 4))


def test_lengths_of_any_token(captured) -> None:
    files, _, norms = captured
    for token in (0, 7):
        found = heatmap_files.lengths(files, token).set_index(["image_id", "layer"])["length"]
        assert len(found) == norms[..., 0].size
        assert found["d", 2] == pytest.approx(norms[3, 2, token])


def test_chosen_pictures_and_a_missing_one(captured) -> None:
    files, whole, _ = captured
    found = heatmap_files.chosen(files, "attention", ["d", "b"], "figures.fig6.images")
    assert list(found) == ["d", "b"]
    np.testing.assert_array_equal(found["d"][1], whole[1][3, :, 0])
    with pytest.raises(InputError, match=r"figures\.fig6\.images: no attention of picture z in .*attention"):
        heatmap_files.chosen(files, "attention", ["a", "z"], "figures.fig6.images")


def test_a_map_of_outliers_only_is_refused_and_named(captured, tmp_path: Path) -> None:
    with pytest.raises(VitpeelError, match=r"picture a: every patch of a map \(layer 0\) is an outlier"):
        heatmap_files.write(captured[0], tmp_path / "h.safetensors", Outliers(rule="absolute", norm=1e-6))
    assert not (tmp_path / "h.safetensors").exists()


def test_shards_of_different_models_are_refused(captured, tmp_path: Path) -> None:
    files, _, norms = captured
    other = tmp_path / "attention-2-of-3.safetensors"
    write_tensors(
        other,
        {"attention": norms[:1, :, None].repeat(4, 2), "norms": norms[:1]},
        replace(MADE, dtype="x"),
        "z",
    )
    with pytest.raises(ProvenanceError, match="made with dtype x"):
        heatmap_files.write([files[0], other], tmp_path / "h.safetensors", Outliers())
    with pytest.raises(ProvenanceError, match="made with dtype x"):
        heatmap_files.lengths([other], 0, MADE)


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    peaks = []
    for count in (8, 64):
        path = tmp_path / f"{count}.safetensors"
        looks = rng.random((count, 8, 16, 257), dtype=np.float32)
        names = [f"p{n}" for n in range(count)]
        write_tensors(path, {"attention": looks, "norms": looks[:, :, 0] + 1}, MADE, names)
        tracemalloc.start()
        heatmap_files.write([path], tmp_path / "h.safetensors", Outliers())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_capture_is_what_is_read(tmp_path: Path) -> None:
    """The names and shapes that `activations.capture` writes; its numbers are tested with it."""
    from PIL import Image

    from vitpeel import models
    from vitpeel.datasets.pictures import Picture

    checkpoint = tiny.save(tmp_path / "checkpoint", tiny.config())
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    model = models.load("instructblip", checkpoint, prompt="", device="cpu")
    origin = activations.origin_of(model, checkpoint, "float32")
    own = tmp_path / "attention.safetensors"
    activations.capture(model, [Picture("a", tmp_path / "a.png")], None, own, origin, 1)
    heatmap_files.write([own], tmp_path / "h.safetensors", Outliers())
    (name, raw, _, _), *rest = heatmap_files.every(tmp_path / "h.safetensors")
    assert name == "a" and not rest
    assert raw.shape == (trunk_of(tiny.vision()).depth, *model.grid)
