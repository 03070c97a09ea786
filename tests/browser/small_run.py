"""A run of the demo's models on a few of its pictures, made with the library in seconds, to serve."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from vitpeel.app import cli
from vitpeel.clip import (
    contributions,
    descriptions,
    feature_files,
    head_places,
    head_texts,
    labels,
    moments,
    neighbours,
    textspan,
)
from vitpeel.config import Settings
from vitpeel.datasets import folder
from vitpeel.models import openclip
from vitpeel.provenance import Provenance
from vitpeel.tables import HEAD_LABELS, HEAD_TEXTS, PICTURES, write_table

ROOT = Path(__file__).parents[2]
MAIN, CANDIDATES, TEXTS = 8, 40, 150


def make(root: Path, **clip: object) -> Settings:
    """Write configuration and results below `root`, the working folder; return the settings.

    clip: other values for keys of the configuration's section.
    """
    (root / "resources").symlink_to(ROOT / "resources")
    (root / "config").mkdir()
    written = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    written["run"] = "small"
    written["datasets"]["whoops"]["limit"] = None
    written["clip"] |= clip
    (root / "config/config.yaml").write_text(yaml.safe_dump(written))
    settings = cli.settings_of(root / "config/config.yaml")
    results = root / "results/small"
    for name, limit in (("whoops", None), ("imagenet", CANDIDATES)):
        index = folder.index(Path(settings.datasets[name].path or ""), limit=limit)
        write_table(
            results / f"datasets/{name}/files.parquet", index.frame(), PICTURES, Provenance(config="{}")
        )
    assert settings.clip is not None
    for name, checkpoint in settings.clip.models.items():
        _study(results / "clip" / name, name, checkpoint, settings)
    return settings


def _study(out: Path, name: str, checkpoint: Path, settings: Settings) -> None:
    """Texts, labels and index of one model, as the rules make them."""
    assert settings.clip is not None
    clip = openclip.load(checkpoint, dtype="float32", device="cpu")
    chosen = contributions.last(clip.trunk, settings.clip.layers)
    origin = feature_files.origin_of(clip, checkpoint, "float32", chosen)
    index = folder.index(Path(settings.datasets["imagenet"].path or ""), limit=CANDIDATES)
    feature_files.capture(clip, index.pictures, out / "heads.safetensors", chosen, origin, 16)
    maps = contributions.maps(clip, chosen)
    found = moments.sums(chosen, maps, feature_files.stored(out / "heads.safetensors", 16, origin))
    known = descriptions.read(settings.clip.descriptions)[:TEXTS]
    with torch.inference_mode():
        table = textspan.table(name, found, known, clip.texts(known), 5)
    write_table(out / "texts.parquet", table, HEAD_TEXTS, origin)
    labelled, _ = labels.table(head_texts.heads(table, 5), known, {"kind": "lexicon"}, {}, None)
    write_table(out / "labels.parquet", labelled, HEAD_LABELS, origin)
    sets = head_places.properties(labelled, name).values()
    neighbours.build(out / "index.safetensors", [out / "heads.safetensors"], maps, sets)
