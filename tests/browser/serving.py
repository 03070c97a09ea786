"""The real application as a process of its own, over a small run, on a free port."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import small_run
from playwright.sync_api import Page

from vitpeel.config import Settings

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# visit(tab, size): open the page as a new visitor, at a tab, or at the first
Visit = Callable[..., Page]


@dataclass(frozen=True)
class App:
    """The application that runs: where, in which folder, with which settings, what it prints."""

    url: str
    root: Path
    settings: Settings
    log: Path


@contextmanager
def serving(root: Path) -> Iterator[App]:
    """Make a run in an empty folder and serve it."""
    scratch, log = root / "scratch", root / "app.log"
    scratch.mkdir()
    with contextlib.chdir(root):  # paths of a configuration start there
        settings = small_run.make(root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as out:
        command = [sys.executable, "-m", "vitpeel.app", "--port", str(port)]
        environment = {**os.environ, "TMPDIR": str(scratch)}
        running = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, running, log)
        yield App(url, root, settings, log)
    finally:
        running.terminate()
        running.wait(20)
    assert not list(scratch.glob("vitpeel-*"))  # uploads and downloads are gone


def _wait(url: str, running: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            assert running.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.2)
