"""Time the embedded default from a fresh clone: the whole run, a second one, and one redrawn figure.

    uv run python benchmarks/default_run.py [--keep FOLDER]

Installation is not counted: the clone runs in the environment of this script. Peak memory is the largest
resident set of any job, as Snakemake's own benchmark files report it.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {
    "whole default run": 240.0,
    "second run, nothing to do": 10.0,
    "fig3 after a change of its plot": 15.0,
    "peak memory of a job": 3000.0,
}


def snakemake(folder: Path, *arguments: str) -> tuple[float, str]:
    """Run Snakemake in a clone; return the seconds it took and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"snakemake {' '.join(arguments)} failed in {folder}:\n{done.stdout[-4000:]}")
    return seconds, done.stdout


def jobs(folder: Path) -> pd.DataFrame:
    """Return seconds and peak memory of every job, slowest first."""
    rows = []
    for path in sorted(folder.glob("results/*/benchmarks/**/*.tsv")):
        row = pd.read_csv(path, sep="\t").iloc[0]
        job = path.relative_to(folder / "results").with_suffix("").as_posix().split("benchmarks/")[1]
        rows.append({"job": job, "seconds": row["s"], "peak MB": row["max_rss"]})
    return pd.DataFrame(rows).sort_values("seconds", ascending=False, ignore_index=True)


def measure(folder: Path) -> bool:
    """Measure in an empty folder and print; return whether all is within its limits."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    seconds = {}
    seconds["whole default run"], _ = snakemake(folder)
    seconds["second run, nothing to do"], said = snakemake(folder)
    if "Nothing to be done" not in said:
        sys.exit(f"the second run had something to do:\n{said[-2000:]}")
    plot = folder / "src" / "vitpeel" / "plots" / "fig3.py"
    plot.write_text(plot.read_text() + "\n")
    seconds["fig3 after a change of its plot"], said = snakemake(folder, "fig3")
    table = jobs(folder)
    numbers = {**seconds, "peak memory of a job": float(table["peak MB"].max())}
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table.to_string(index=False, float_format=lambda x: f"{x:.1f}"), "\n")
    for name, value in numbers.items():
        unit = "MB" if "memory" in name else "s"
        verdict = "ok" if value <= LIMITS[name] else "OVER"
        print(f"{name:36s} {value:8.1f} {unit:2s}  at most {LIMITS[name]:.0f}  {verdict}")
    return all(value <= LIMITS[name] for name, value in numbers.items())


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
