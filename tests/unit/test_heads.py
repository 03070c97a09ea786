"""Single heads and masked heads, from the scripts to the tables, against hooks on transformers' own model."""

from __future__ import annotations

import contextlib
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from PIL import Image

from vitpeel import activations, heads, logs, models
from vitpeel.config import Decoding
from vitpeel.datasets.pictures import Picture
from vitpeel.edits import MaskHeads
from vitpeel.errors import InputError, ProvenanceError, VitpeelError
from vitpeel.heatmaps import Outliers, find_outliers, handle
from vitpeel.provenance import Provenance
from vitpeel.sweep import HeadReading, Variant
from vitpeel.tables import CAPTIONS, PICTURES, origin_of, read_table, write_table
from vitpeel.tensors import open_tensors

ROOT = Path(__file__).parents[2]
BLOCKS, HEADS, SIZE = 4, 4, 8
MASKS = [{1: [0], 2: [1, 3]}, {3: [2]}, {0: [0, 1, 2, 3]}]
DECODING = {
    "beams": 2,
    "repetition_penalty": 1.5,
    "length_penalty": 1.0,
    "min_new_tokens": 1,
    "max_new_tokens": 8,
}
SHARDS = 3  # of two pictures: the first is empty


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """Run one of the scripts, with what snakemake would give it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "job", lambda path, threads: contextlib.nullcontext())

        def script(name: str, **given: Any) -> None:
            paths = {key: _Named(given.get(key, {})) for key in ("input", "output", "wildcards", "params")}
            fake = SimpleNamespace(log=["log"], threads=1, **paths)
            runpy.run_path(str(ROOT / f"scripts/{name}.py"), init_globals={"snakemake": fake})

        yield script


class _Named(SimpleNamespace):
    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__(**names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., None]) -> Path:
    """A checkpoint, two pictures out of three in the order c, a, and their attention in two shards."""
    made = tmp_path_factory.mktemp("heads")
    checkpoint = tiny.save(made / "checkpoint", tiny.config(blocks=BLOCKS))
    generator = np.random.default_rng(0)
    for name in "abc":
        coarse = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 40)).save(made / f"{name}.png")
    rows = [(name, str(made / f"{name}.png"), 48, 40, "RGB", ["a dog"], "") for name in "ca"]
    write_table(made / "pictures.parquet", pd.DataFrame(rows, columns=PICTURES.names), PICTURES, Provenance())
    model = models.load("instructblip", checkpoint, prompt="", device="cpu")
    origin = activations.origin_of(model, checkpoint, "float32")
    for number, names in enumerate(("ab", "c")):
        pictures = [Picture(name, made / f"{name}.png") for name in names]
        activations.capture(model, pictures, None, made / f"attention-{number}.safetensors", origin, 2)
    return made


def captioned(run: Callable[..., None], folder: Path, layer: int, reading: HeadReading) -> Path:
    """The merged table of what rule caption_single writes, shard by shard."""
    out = folder / f"{layer}-{reading}".replace(" ", "-")
    out.mkdir(exist_ok=True)
    shards = [out / f"single-{number}-of-{SHARDS}.parquet" for number in range(SHARDS)]
    model = {"kind": "instructblip", "checkpoint": str(folder / "checkpoint"), "dtype": "float32"}
    for number, shard in enumerate(shards):
        run(
            "caption_single",
            input={"pictures": folder / "pictures.parquet"},
            output={"captions": shard},
            wildcards={"shard": f"{number}-of-{SHARDS}"},
            params={
                "model": {**model, "device": "cpu"},
                "reading": {"prompt": tiny.PROMPT, "readout": "post_layernorm"},
                "decoding": DECODING,
                "heads": {"layer": layer, "reading": reading, "masks": MASKS},
                "picture_batch": 2,
                "caption_batch": 16,
            },
        )
    run(
        "merge_captions",
        input={"shards": shards, "pictures": folder / "pictures.parquet"},
        output={"captions": out / "single.parquet"},
    )
    return out / "single.parquet"


@pytest.fixture(scope="module", params=[(2, "alone"), (2, "left out"), (2, "bare"), (0, "alone")])
def single(request: pytest.FixtureRequest, run: Any, folder: Path) -> tuple[Path, int, HeadReading]:
    layer, reading = request.param
    return captioned(run, folder, layer, reading), layer, reading


def says(folder: Path, image_id: str, last: int, zeroed: dict[int, list[int]], bare: bool = False) -> str:
    """What transformers generates from blocks 0 to `last` with these heads zeroed; bare: `last` gives MSA."""
    from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

    whole: Any = InstructBlipForConditionalGeneration.from_pretrained(folder / "checkpoint").eval()
    tools = InstructBlipProcessor.from_pretrained(folder / "checkpoint")
    blocks = whole.vision_model.encoder.layers
    for at, gone in zeroed.items():

        def zero(_: Any, args: Any, gone: list[int] = gone) -> Any:
            own = args[0].clone()
            for head in gone:
                own[..., head * SIZE : (head + 1) * SIZE] = 0
            return (own,)

        blocks[at].self_attn.projection.register_forward_pre_hook(zero)
    if bare:
        kept: list[Any] = []
        blocks[last].self_attn.projection.register_forward_hook(lambda _, args, out: kept.append(out))
        blocks[last].register_forward_hook(lambda _, args, out: kept[-1])
    del blocks[last + 1 :]
    pixels = tools.image_processor(Image.open(folder / f"{image_id}.png"), return_tensors="pt")[
        "pixel_values"
    ]
    (words,) = tiny.generate(whole, tools, pixels, Decoding(**DECODING))
    return words


def caption(table: pd.DataFrame, image_id: str, variant: str, layer: int, head: int | None = None) -> str:
    rows = table[(table["image_id"] == image_id) & (table["variant"] == variant) & (table["layer"] == layer)]
    (found,) = rows[rows["head"].isna() if head is None else rows["head"] == head]["caption"]
    return str(found)


def test_heads_and_masks_say_what_transformers_says(single: Any, folder: Path) -> None:
    path, layer, reading = single
    table = read_table(path, CAPTIONS)
    assert table["image_id"].drop_duplicates().tolist() == ["c", "a"]
    different = set()
    for image_id in "ca":
        for at in range(max(0, layer - 1), layer + 1):
            assert caption(table, image_id, "unedited", at) == says(folder, image_id, at, {})
        for head in range(HEADS):
            others = [other for other in range(HEADS) if (other == head) == (reading == "left out")]
            expected = says(folder, image_id, layer, {layer: others}, reading == "bare")
            assert caption(table, image_id, f"head {reading}", layer, head) == expected
            different.add(expected)
        for number, mask in enumerate(MASKS, 1):
            for at in {max(mask), BLOCKS - 1}:
                expected = says(folder, image_id, at, mask)
                assert caption(table, image_id, f"mask {number}", at) == expected
                different.add((number, expected))
    assert len(different) > 5  # the comparison is not of one caption with itself
    keys = table[table["image_id"] == "a"][["variant", "layer", "head"]].astype(object)
    assert len(keys.drop_duplicates()) == len(keys) == len(_keys(layer))


def _keys(layer: int) -> list[tuple[str, int]]:
    plan = heads.plan(layer, "alone", MASKS, BLOCKS)
    return [(v.name, n) for v in plan for n in v.layers for _ in range(HEADS if v.heads else 1)]


def test_the_plan() -> None:
    plan = heads.plan(2, "left out", MASKS, BLOCKS)
    assert plan == [
        Variant("unedited", (0, 1, 2, 3)),
        Variant("head left out", (2,), heads="left out"),
        Variant("mask 1", (2, 3), MaskHeads(MASKS[0])),
        Variant("mask 2", (3,), MaskHeads(MASKS[1])),
        Variant("mask 3", (0, 3), MaskHeads(MASKS[2])),
    ]
    assert heads.plan(0, "bare", [{1: [0]}], 40)[0].layers == (heads.EMBEDDING, 0, 1, 39)


def test_the_embedding_is_what_block_0_reads(folder: Path) -> None:
    model = models.load("instructblip", folder / "checkpoint", prompt="", device="cpu")
    pictures = [Picture(name, folder / f"{name}.png") for name in "abc"]
    pixels = activations.pixels_of(model, pictures)
    read = dict(heads.readings(model, pictures, heads.plan(0, "alone", MASKS, BLOCKS), 2))
    from transformers import InstructBlipForConditionalGeneration

    whole: Any = InstructBlipForConditionalGeneration.from_pretrained(folder / "checkpoint").eval()
    with torch.no_grad():
        expected = whole.vision_model(pixels, output_hidden_states=True).hidden_states
    for number, name in enumerate("abc"):
        own = {key.layer: z for key, z in read.items() if key[:2] == (name, "unedited")}
        assert sorted(own) == [-1, 0, 2, 3]
        for layer, z in own.items():
            torch.testing.assert_close(z, expected[layer + 1][number], atol=1e-4, rtol=0)


def files(folder: Path) -> list[Path]:
    return [folder / f"attention-{number}.safetensors" for number in (0, 1)]


@pytest.mark.parametrize("rule", ["off", "top"])
def test_heatmaps_of_heads_are_those_of_the_attention_file(folder: Path, rule: Any) -> None:
    how = Outliers(rule=rule, share=0.2)
    table = heads.fig6_heatmaps(files(folder), ["c", "a"], 2, how)
    assert table["image_id"].drop_duplicates().tolist() == ["c", "a"]
    with open_tensors(files(folder)[0]) as file:
        looks, norms = file.rows("attention")[0], file.rows("norms")[0]
    own = table[table["image_id"] == "a"]
    assert len(own) == 16 * (HEADS + 2)
    for layer, head in [(1, None), (2, None), *((2, head) for head in range(HEADS))]:
        row = looks[layer].mean(axis=0) if head is None else looks[layer, head]
        outliers = find_outliers(norms[layer, 1:], how).reshape(4, 4)
        assert outliers.sum() == (3 if rule == "top" else 0)
        expected = handle(row[1:].reshape(4, 4).astype(float), outliers, how)
        chosen = own[(own["layer"] == layer) & (own["head"].isna() if head is None else own["head"] == head)]
        found = chosen.pivot(index="row", columns="column", values="attention").to_numpy()
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5)


def test_layer_0_has_no_heatmap_before_it(folder: Path) -> None:
    table = heads.fig6_heatmaps(files(folder), ["a"], 0, Outliers())
    assert table["layer"].unique().tolist() == [0] and len(table) == 16 * (HEADS + 1)


def test_a_head_that_sees_nothing_but_outliers_has_an_empty_map() -> None:
    weights = np.zeros((1, 2, 5))
    weights[0, :, 0], weights[0, 1, 4] = (1.0, 0.5), 0.5
    norms = np.array([[1.0, 1.0, 1.0, 1.1, 90.0]])
    (table,) = heads._layer_maps(weights, norms, 0, Outliers(rule="absolute", norm=50, fill="masked"))
    assert table[table["head"] == 1]["attention"].tolist() == [0.0] * 4


def test_what_is_not_there_is_named(single: Any, folder: Path) -> None:
    path, layer, reading = single
    said = read_table(path, CAPTIONS)
    with pytest.raises(VitpeelError, match=r"figures\.fig6\.images: no caption of picture z. There are 2: a"):
        heads.fig6(said, ["z"], layer, reading)
    with pytest.raises(VitpeelError, match=r"picture c: no caption of layer 9 \(unedited\)"):
        heads.fig6(said, ["c"], 10, reading)
    with pytest.raises(VitpeelError, match=r"no captions of the heads of layer 3 of picture c"):
        heads.fig6(pd.concat([said, said.assign(layer=2)]).drop_duplicates(), ["c"], 3, reading)
    with pytest.raises(VitpeelError, match=r"heads\.masks: combination 4 was not captioned for picture c"):
        heads.appendix_d(said, ["c"], [*MASKS, {1: [1]}])
    with pytest.raises(InputError, match=r"figures\.fig6\.images: no attention of picture z"):
        heads.fig6_heatmaps(files(folder), ["z"], layer, Outliers())
    with pytest.raises(ProvenanceError, match="made with checkpoint"):
        heads.fig6_heatmaps(files(folder), ["a"], layer, Outliers(), Provenance(checkpoint="0"))
    with pytest.raises(VitpeelError, match=r"picture a, layer .*: every patch of a map is an outlier"):
        heads.fig6_heatmaps(files(folder), ["a"], layer, Outliers(rule="absolute", norm=1e-9))


def test_the_scripts_make_tables_and_figures(single: Any, run: Callable[..., None], folder: Path) -> None:
    path, layer, reading = single
    out = path.parent
    outliers = {"rule": "mad", "k": 10.0, "norm": 1.0, "share": 0.1, "fill": "masked", "renormalise": False}
    tables = {name: out / f"{name}.csv" for name in ("fig6", "fig6-heatmaps", "d", "d-masks")}
    run(
        "fig6_table",
        input={"captions": path, "attention": files(folder)},
        output={"captions": tables["fig6"], "heatmaps": tables["fig6-heatmaps"]},
        params={"images": ["c", "a"], "layer": layer, "reading": reading, "outliers": outliers},
    )
    run(
        "appendix_d_table",
        input={"captions": path},
        output={"captions": tables["d"], "masks": tables["d-masks"]},
        params={"images": ["c", "a"], "masks": MASKS},
    )
    said, rows = read_table(path, CAPTIONS), pd.read_csv(tables["fig6"], keep_default_na=False)
    assert rows["part"].tolist() == ["before", *["head"] * HEADS, "layer"] * 2
    last = rows[rows["image_id"] == "a"].iloc[-1]
    assert last["caption"] == caption(said, "a", "unedited", layer) and last["as_layer"]
    heads_of_a = rows[(rows["image_id"] == "a") & (rows["part"] == "head")]
    assert heads_of_a["as_layer"].tolist() == (heads_of_a["caption"] == last["caption"]).tolist()
    table = pd.read_csv(tables["d"], keep_default_na=False)
    assert table[table["image_id"] == "a"][["mask", "layer", "last"]].values.tolist() == [
        [1, 2, False],
        [1, 3, True],
        [2, 3, True],
        [3, 0, False],
        [3, 3, True],
    ]
    for row in table.to_dict("records"):
        assert row["unedited"] == caption(said, row["image_id"], "unedited", row["layer"])
        assert row["edited"] == caption(said, row["image_id"], f"mask {row['mask']}", row["layer"])
        assert row["changed"] == (row["unedited"] != row["edited"])
    cells = pd.read_csv(tables["d-masks"])
    shown = cells[cells["masked"]][["mask", "layer", "head"]].values.tolist()
    assert shown == [[n, at, h] for n, mask in enumerate(MASKS, 1) for at in mask for h in mask[at]]
    assert '"masks"' in str(origin_of(path).config)
    if layer == 0:
        drawn(run, folder, tables, outliers)


def drawn(run: Callable[..., None], folder: Path, tables: dict[str, Path], outliers: dict[str, Any]) -> None:
    """Both figures, from these tables."""
    source = {"run": "test", "checkpoint": "checkpoint", "embedded": False}
    given = {"source": source, "outliers": outliers}
    for figure, named, second in (("fig6", "fig6", "heatmaps"), ("appendix_d", "d", "masks")):
        out = {kind: folder / f"{figure}.{kind}" for kind in ("pdf", "png")}
        read = {"captions": tables[named], second: tables[f"{named}-{second}"]}
        read["pictures"] = folder / "pictures.parquet"
        run(f"draw_{figure}", input=read, output=out, params=given)
        assert out["pdf"].read_bytes().startswith(b"%PDF") and Image.open(out["png"]).width == 2000
