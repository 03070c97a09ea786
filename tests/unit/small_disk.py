"""Code run where the disk is really full or read-only (a tmpfs of its own) or where permissions count."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root ignores permissions: act as nobody meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@cache
def mounts() -> bool:
    """Whether this machine lets an unprivileged process mount in a namespace of its own."""
    unshare = shutil.which("unshare")
    trial = "mount -t tmpfs -o size=64k tmpfs /mnt"
    return (
        unshare is not None
        and subprocess.run([unshare, "-rm", "sh", "-c", trial], capture_output=True).returncode == 0
    )


def run(code: str, folder: Path, options: str) -> str:
    """What the code prints in `folder`, a tmpfs with these mount options; `remount(options)` changes them."""
    if not mounts():
        pytest.skip("needs unshare -rm with mount (user namespaces)")
    helper = (
        "import subprocess\n"
        "def remount(options):\n"
        f"    subprocess.run(['mount', '-o', 'remount,' + options, {str(folder)!r}], check=True)\n"
    )
    shell = f'mount -t tmpfs -o {options} tmpfs "$1" && cd "$1" && exec "$2" -c "$3"'
    command = ["unshare", "-rm", "sh", "-c", shell, "sh", str(folder), sys.executable, helper + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
