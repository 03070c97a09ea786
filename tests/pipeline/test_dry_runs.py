"""The configurations of the published checkpoints, planned from nothing and without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project import COPIED, IGNORED, ROOT, Project


@pytest.fixture
def shipped(tmp_path: Path) -> Project:
    """The project's code and configurations, nothing downloaded."""
    for name in (*COPIED, "config"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=IGNORED)
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    return Project(tmp_path)


@pytest.mark.parametrize("name", ["paper", "blip2-xxl"])
@pytest.mark.parametrize("profile", [(), ("--profile", "profiles/slurm-gpu")])
def test_a_dry_run(
    name: str, profile: tuple[str, ...], shipped: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    planned = shipped.run("-n", "--configfile", f"config/{name}.yaml", *profile)
    assert {
        "download",
        "unpack_whoops",
        "capture",
        "caption_layers",
        "caption_pruned",
        "draw_table1",
    } <= planned
    second = {"capture_clip", "find_texts", "label_heads", "index_clip", "draw_clip_table", "draw_clip_maps"}
    assert second & planned == (second if name == "paper" else set())
    assert not (shipped / ".cache").exists() and not (shipped / "results").exists()
