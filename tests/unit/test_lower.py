"""Figure 2's variants, and what their switches change."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor

from vitpeel import activations, caption_tables, lower, means, models, tables
from vitpeel.config import Decoding
from vitpeel.datasets.pictures import Picture
from vitpeel.datasets.subsets import choose
from vitpeel.edits import AverageAttentionOutput, ReplaceResidual, ReplaceSkip
from vitpeel.errors import ProvenanceError
from vitpeel.means import Means
from vitpeel.models.instructblip import trunk_of
from vitpeel.provenance import Provenance, canonical
from vitpeel.sweep import Cost, cost, sweep
from vitpeel.tensors import write_tensors

PLACES = ("input", "normed", "output")
MODEL = Provenance(checkpoint="c", dtype="float32")
CHOSEN = [{"dataset": "own"}, {"dataset": "other"}]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def drawn(place: means.Place = "input", seed: int = 0) -> Means:
    values = torch.randn(39, 2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Means(place, values, pictures=3)


def test_the_papers_ranges_are_54_variants() -> None:
    chosen = lower.points()
    curves = [point.curve for point in chosen]
    assert {curve: curves.count(curve) for curve in curves} == {
        "average": 21,
        "average together": 1,
        "other average": 10,
        "other average together": 1,
        "confusion": 21,
    }
    assert len({point.name for point in chosen}) == len(chosen) == 54
    single = [(p.curve, p.first) for p in chosen if p.first == p.last]
    assert single == [
        *[("average", layer) for layer in range(21)],
        *[("other average", layer) for layer in range(11, 21)],
        *[("confusion", layer) for layer in range(21)],
    ]
    assert all(p.layers == set(range(11, 21)) for p in chosen if p.curve.endswith("together"))
    assert len(lower.points(other=False)) == 43
    assert len(lower.points((0, 1), (2, 4))) == 5 + 1 + 3 + 1 + 5


def test_the_sweep_runs_three_quarters_of_the_naive_loops_blocks() -> None:
    own = drawn()
    variants = lower.variants(lower.points(), 39, own, own, drawn(seed=1))
    planned = cost(variants, 39, heads=16)
    # an average at layer l runs 39 - l blocks of its own, as does a confusion; "together" parts a block later
    edited = sum(39 - layer for layer in [*range(21), *range(11, 21), *range(21)]) + 2 * (39 - 12)
    assert planned.blocks == edited + 39 == 1546
    assert planned.naive_blocks == 55 * 39
    assert planned.blocks / (54 * 39) == pytest.approx(0.734, abs=1e-3)
    assert planned.attentions < planned.blocks - 21 - 31
    assert isinstance(planned, Cost) and planned.share == planned.blocks / planned.naive_blocks


def test_each_point_has_its_edit() -> None:
    own, inputs, other = drawn("output"), drawn(), drawn("output", seed=1)
    chosen = lower.points((0, 1), (2, 3))
    plain, *edited = lower.variants(chosen, 5, own, inputs, other)
    assert (plain.name, plain.layers, plain.edit.at(2)) == ("unedited", (4,), None)
    for point, variant in zip(chosen, edited, strict=True):
        assert (variant.name, variant.layers) == (point.name, (4,))
        kind = ReplaceSkip if point.curve == "confusion" else AverageAttentionOutput
        mean = inputs if point.curve == "confusion" else other if "other" in point.curve else own
        assert variant.edit == kind(point.layers, mean)
    *_, whole = lower.variants(chosen, 5, own, inputs, other, confusion="stream")
    assert whole.edit == ReplaceResidual(frozenset({3}), inputs)


def test_points_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ValueError, match="one after the other"):
        lower.points((0, 10), (10, 20))
    with pytest.raises(ValueError, match="other average 11: the means of another set"):
        lower.variants(lower.points(), 39, drawn(), drawn())
    with pytest.raises(ValueError, match="not at 'output'"):
        lower.variants(lower.points(other=False), 39, drawn(), drawn("output"))


def test_means_of_the_pictures_themselves_leave_a_single_picture_as_it_is() -> None:
    """The mean over one picture is that picture, so every own variant must give the unedited stream."""
    trunk = trunk_of(tiny.model(tiny.config(blocks=4)).vision_model)
    pixels = tiny.pictures(1)
    sums = means.sums(trunk, means.fresh_inputs(trunk, [pixels]), ("input", "normed", "output"))
    other = means.sums(trunk, means.fresh_inputs(trunk, [tiny.pictures(3, seed=1)])).mean("input")
    chosen = lower.points((0, 1), (2, 3))
    for place in sums.totals:
        own = sums.mean(place)
        for how in ("skip", "stream"):
            read = lower.variants(chosen, 4, own, sums.mean("input"), other, how)
            found = {reading.variant: reading.z for reading in sweep(trunk, pixels, read)}
            for point in chosen:
                same = torch.allclose(found[point.name], found["unedited"], atol=1e-4)
                assert same == ("other" not in point.curve), point.name


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A random trunk; files of sums of five pictures in two shards, and of three others in one."""
    folder = tmp_path_factory.mktemp("sums")
    trunk = trunk_of(tiny.model(tiny.config(blocks=4)).vision_model)
    made: dict[str, Any] = {"trunk": trunk, "pixels": tiny.pictures(5)}
    with torch.inference_mode():
        for name, parts in (("own", tiny.pictures(5).split([2, 3])), ("other", [tiny.pictures(3, seed=1)])):
            files = [folder / f"{name}-{number}.safetensors" for number in range(len(parts))]
            for file, part in zip(files, parts, strict=True):
                found = means.sums(trunk, means.fresh_inputs(trunk, [part]), PLACES)
                means.save(file, found, replace(MODEL, config=canonical({"dataset": name})))
            made[name] = files
    return made


