"""The real Snakefile on a real Slurm, through the profile that users start from."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cluster import PROGRAMS, Cluster
from project import COPIED, IGNORED, ROOT, SHARDS, Project

pytestmark = pytest.mark.needs(*PROGRAMS)

PROFILE = ("--profile", "profiles/slurm-gpu")
# A test does not wait as long as a head node that others use.
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10")
CAPTIONS = "results/test/captions/mine/layers.parquet"
CAPTURED = [f"results/test/activations/mine/residuals-{k}-of-{SHARDS}.safetensors" for k in range(SHARDS)]


def on_slurm(project: Project, *arguments: str, seconds: float = 900) -> subprocess.CompletedProcess[str]:
    done = project.snakemake(*PROFILE, *QUICK, *arguments, seconds=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def resources(**of: str) -> tuple[str, ...]:
    """The profile's resources of some rules, replaced.  of: rule -> "name=value name=value"."""
    pairs = [f"{rule}:{pair}" for rule, text in of.items() for pair in text.split()]
    return ("--set-resources", *pairs)


def appended(script: Path, before: str) -> None:
    """Put code at the start of a script, after its first import."""
    text = script.read_text()
    script.write_text(
        text.replace("from pathlib import Path\n", f"from pathlib import Path\n\n{before}\n", 1)
    )


def test_the_default_pipeline_gives_the_tables_of_a_local_run(slurm: Cluster, tmp_path: Path) -> None:
    project = demo(tmp_path / "demo", pictures=48, shards=8)
    before = len(slurm.completed())
    on_slurm(project, seconds=1800)
    jobs = slurm.completed()[before:]
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert {job.node for job in jobs} == {"n1", "n2"}
    project.set(run="local", compute__shards=1)
    project.run()
    results = project / "results"
    local = tables(results / "local")
    assert len(local) > 20 and tables(results / "demo") == local
    for file in local:
        one, other = ((results / run / file).read_bytes() for run in ("demo", "local"))
        assert one == other, file


def test_shards_go_out_as_arrays_and_ask_for_a_gpu_each(slurm: Cluster, small: Project) -> None:
    seen = "__import__('os').environ"
    appended(
        small / "scripts/capture.py",
        f"Path('seen', {seen}['SLURM_ARRAY_JOB_ID'] + '-' + {seen}['SLURM_ARRAY_TASK_ID']).write_text("
        f"{seen}.get('CUDA_VISIBLE_DEVICES', 'none'))",
    )
    (small / "seen").mkdir()
    on_slurm(small, *CAPTURED, *resources(capture="slurm_partition=gpu mem_mb=2000 runtime=10 gpu=1"))
    members = {path.name: path.read_text() for path in (small / "seen").iterdir()}
    assert len(members) == SHARDS
    assert len({name.split("-")[0] for name in members}) == 1  # one array
    assert set(members.values()) <= {"0", "1"}


def test_a_job_killed_for_memory_comes_back_with_more(slurm: Cluster, small: Project) -> None:
    before = len(slurm.completed())
    growing = "slurm_partition=gpu mem_mb=300*attempt*attempt*attempt runtime=10"
    done = on_slurm(small, *CAPTURED, *resources(capture=growing))
    said = done.stdout + done.stderr
    assert "Trying to restart job" in said
    failed = [job for job in slurm.completed()[before:] if job.state != "COMPLETED"]
    assert failed
    assert all((small / file).exists() for file in CAPTURED)


def test_a_cancelled_job_is_reported_and_run_again(slurm: Cluster, small: Project) -> None:
    appended(small / "scripts/capture.py", WAIT_ONCE.format(seconds=300))
    (small / "started").mkdir()
    running = start(small, *CAPTURED)
    try:
        wait(lambda: any((small / "started").iterdir()))
        first = next((small / "started").iterdir()).read_text()
        subprocess.run(["scancel", first], check=True)
        for number in slurm.running():
            if number != first:
                subprocess.run(["scancel", number], check=True)
        said = ended(running)
    finally:
        stop(running)
    assert "Trying to restart job" in said and "CANCELLED" in said
    assert all((small / file).exists() for file in CAPTURED)


def test_a_job_that_runs_out_of_time_is_reported_and_run_again(slurm: Cluster, small: Project) -> None:
    small.set(compute__shards=1)
    captured = "results/test/activations/mine/residuals-0-of-1.safetensors"
    appended(small / "scripts/capture.py", WAIT_ONCE.format(seconds=300))
    (small / "started").mkdir()
    before = len(slurm.completed())
    done = on_slurm(small, captured, *resources(capture="slurm_partition=gpu mem_mb=2000 runtime=1*attempt"))
    said = done.stdout + done.stderr
    assert "Trying to restart job" in said and "TIMEOUT" in said
    assert "TIMEOUT" in {job.state for job in slurm.completed()[before:]}
    assert (small / captured).exists()


def test_a_killed_snakemake_loses_nothing_and_repeats_nothing(slurm: Cluster, small: Project) -> None:
    appended(small / "scripts/caption_layers.py", WAIT_ONCE.format(seconds=300))
    (small / "started").mkdir()
    running = start(small, CAPTIONS)
    try:
        wait(lambda: any((small / "started").iterdir()) and all((small / file).exists() for file in CAPTURED))
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    finished = {file: (small / file).stat().st_mtime_ns for file in CAPTURED}
    for number in slurm.running():  # they survive it
        subprocess.run(["scancel", number], check=True)
    wait(lambda: not slurm.running())
    assert small.snakemake("--unlock").returncode == 0
    on_slurm(small, CAPTIONS)
    assert {file: (small / file).stat().st_mtime_ns for file in CAPTURED} == finished
    assert small.run(CAPTIONS) == set()


# The first time that a job of the rule runs it tells its number and waits; later ones go on.
WAIT_ONCE = """import os, time
if not any(Path("started").iterdir()):
    Path("started", os.environ["SLURM_JOB_ID"]).write_text(os.environ["SLURM_JOB_ID"])
    time.sleep({seconds})
"""


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """Snakemake in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(project.root / "src")}
    command = [sys.executable, "-m", "snakemake", *PROFILE, *QUICK, *arguments]
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(running: subprocess.Popen[str]) -> str:
    said, _ = running.communicate(timeout=600)
    assert running.returncode == 0, said
    return said


def stop(running: subprocess.Popen[str]) -> None:
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def wait(holds: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def demo(root: Path, pictures: int, shards: int) -> Project:
    """The project as it is shipped, on the first pictures of each of its sets."""
    root.mkdir()
    for name in (*COPIED, "resources"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=IGNORED)
        else:
            shutil.copy2(ROOT / name, root / name)
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for dataset in settings["datasets"].values():
        dataset["limit"] = pictures
    settings["compute"]["shards"] = shards
    settings["pruning"].update(sample=pictures // 3, random_draws=2)
    few = [f"unusual-{number:03d}" for number in (3, 10)]
    for figure in settings["figures"].values():
        if isinstance(figure, dict) and "images" in figure:
            figure["images"] = few
    settings["figures"]["appendix_a"] = few
    (root / "config").mkdir()
    (root / "config/config.yaml").write_text(yaml.safe_dump(settings))
    return Project(root)


def tables(results: Path) -> set[Path]:
    """Every merged table of a run; those of single shards have the number of shards in their name."""
    found = (path.relative_to(results) for kind in ("*.parquet", "*.csv") for path in results.rglob(kind))
    return {path for path in found if "-of-" not in path.name}
