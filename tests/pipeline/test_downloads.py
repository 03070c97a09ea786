"""A run whose checkpoint and pictures come from a hub: downloaded once, and where snakemake is started."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import numpy as np
import pandas as pd
import project
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import yaml
from hub_server import Hub
from PIL import Image
from project import Project

PICTURES, OTHERS = 7, 9
CAPTIONS = "results/test/captions/mine/layers.parquet"
TARGETS = (
    CAPTIONS,
    "results/test/datasets/mine/pictures.parquet",
    "results/test/datasets/others/pictures.parquet",
)
DOWNLOADS = {"download", "unpack_whoops", "unpack_imagenet"}


def picture(seed: int, kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((48, 40)).save(buffer, kind)
    return buffer.getvalue()


def whoops(folder: Path) -> Path:
    """Two parquet files with WHOOPS's columns."""
    (folder / "data").mkdir(parents=True)
    for part, numbers in enumerate((range(4), range(4, PICTURES))):
        rows = {
            "image": [{"bytes": picture(n), "path": None} for n in numbers],
            "selected_caption": [f"a dog {n}" for n in numbers],
            "crowd_captions": [[f"a dog on a beach {n}", f"a horse {n}"] for n in numbers],
            "commonsense_category": ["animals" for _ in numbers],
            "image_id": [f"code-{n}" for n in numbers],
        }
        pq.write_table(pa.table(rows), folder / f"data/test-{part:05d}-of-00002.parquet")
    return folder


def imagenet(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for n in range(1, OTHERS + 1):
            member = tarfile.TarInfo(f"ILSVRC2012_val_{n:08d}.JPEG")
            member.size = len(picture(n, "JPEG"))
            archive.addfile(member, io.BytesIO(picture(n, "JPEG")))
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = tmp_path / "hub/checkpoint"
    tiny.model(tiny.config(blocks=project.BLOCKS)).save_pretrained(folder, max_shard_size="160KB")
    tiny.processor(32, 4).save_pretrained(folder)
    with hub_server.running(Hub()) as made:
        made.add("models/tiny/instructblip", folder)
        made.add("datasets/nlphuji/whoops", whoops(tmp_path / "hub/whoops"))
        made.gated.add("datasets/nlphuji/whoops")
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "no-token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield made


@pytest.fixture
def downloading(tmp_path: Path) -> Project:
    """The small project with the tiny checkpoint in its manifest, and sets of pictures of the hub's kinds."""
    (tmp_path / "project").mkdir()
    made = project.make(tmp_path / "project")
    path = made / "src/vitpeel/manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    entry = {**manifest["checkpoints"]["instructblip-flan-t5-xl"], "repository": "tiny/instructblip"}
    facts: dict[str, Any] = {"kind": "instructblip", "depth": project.BLOCKS, "heads": 4, "dtype": "float32"}
    manifest["checkpoints"]["tiny"] = {**entry, "architecture": facts}
    manifest["datasets"]["whoops"]["pictures"] = PICTURES
    path.write_text(yaml.safe_dump(manifest))
    shown = ["whoops-001", "whoops-005"]
    mine = {"kind": "whoops", "path": None, "captions": "crowd_captions", "limit": 6}
    others = {"kind": "imagenet", "path": str(imagenet(tmp_path / "val.tar")), "captions": None, "limit": 4}
    made.set(
        cache="../cache",
        datasets={"mine": mine, "others": others},
        model__checkpoint="tiny",
        judge__kind="openai",
        compute__shards=1,
        figures__fig1__images=shown,
        figures__fig6__images=shown,
        figures__outliers__images=shown,
        figures__appendix_a=shown,
        figures__appendix_b__images=shown,
        figures__appendix_c__images=shown,
        clip=None,
    )
    return made


def test_once_and_then_never_again(
    hub: Hub, downloading: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = downloading.run("-n", *TARGETS)
    assert {*DOWNLOADS, "index_pictures", "capture", "caption_layers"} <= planned
    assert hub.requests == []

    refused = downloading.snakemake("--cores", "1", TARGETS[1])
    assert refused.returncode != 0
    page = "accept the conditions on https://huggingface.co/datasets/nlphuji/whoops, then set HF_TOKEN"
    assert page in refused.stdout + refused.stderr

    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    ran = downloading.run("--cores", "2", *TARGETS)
    assert {"download", "unpack_whoops", "caption_layers"} <= ran
    captions = pd.read_parquet(downloading / CAPTIONS)
    ids = [f"whoops-{row:03d}" for row in range(6)]
    assert sorted(captions["image_id"].unique()) == ids
    listed = pd.read_parquet(downloading / TARGETS[1])
    written = [[f"a dog on a beach {n}", f"a horse {n}"] for n in range(6)]
    assert [list(texts) for texts in listed["references"]] == written
    others = pd.read_parquet(downloading / TARGETS[2])
    assert len(others) == 4 and others["image_id"].str.fullmatch(r"ILSVRC2012_val_\d{8}").all()
    for log in (downloading / "results/test/logs").rglob("*.log"):
        assert hub_server.TOKEN not in log.read_text()
    fetched = (downloading / "results/test/logs/download/checkpoints-tiny.log").read_text()
    assert "files to fetch" in fetched and "sha256" in fetched

    hub.requests.clear()
    assert downloading.run("-n", *TARGETS) == set()
    again = downloading.run("--cores", "1", "--forcerun", "index_pictures", "--", *TARGETS[1:])
    assert again == {"index_pictures", "add_references"}
    assert hub.requests == []

    # Another copy of the project shares the cache: nothing is downloaded for it.
    (tmp_path / "elsewhere").mkdir()
    elsewhere = project.make(tmp_path / "elsewhere")
    for name in ("config/config.yaml", "src/vitpeel/manifest.yaml"):
        (elsewhere / name).write_text((downloading / name).read_text())
    assert "download" not in elsewhere.run("-n", *TARGETS)
    assert hub.requests == []


def test_an_edited_download_brings_nothing_again_and_another_revision_does(
    hub: Hub, downloading: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    whole = TARGETS[1]
    downloading.run("--cores", "2", whole)
    with (downloading / "src/vitpeel/downloads.py").open("a") as handle:
        handle.write("# edited\n")
    assert downloading.run("-n", whole) == set()
    path = downloading / "src/vitpeel/manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["datasets"]["whoops"]["revision"] = hub_server.COMMIT
    path.write_text(yaml.safe_dump(manifest))
    assert {"download", "unpack_whoops", "index_pictures"} <= downloading.run("-n", whole)
    hub.requests.clear()
    downloading.run("--cores", "2", whole)
    assert hub.requests == []  # the commit that the branch was at, with the same files