def read(sums: dict[str, Any], other: str = "other", **switches: Any) -> dict[str, Tensor]:
    """The last layer of every variant, from the files."""
    sets = lower.averaged([sums["own"], sums[other]], [CHOSEN[0], {"dataset": other}], MODEL)
    variants = lower.loaded_variants(lower.points((0, 1), (2, 3)), sums["trunk"], sets, **switches)
    return {reading.variant: reading.z for reading in sweep(sums["trunk"], sums["pixels"], variants)}


def curves(one: dict[str, Tensor], two: dict[str, Tensor]) -> set[str]:
    """The curves on which a point differs."""
    return {name.rsplit(" ", 1)[0] for name in one if not torch.equal(one[name], two[name])}


def test_each_switch_changes_its_curves_and_no_other(sums: dict[str, Any]) -> None:
    plain = read(sums)
    averages = {"average", "average together", "other average", "other average together"}
    assert curves(plain, read(sums)) == set()
    assert curves(plain, read(sums, place="normed")) == averages
    assert curves(plain, read(sums, place="output")) == averages
    assert curves(plain, read(sums, vector="one")) == averages | {"confusion"}
    one = read(sums, vector="one")
    assert curves(one, read(sums, vector="one", place="output")) == averages
    assert curves(plain, read(sums, confusion="stream")) == {"confusion"}
    assert curves(plain, read(sums, other="own")) == {"other average", "other average together"}


def test_means_from_files_are_those_of_all_shards(sums: dict[str, Any]) -> None:
    own, _ = lower.averaged([sums["own"], sums["other"]], CHOSEN, MODEL)
    whole = means.sums(sums["trunk"], means.fresh_inputs(sums["trunk"], [sums["pixels"]]))
    mean = own.mean("input", "per position")
    torch.testing.assert_close(mean.values, whole.mean("input").values, atol=1e-5, rtol=0)
    one = own.mean("input", "one").values
    torch.testing.assert_close(one[:, 0], mean.values.mean(1))
    assert torch.equal(one, one[:, :1].expand_as(one))


def test_the_plan_is_told(sums: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="vitpeel"):
        read(sums)
    mean = drawn()
    plan = cost(lower.variants(lower.points((0, 1), (2, 3)), 4, mean, mean, drawn(seed=1)), 4, heads=4)
    said = f"13 variants: {plan.blocks} blocks a batch, a naive loop's {plan.naive_blocks}"
    assert said in caplog.text
    assert "means of 5 pictures and of 3 of the other set" in caplog.text


