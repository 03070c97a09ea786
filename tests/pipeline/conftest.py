"""A finished run of a small copy of the project; tests start from copies of that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from project import IGNORED, Project, make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after a whole run, the same for all test processes. Not to be changed."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    with FileLock(root.with_suffix(".lock")):
        if not (root / "done").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            assert "capture" in make(root).run()
            (root / "done").touch()
    return Project(root)


@pytest.fixture
def again(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, times of change included, to change and run again."""
    shutil.copytree(finished.root, tmp_path / "again", ignore=IGNORED)
    return Project(tmp_path / "again")


@pytest.fixture
def untouched(finished: Project, tmp_path: Path) -> Project:
    """A copy of the project as it was before its run."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "results", ".snakemake")
    shutil.copytree(finished.root, tmp_path / "untouched", ignore=ignored)
    return Project(tmp_path / "untouched")
