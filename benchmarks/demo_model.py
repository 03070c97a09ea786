"""What every layer of the demo captioner gets right, from the tables of a default run.

    uv run python benchmarks/demo_model.py [results/demo]

Right objects: the caption names exactly the objects in the picture. Scene: it names the scene. Place first:
it says "a snowy mountain with a ..." rather than "... on a snowy mountain". Exact: it is the first reference,
word for word. Vague: it falls back on a kind ("a large animal") or on "something".
"""

from __future__ import annotations

import sys
import time
from math import isqrt
from pathlib import Path

import numpy as np
import pandas as pd

from vitpeel.demo.words import ANYTHING, CATEGORIES, PROMPT, SCENES, objects_in
from vitpeel.heatmaps import delta, l1, maps
from vitpeel.tables import CAPTIONS, PICTURES, SCORES, read_table
from vitpeel.tensors import open_tensors

CAPTIONER = Path(__file__).parents[1] / "resources" / "demo" / "captioner"

PLACES = tuple(place for scene in SCENES for place in (scene.place, scene.region, scene.anywhere))
VAGUE = (ANYTHING, *(category.name for category in CATEGORIES))


def scene_of(reference: str) -> str:
    """Return the name of the scene in an exact caption."""
    return next(scene.name for scene in SCENES if scene.place in reference)


def by_layer(results: Path) -> pd.DataFrame:
    """Return shares of the pictures, 0 to 1, and mean CIDEr: a layer a row."""
    pictures = read_table(results / "datasets" / "whoops" / "pictures.parquet", PICTURES)
    exact = {row.image_id: row.references[0] for row in pictures.itertuples()}
    said = read_table(results / "captions" / "whoops" / "layers.parquet", CAPTIONS)
    scores = read_table(results / "scores" / "whoops" / "references.parquet", SCORES)
    gold = said["image_id"].map(exact)
    shares = pd.DataFrame(
        {
            "layer": said["layer"],
            "right objects": [
                objects_in(a) == objects_in(b) for a, b in zip(said["caption"], gold, strict=True)
            ],
            "scene": [
                scene_of(b).split()[-1] in a.split() for a, b in zip(said["caption"], gold, strict=True)
            ],
            "place first": [not any(a.endswith(place) for place in PLACES) for a in said["caption"]],
            "exact": said["caption"] == gold,
            "vague": [any(phrase in caption for phrase in VAGUE) for caption in said["caption"]],
        }
    )
    table = shares.groupby("layer").mean()
    cider = scores[scores["metric"] == "cider"].groupby("layer")["value"].mean()
    return table.assign(CIDEr=cider)


def pairs(results: Path, layer: int) -> pd.DataFrame:
    """Return the share of right objects at a layer, by how many objects a picture shows."""
    pictures = read_table(results / "datasets" / "whoops" / "pictures.parquet", PICTURES)
    shown = {row.image_id: objects_in(row.references[0]) for row in pictures.itertuples()}
    grey = {row.image_id: "black and white" in row.references[0] for row in pictures.itertuples()}
    said = read_table(results / "captions" / "whoops" / "layers.parquet", CAPTIONS)
    last = said[said["layer"] == layer]
    right = [objects_in(c) == shown[i] for i, c in zip(last["image_id"], last["caption"], strict=True)]
    kind = [f"{len(shown[i])} objects" + (", black and white" if grey[i] else "") for i in last["image_id"]]
    return pd.Series(right).groupby(kind).agg(["size", "mean"])


def neighbours(results: Path) -> pd.DataFrame:
    """Return how much neighbouring layers differ, inside the triples that growth left and across them.

    step: ||Z^l - Z^{l-1}|| / ||Z^{l-1}||; cosine: of successive steps, both means over tokens; heatmap: L1 of
    the change of the CLS map; captions: share of the pictures whose caption changes.
    """
    said = read_table(results / "captions" / "whoops" / "layers.parquet", CAPTIONS)
    wide = said.pivot(index="image_id", columns="layer", values="caption")
    captions = [(wide[layer] != wide[layer - 1]).mean() for layer in wide.columns[1:]]
    rows: dict[str, list[np.ndarray]] = {"step": [], "cosine": [], "heatmap": []}
    for path in sorted((results / "activations" / "whoops").glob("residuals-*.safetensors")):
        attention = path.with_name(path.name.replace("residuals", "attention"))
        with open_tensors(path) as file, open_tensors(attention) as looks:
            for k in range(len(file.image_ids)):
                z = np.asarray(file.rows("residuals", k, k + 1)[0])
                step = np.diff(z, axis=0)
                size = np.linalg.norm(step, axis=-1)
                rows["step"].append((size / np.linalg.norm(z[:-1], axis=-1)).mean(-1)[1:])
                inner = (step[1:] * step[:-1]).sum(-1)
                rows["cosine"].append((inner / size[1:] / size[:-1]).mean(-1))
                alpha = np.asarray(looks.rows("attention", k, k + 1)[0])
                side = isqrt(alpha.shape[-1] - 1)
                rows["heatmap"].append(l1(delta(maps(alpha, (side, side)))))
    table = pd.DataFrame({name: np.mean(values, axis=0) for name, values in rows.items()})
    across = pd.Series(wide.columns[1:] % 3 == 0).map({True: "across triples", False: "inside a triple"})
    return table.assign(captions=captions).groupby(across.to_numpy()).agg(["mean", "min", "max"])


def forward_rate(threads: int) -> float:
    """Return pictures a second through all 39 blocks of the trunk."""
    import torch

    from vitpeel import models

    torch.set_num_threads(threads)
    trunk = models.load("instructblip", CAPTIONER, prompt=PROMPT, device="cpu").trunk
    pixels = torch.randn(64, 3, 64, 64)
    with torch.inference_mode():
        for _ in range(2):  # the first to warm up
            started = time.perf_counter()
            for _ in range(3):
                list(trunk.layers(pixels))
            seconds = time.perf_counter() - started
    return 3 * len(pixels) / seconds


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
    table = by_layer(folder)
    print(table.to_string(float_format=lambda x: f"{x:.3f}"), "\n")
    print(pairs(folder, int(table.index.max())).to_string(float_format=lambda x: f"{x:.3f}"), "\n")
    print(neighbours(folder).T.to_string(float_format=lambda x: f"{x:.3f}"), "\n")
    for threads in (1, 2):
        print(f"forward through 39 blocks, {threads} threads: {forward_rate(threads):.0f} pictures/s")
