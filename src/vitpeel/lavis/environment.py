"""The environment that LAVIS runs in, built from a lock file by uv."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from vitpeel.errors import InputError

log = logging.getLogger(__name__)

PYTHON = "3.11"


def build(lock: Path, folder: Path) -> None:
    """Make a virtual environment in `folder` with exactly what `lock` names, every file checked by its hash.

    Raises InputError, one line, where uv is not installed, or cannot get or install something.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise InputError("uv: not found, and it builds LAVIS's environment. Install it: `pip install uv`.")
    _run([uv, "venv", "--quiet", "--clear", "--python", PYTHON, str(folder.absolute())])
    install = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode"]
    _run([uv, *install, "-r", str(lock.absolute()), "--python", str(python_of(folder))])


def python_of(folder: Path) -> Path:
    """The interpreter of the environment, absolute, its links not followed."""
    return folder.absolute() / "bin/python"


def _run(command: list[str]) -> None:
    log.info("%s", " ".join(command))
    outside = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    # elsewhere, because in a project's folder uv holds everything to that project's versions
    done = subprocess.run(command, cwd=tempfile.gettempdir(), env=outside, capture_output=True, text=True)
    if done.stderr:
        log.info("%s", done.stderr.rstrip())
    if done.returncode:
        why = " ".join(done.stderr.split())[:400] or "uv does not say why."
        raise InputError(f"LAVIS's environment was not built: {why} Mend that and run `snakemake` again.")
