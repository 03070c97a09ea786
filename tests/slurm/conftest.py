"""A Slurm of two nodes for the whole session, and small projects to run on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))

from cluster import Cluster, cluster
from project import Project, make


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster."""
    with cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """The project with a tiny checkpoint and seven pictures in three shards, nothing run yet."""
    (tmp_path / "small").mkdir()
    return make(tmp_path / "small")
