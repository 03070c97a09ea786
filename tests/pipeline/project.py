"""A copy of the project, with a tiny checkpoint and seven pictures, to run snakemake in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests/unit"), str(ROOT / "tests/unit/clip")]

import tiny  # noqa: E402
import tiny_clip  # noqa: E402

COPIED = ("Snakefile", "rules", "scripts", "report", "envs", "profiles", "src", "pyproject.toml")
BLOCKS = 3
SHARDS = 2
# Target rules, which run nothing.
TARGETS = {
    "all",
    *(f"fig{number}" for number in range(1, 7)),
    "table1",
    "dataflow",
    "outliers",
    "perspectives",
    *(f"appendix_{letter}" for letter in "abcd"),
    "clip_tables",
    "clip_figures",
}
PICTURES = "abcdefg"
OTHERS = "uvwxy"
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")


@dataclass(frozen=True)
class Project:
    """A folder to run snakemake in."""

    root: Path

    def snakemake(
        self, *arguments: str, prefix: tuple[str, ...] = (), seconds: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run the real snakemake on the real Snakefile, with this copy's library, for so long at most."""
        environment = {**os.environ, "PYTHONPATH": str(self.root / "src")}
        command = [*prefix, sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=seconds
        )

    def run(self, *arguments: str) -> set[str]:
        """Run it successfully; the names of the rules that ran (with -n: that would run)."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return planned(done.stdout + done.stderr)

    def set(self, **changes: Any) -> None:
        """Change keys of the configuration, written as sections__key."""
        path = self.root / "config/config.yaml"
        mapping = yaml.safe_load(path.read_text())
        for keys, value in changes.items():
            *sections, key = keys.split("__")
            inside = mapping
            for section in sections:
                inside = inside[section]
            inside[key] = value
        path.write_text(yaml.safe_dump(mapping))

    def __truediv__(self, path: str) -> Path:
        return self.root / path


def planned(output: str) -> set[str]:
    """Rules in snakemake's table of jobs, without the target rules, which run nothing."""
    table = re.search(r"^job +count\n-[- ]+\n(.*?)^total ", output, re.S | re.M)
    if table is None:
        assert "Nothing to be done" in output, output
        return set()
    return {line.split()[0] for line in table[1].splitlines() if line.strip()} - TARGETS


def settings() -> dict[str, Any]:
    """The shipped configuration, for the small model and the few pictures."""
    made: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    folder = {"kind": "folder", "path": "pictures", "captions": "pictures/captions.csv", "limit": None}
    others = {**folder, "path": "others", "captions": None}
    decoding = {**made["model"]["decoding"], "max_new_tokens": 8}
    return {
        **made,
        "run": "test",
        "datasets": {"mine": folder, "others": others},
        "main": "mine",
        "model": {
            **made["model"],
            "checkpoint": "checkpoint",
            "depth": BLOCKS,
            "prompt": tiny.PROMPT,
            "decoding": decoding,
        },
        "compute": {**made["compute"], "shards": SHARDS, "picture_batch": 2, "caption_batch": 16},
        "lower": {**made["lower"], "layers": [0, 0], "middle": [1, 2], "other": "others", "other_sample": 3},
        "judge": {**made["judge"], "layers": [0, 2]},
        "heads": {**made["heads"], "masks": [{1: [0], 2: [1, 2]}]},
        "pruning": {**made["pruning"], "sample": 3, "layers": [1, 2], "count": 1, "random_draws": 3},
        "figures": {
            "fig1": {"images": ["b", "f"], "layers": [0, 2]},
            "fig3": {"metric": "cider", "layers": [1, 2]},
            "fig5": {"layers": [1, 2]},
            "fig6": {"images": ["b", "f"], "layer": 2},
            "outliers": {"images": ["b", "f"], "layers": [0, 2]},
            "appendix_a": ["b"],
            "appendix_b": {"images": ["c"], "layers": [0, 1, 2]},
            "appendix_c": {"images": ["c"], "layers": [1, 2]},
        },
        "clip": {
            **made["clip"],
            "models": {"tiny": "clip"},
            "dataset": "others",
            "layers": 2,
            "descriptions": "descriptions.txt",
            "texts": 3,
            "labels": {**made["clip"]["labels"], "overrides": "labels.csv"},
            "analyses": {
                "model": "tiny",
                "measure": "cosine",
                "neighbours": 2,
                "properties": [{"picture": "b", "property": "animals"}],
                "topics": [{"pictures": ["b", "f"], "text": "a dog", "head": [2, 0]}],
                "contrasts": [{"picture": "b", "texts": ["a dog", "a car"], "heads": None}],
                "pictures": [{"picture": "b", "head": [2, 1]}],
                "texts": [{"text": "a dog", "head": [1, 5]}],
            },
        },
    }


def make(root: Path) -> Project:
    """The project's code, a configuration, a checkpoint, seven pictures and one that is none."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=IGNORED)
        else:
            shutil.copy2(ROOT / name, root / name)
    (root / "config").mkdir()
    (root / "config/config.yaml").write_text(yaml.safe_dump(settings()))
    tiny.save(root / "checkpoint", tiny.config(blocks=BLOCKS))
    tiny_clip.save(root / "clip")
    colours, things = ("red", "green", "blue"), ("dog", "cat", "fish", "car", "house", "tree")
    texts = [f"a {colour} {thing}" for colour in colours for thing in things]
    (root / "descriptions.txt").write_text("\n".join(texts) + "\n")
    (root / "labels.csv").write_text("model,layer,head,label\ntiny,2,0,animals\ntiny,1,3,animals\n")
    generator = np.random.default_rng(3)
    for folder, names in (("pictures", PICTURES), ("others", OTHERS)):
        (root / folder).mkdir()
        for name in names:
            coarse = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((48, 40)).save(root / f"{folder}/{name}.png")
    rows = ["image_id,caption"]
    for number, name in enumerate(PICTURES):
        animals = ("giraffe", "zebra", "horse", "dog")
        rows += [f"{name},a {animals[(number + k) % 4]} on a {('beach', 'desert')[k]}" for k in (0, 1)]
    (root / "pictures/broken.jpg").write_text("no picture")
    (root / "pictures/captions.csv").write_text("\n".join(rows) + "\n")
    return Project(root)
