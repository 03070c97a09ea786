"""What every layer of the demo captioner gets right, from the tables of a default run.

    uv run python benchmarks/demo_model.py [results/demo]

Right objects: the caption names exactly the objects in the picture. Scene: it names the scene. Place first:
it says "a snowy mountain with a ..." rather than "... on a snowy mountain". Exact: it is the first reference,
word for word. Vague: it falls back on a kind ("a large animal") or on "something".
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from vitpeel.demo.words import ANYTHING, CATEGORIES, SCENES, objects_in
from vitpeel.tables import CAPTIONS, PICTURES, SCORES, read_table

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


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
    table = by_layer(folder)
    print(table.to_string(float_format=lambda x: f"{x:.3f}"), "\n")
    print(pairs(folder, int(table.index.max())).to_string(float_format=lambda x: f"{x:.3f}"))
