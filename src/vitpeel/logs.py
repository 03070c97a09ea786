"""What a job says: log lines, progress and tracebacks to its log file, refusals also to the terminal."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from vitpeel.errors import VitpeelError

T = TypeVar("T")
log = logging.getLogger(__name__)

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@contextlib.contextmanager
def job(path: Path, threads: int) -> Iterator[None]:
    """Run one job: everything it prints goes to the log file at `path`, it computes with `threads` threads.

    A `VitpeelError` ends it with that one line in the log and on the terminal; any other exception with its
    traceback in the log and a line on the terminal that says where. Enter before torch is imported.
    """
    os.environ.update(dict.fromkeys(_THREADS, str(threads)), TOKENIZERS_PARALLELISM="false")
    started = time.monotonic()
    with _diverted(Path(path)) as terminal:
        try:
            yield
            log.info("done in %.1f s", time.monotonic() - started)
        except VitpeelError as refusal:
            log.error("%s", refusal)
            terminal(str(refusal))
            raise SystemExit(1) from None
        except Exception as defect:
            log.exception("this is a defect of vitpeel or of a package it uses")
            terminal(f"{type(defect).__name__}: {defect} (traceback in {path})")
            raise SystemExit(1) from None


def progress(items: Iterable[T], total: int, what: str, every: float = 10.0) -> Iterator[T]:
    """Hand the items on; log every so many seconds how many of `total` are through, and how long is left."""
    started = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every:
            last, left = now, (now - started) / done * (total - done)
            log.info("%s: %s of %s, about %.0f s left", what, f"{done:,}", f"{total:,}", left)
    seconds = time.monotonic() - started
    log.info("%s: %s in %.1f s", what, f"{done:,}", seconds)


class _Terminal:
    """Writes a line to what was standard error before the job's log took its place."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, line: str) -> None:
        os.write(self._descriptor, f"{line}\n".encode())


@contextlib.contextmanager
def _diverted(path: Path) -> Iterator[_Terminal]:
    """Send both standard streams to the file, also what libraries and child processes write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", buffering=1)
    except OSError as error:
        print(
            f"{path}: the log cannot be written ({error.strerror}). Make its folder writable.",
            file=sys.stderr,
        )
        raise SystemExit(1) from error
    kept = [os.dup(stream) for stream in (1, 2)]
    try:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        logging.basicConfig(
            stream=file, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True
        )
        logging.getLogger("vitpeel").setLevel(logging.INFO)
        logging.captureWarnings(True)
        faulthandler.enable(file)
        yield _Terminal(kept[1])
    finally:
        faulthandler.disable()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        file.close()
