"""A Slurm of two nodes for the whole session, and small projects to run on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))

from cluster import SYSTEM, Cluster, cluster
from project import Project, make


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to start the daemons of a Slurm of its own")
    if (SYSTEM / "slurm.conf").exists():
        pytest.skip(f"needs a machine without a Slurm of its own, but {SYSTEM}/slurm.conf is there")
    with cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """The project with a tiny checkpoint and seven pictures in two shards, nothing run yet."""
    (tmp_path / "small").mkdir()
    return make(tmp_path / "small")
