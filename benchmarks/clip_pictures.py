"""Memory and time of the CLIP study's jobs at 500 and at 5,000 pictures: the same rules, one shard.

    uv run python benchmarks/clip_pictures.py

The pictures are links to the demo's, under names of their own. Memory as in default_run.py: the sum of the
high-water marks of a job's processes. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
import yaml
from default_run import ROOT, Clone, rules

SIZES = (500, 5_000)
TARGETS = ("clip_tables", "clip_figures")
OF_PICTURES = ("index_pictures", "capture_clip", "find_texts", "index_clip", "analyse_clip")


def prepare(folder: Path, count: int) -> Clone:
    """Clone the project, with `count` pictures to take apart, in one shard, and the larger CLIP alone."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    many, originals = folder / "many", sorted((folder / "resources/demo/imagenet").glob("*.jpg"))
    many.mkdir()
    for number in range(count):
        os.link(originals[number % len(originals)], many / f"picture-{number:05d}.jpg")
    path = folder / "config/config.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["datasets"]["many"] = {"kind": "folder", "path": "many", "captions": None, "limit": None}
    settings["clip"]["models"] = {"clip-large": "resources/demo/clip-large"}
    settings["clip"]["dataset"] = "many"
    # other pictures, other labels: these queries ask for none
    first = settings["clip"]["analyses"]["properties"][0]
    settings["clip"]["analyses"]["properties"] = [{**first, "property": "colors"}]
    settings["compute"]["shards"] = 1
    path.write_text(yaml.safe_dump(settings))
    return Clone(folder)


def main() -> None:
    """Print a row for every rule."""
    columns = {}
    for count in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            clone = prepare(Path(folder, "clone"), count)
            clone.snakemake(*TARGETS)
            table = rules(clone).set_index("rule").loc[list(OF_PICTURES)]
            columns |= {f"s, {count:,}": table["longest"], f"MB, {count:,}": table["peak MB"]}
    table = pd.DataFrame(columns)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n")
    print(table.to_string(float_format=lambda x: f"{x:.1f}"))


if __name__ == "__main__":
    main()
