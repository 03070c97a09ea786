"""Files appear whole or not at all: a temporary neighbour is written, flushed to disk, then renamed."""

import contextlib
import errno
import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from vitpeel.errors import VitpeelError

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_READ_ONLY = {
    errno.EROFS: "is on a read-only file system",
    errno.EACCES: "is not writable",
    errno.EPERM: "is not writable",
}


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Hand out a temporary path with the suffix of `path`, renamed after a clean exit, else removed.

    Missing folders are made. An earlier file at `path` stays untouched until the new one is complete. A full
    disk, a read-only folder and the like become a one-line `VitpeelError` that names `path`.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            # The lock dies with this process: a later writer can tell an abandoned file from a live one.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield partial
            os.fsync(descriptor)
            os.replace(partial, path)
        finally:
            os.close(descriptor)
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        if not _concerns(error, path, partial):
            raise
        raise VitpeelError(_explain(error, path)) from error


def _concerns(error: OSError, path: Path, partial: Path) -> bool:
    """Whether the operating system refused this write, not some other file that was read meanwhile."""
    if error.errno is None:
        return False
    if error.filename is None:
        return True
    return Path(os.fsdecode(error.filename)) in {partial, path, *path.parents}


def _explain(error: OSError, path: Path) -> str:
    folder = path.parent
    if error.errno in _FULL:
        remedy = f"Free some space for {folder} and run `snakemake` again; what was finished is kept."
        return f"{path}: {_FULL[error.errno]}, nothing was written. {remedy}"
    if error.errno == errno.EFBIG:
        remedy = (
            "Raise the limit (`ulimit -f unlimited`) and run `snakemake` again; what was finished is kept."
        )
        return f"{path}: larger than the largest file allowed here, nothing was written. {remedy}"
    if error.errno in _READ_ONLY:
        remedy = f"Make it writable (`chmod u+w {folder}`, or another disk) and run `snakemake` again."
        return f"{path}: the folder {folder} {_READ_ONLY[error.errno]}, nothing was written. {remedy}"
    return f"{path}: cannot be written ({error.strerror}). Clear the way and run `snakemake` again."


def _remove_abandoned(path: Path) -> None:
    """Remove what writers of `path` left when they were killed: partial files that nobody holds locked."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial{glob.escape(path.suffix)}"):
        with contextlib.suppress(OSError), leftover.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, on file systems that can flush a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
