"""A finished run of a small copy of the project; tests start from copies of that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project import IGNORED, Project, make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after a whole run. Not to be changed."""
    project = make(tmp_path_factory.mktemp("finished"))
    ran = project.run()
    assert "capture" in ran
    return project


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
