"""LAVIS's environment: pinned by hash, in step with its conda file, built by uv or refused in one line."""

import re
from pathlib import Path

import pytest
import yaml

from vitpeel.errors import InputError
from vitpeel.lavis.environment import build
from vitpeel.sources import PACKAGE, imports

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "envs/lavis.txt").read_text()


def requirements() -> list[str]:
    """One entry a package: name, version, marker and hashes."""
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def test_every_package_is_pinned_by_hash() -> None:
    assert len(requirements()) > 50
    for requirement in requirements():
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement


def test_the_lock_names_no_registry() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*(--(extra-)?index-url|-i |--find-links)", LOCK, re.M)


def test_the_conda_environment_is_in_step() -> None:
    text = (ROOT / "envs/lavis.yaml").read_text()
    named = yaml.safe_load(text)["dependencies"][-1]["pip"]
    locked = {requirement.split()[0] for requirement in requirements()}
    assert set(named) <= locked
    assert {"salesforce-lavis==1.0.2"} <= locked and "salesforce-lavis==1.0.2" in text


def test_what_runs_there_uses_nothing_else_of_vitpeel() -> None:
    for path in (PACKAGE / "lavis/inside").glob("*.py"):
        assert all(name in ("lavis", "lavis.inside") or "lavis.inside." in name for name in imports(path)), (
            path
        )


def test_without_uv_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"uv: not found, .* Install it: `pip install uv`\."):
        build(ROOT / "envs/lavis.txt", tmp_path / "environment")


@pytest.mark.needs("uv")
def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"iopath==0.1.10 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(InputError, match=r"^LAVIS's environment was not built: .*[Hh]ash") as refused:
        build(lock, tmp_path / "environment")
    assert "\n" not in str(refused.value)