def test_without_another_set_there_is_no_green_curve(sums: dict[str, Any]) -> None:
    sets = lower.averaged([sums["own"], []], CHOSEN[:1], MODEL)
    variants = lower.loaded_variants(lower.points((0, 1), (2, 3), other=False), sums["trunk"], sets)
    assert not any("other" in variant.name for variant in variants)
    with pytest.raises(ValueError, match="the means of another set are needed"):
        lower.loaded_variants(lower.points((0, 1), (2, 3)), sums["trunk"], sets)


def test_sums_of_another_set_or_draw_are_refused(sums: dict[str, Any]) -> None:
    sets = lower.averaged([sums["own"]], [{"dataset": "own", "kind": "half", "seed": 1}], MODEL)
    with pytest.raises(ProvenanceError, match=r"own-0\.safetensors"):
        sets[0].mean("input", "per position")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Picture], Provenance]:
    """A random captioner, seven pictures and what made it."""
    folder = tmp_path_factory.mktemp("captioner")
    path = tiny.save(folder / "checkpoint", tiny.config(blocks=4))
    model = models.load("instructblip", path, prompt=tiny.PROMPT, device="cpu")
    pictures = []
    for number, name in enumerate("abcdefg"):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40)).save(folder / f"{name}.png")
        pictures.append(Picture(name, folder / f"{name}.png"))
    return model, pictures, activations.origin_of(model, path, "float32")


def experiment(
    model: Any, pictures: list[Picture], origin: Provenance, folder: Path, shards: int, batch: int
) -> pd.DataFrame:
    """The whole experiment as the rules cut it: sums and captions a shard at a time."""
    chosen = lower.points((0, 1), (2, 3), other=False)
    names = [f"{number}-of-{shards}" for number in range(shards)]
    files = [folder / f"sums-{shards}-{batch}-{name}.safetensors" for name in names]
    captioned = [folder / f"lower-{shards}-{batch}-{name}.parquet" for name in names]
    for file, name in zip(files, names, strict=True):
        part = activations.shard(pictures, name)
        pixels = [activations.pixels_of(model, part[at : at + batch]) for at in range(0, len(part), batch)]
        means.save(file, means.sums(model.trunk, means.fresh_inputs(model.trunk, pixels)), origin)
    own = lower.Averaged(files, origin)
    variants = lower.loaded_variants(chosen, model.trunk, [own])
    for file, name in zip(captioned, names, strict=True):
        part = activations.shard(pictures, name)
        rows = activations.swept(model, part, variants, batch)
        ids = [picture.image_id for picture in part]
        decoding = Decoding(beams=2, max_new_tokens=8)
        table = caption_tables.caption(model, rows, ids, variants, decoding, 5 * batch)
        tables.write_table(file, table, tables.CAPTIONS, origin)
    image_ids = [picture.image_id for picture in pictures]
    return tables.merge(captioned, tables.CAPTIONS, tables.Reading._fields, image_ids)[0]


@pytest.mark.parametrize(("shards", "batch"), [(3, 2), (7, 1), (9, 3)])
def test_neither_shards_nor_batches_change_a_caption(
    checkpoint: Any, tmp_path: Path, shards: int, batch: int
) -> None:
    whole = experiment(*checkpoint, tmp_path, shards=1, batch=7)
    assert whole["caption"].nunique() > 3
    pd.testing.assert_frame_equal(experiment(*checkpoint, tmp_path, shards, batch), whole)


def test_half_never_averages_a_captioned_picture(checkpoint: Any, tmp_path: Path) -> None:
    """What the captioned half holds has no part in the sums of the averaged half."""
    model, pictures, origin = checkpoint
    table = pd.DataFrame({"image_id": [picture.image_id for picture in pictures]})
    averaged, captioned = (set(choose(table, part, seed=5)["image_id"]) for part in ("half", "other half"))
    assert averaged and captioned and not averaged & captioned
    stream = torch.randn(7, 5, model.trunk.tokens, model.trunk.width)
    found = []
    for number, factor in enumerate((1.0, 1e3)):
        own = torch.tensor([1.0 if p.image_id in averaged else factor for p in pictures])
        path = tmp_path / f"r{number}.safetensors"
        write_tensors(path, {"residuals": stream * own[:, None, None, None]}, origin, list("abcdefg"))
        found.append(means.sums(model.trunk, means.cached_inputs(path, model.trunk, origin, 2, averaged)))
    assert found[0].pictures == len(averaged)
    assert torch.equal(found[0].totals["input"], found[1].totals["input"])
