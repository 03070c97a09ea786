"""Time the embedded default from a fresh clone: the whole run, a second one, redrawn figures, the heads.

    uv run python benchmarks/default_run.py [--keep FOLDER]

Installation is not counted: the clone of the last commit runs in the environment of this script. A job's peak
memory is the sum of the high-water marks of its processes, as the Linux kernel keeps them: pages that they
share count in each. (Snakemake's own benchmark files give the time; of a job's memory they see a sample every
30 seconds.) Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Clone:
    """A clone of the project. peaks: rule -> MB of its largest job so far."""

    folder: Path
    peaks: dict[str, float] = field(default_factory=dict)

    def snakemake(self, *arguments: str) -> tuple[float, str]:
        """Run Snakemake; return the seconds it took and what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "src")}
        command = [sys.executable, "-m", "snakemake", *arguments]
        said = self.folder / "snakemake.out"
        started = time.perf_counter()
        with said.open("w") as out, subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        ) as running:  # fmt: skip
            watch = Watch()
            while running.poll() is None:
                watch.look(running.pid)
                time.sleep(0.1)
        seconds = time.perf_counter() - started
        for rule, megabytes in watch.peaks().items():
            self.peaks[rule] = max(megabytes, self.peaks.get(rule, 0.0))
        printed = said.read_text()
        if running.returncode:
            sys.exit(f"snakemake {' '.join(arguments)} failed in {self.folder}:\n{printed[-4000:]}")
        return seconds, printed


@dataclass(frozen=True)
class Watch:
    """What the processes of jobs used. jobs: process of the job -> its rule; marks: job -> process -> MB."""

    jobs: dict[int, str] = field(default_factory=dict)
    marks: dict[int, dict[int, float]] = field(default_factory=dict)

    def look(self, snakemake: int) -> None:
        """Read the high-water mark of every process that there is now."""
        for job in children(snakemake):
            name = re.search(r"/scripts/tmp\w+\.(\w+)\.py", read(job, "cmdline"))  # named as its rule
            if name:
                self.jobs[job] = name[1]
            waiting = [job]
            while waiting:
                process = waiting.pop()
                waiting += children(process)
                mark = re.search(r"VmHWM:\s+(\d+) kB", read(process, "status"))
                if mark:
                    self.marks.setdefault(job, {})[process] = int(mark[1]) / 1024

    def peaks(self) -> dict[str, float]:
        """MB of the largest job of every rule."""
        found: dict[str, float] = {}
        for job, rule in self.jobs.items():
            found[rule] = max(sum(self.marks.get(job, {}).values()), found.get(rule, 0.0))
        return found


def read(process: int, name: str) -> str:
    """What the kernel says about a process, nothing once it has ended."""
    try:
        return Path(f"/proc/{process}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(process: int) -> list[int]:
    """Processes that any thread of a process has started."""
    threads = Path(f"/proc/{process}/task").glob("*")
    return [
        int(child) for thread in threads for child in read(process, f"task/{thread.name}/children").split()
    ]


def whole(clone: Clone) -> float:
    """Seconds of everything, from nothing."""
    return clone.snakemake()[0]


def again(clone: Clone) -> float:
    """Seconds until a second run says that nothing is to be done."""
    seconds, said = clone.snakemake()
    if "Nothing to be done" not in said:
        sys.exit(f"the second run had something to do:\n{said[-2000:]}")
    return seconds


def redraw(figure: str) -> Callable[[Clone], float]:
    """Seconds of a figure whose plot module was edited; no other job may run."""

    def measure(clone: Clone) -> float:
        plot = clone.folder / f"src/vitpeel/plots/{figure}.py"
        plot.write_text(plot.read_text() + "\n")
        seconds, said = clone.snakemake(figure)
        jobs = set(re.findall(r"^\s*(?:local)?rule (\w+):$", said, re.M)) - {figure}
        if jobs - {f"draw_{figure}"}:
            sys.exit(f"{figure} was not only redrawn, there ran: {', '.join(sorted(jobs))}")
        return seconds

    return measure


def clip(clone: Clone) -> float:
    """Seconds of the second study, from its captures on."""
    return clone.snakemake("clip_tables", "clip_figures", "--forcerun", "capture_clip")[0]


def heads(clone: Clone) -> float:
    """Seconds of captioning and scoring the heads of the sample, Snakemake's own start included.

    Last, because what follows from the heads is out of date afterwards.
    """
    return clone.snakemake("--forcerun", "caption_heads", "score_heads", "--until", "score_heads")[0]


def largest(clone: Clone) -> float:
    """MB of the largest job of all."""
    return max(clone.peaks.values())


@dataclass(frozen=True)
class Target:
    """What is measured, and the most that it may be."""

    name: str
    most: float
    unit: str
    measure: Callable[[Clone], float]


TARGETS = (  # in the order in which they are measured
    Target("whole default run", 600, "s", whole),
    Target("peak memory of a job", 3000, "MB", largest),
    Target("second run, nothing to do", 10, "s", again),
    Target("fig2 after a change of its plot", 15, "s", redraw("fig2")),
    Target("fig3 after a change of its plot", 15, "s", redraw("fig3")),
    Target("the CLIP part", 120, "s", clip),
    Target("heads: captions and scores", 90, "s", heads),
)


def rules(clone: Clone) -> pd.DataFrame:
    """Return jobs, seconds and peak memory of every rule, the one that takes most first."""
    rows = []
    for path in clone.folder.glob("results/*/benchmarks/**/*.tsv"):
        rule = path.relative_to(clone.folder / "results").with_suffix("").parts[2]
        rows.append({"rule": rule, "seconds": float(pd.read_csv(path, sep="\t")["s"].iloc[0])})
    seconds = pd.DataFrame(rows).groupby("rule")["seconds"]
    columns = {"jobs": seconds.size(), "seconds": seconds.sum(), "longest": seconds.max()}
    table = pd.DataFrame({**columns, "peak MB": pd.Series(clone.peaks)}).rename_axis("rule")
    return table.sort_values("seconds", ascending=False).reset_index()


def measure(folder: Path) -> bool:
    """Measure in an empty folder and print; return whether all is within its limits."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    clone, numbers, table = Clone(folder), [], pd.DataFrame()
    for target in TARGETS:
        numbers.append(target.measure(clone))
        if table.empty:
            table = rules(clone)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table.to_string(index=False, float_format=lambda x: f"{x:.1f}"), "\n")
    for target, value in zip(TARGETS, numbers, strict=True):
        verdict = "ok" if value <= target.most else "OVER"
        print(f"{target.name:36s} {value:8.1f} {target.unit:2s}  at most {target.most:.0f}  {verdict}")
    return all(value <= target.most for target, value in zip(TARGETS, numbers, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, help="clone here and leave it, instead of a temporary folder")
    keep = parser.parse_args().keep
    if keep:
        sys.exit(not measure(keep))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(not measure(Path(temporary) / "vitpeel"))
