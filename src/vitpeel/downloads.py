"""What the manifest names, from the hubs into the cache: pinned, resumed, verified, and once.

The requests are huggingface_hub's own. Its `snapshot_download` starts a file anew when the process before was
killed, so files are gone through here: a part that has arrived stays, and the next attempt asks for the rest.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.file_download import http_get

from vitpeel import hub, manifest
from vitpeel.errors import InputError, VitpeelError
from vitpeel.hub import Patience, Remote
from vitpeel.locks import Lock
from vitpeel.manifest import Entry

log = logging.getLogger(__name__)

_PARTS = ".partial"  # folder of what has not arrived whole
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")
_CHUNK = 2**20


def download(name: str, cache: Path, receipt: Path, patience: Patience = Patience()) -> None:  # noqa: B008
    """Bring an entry of the manifest into the cache and write its receipt. Without network if it is there.

    Raises VitpeelError, one line, where something is missing: network, licence, token, space, a file.
    """
    found = manifest.find(name)
    if found is None:
        raise InputError(f"{name}: not in {manifest.MANIFEST.name}.")
    folder, (collection, entry) = manifest.folder(cache, name), found
    with _cache_refusals(cache):
        made = fetch(entry, folder, manifest.lock(cache, name), patience, weights=collection == "checkpoints")
    manifest.check_architecture(entry, folder)
    made.write(receipt)


def fetch(entry: Entry, folder: Path, lock: Path, patience: Patience, weights: bool = False) -> Lock:
    """Bring the files of an entry into `folder`; what `lock` says of them must be so again.

    weights: there must be safetensors among them, and nothing that is unpickled.
    """
    with _alone(lock):
        known = Lock.read(lock)
        if known and (known.source != entry.source or (entry.pinned and known.revision != entry.revision)):
            log.info("%s: the manifest names another version than %s, which was there", entry.source, lock)
            known = None
        if known and known.wanted == tuple(entry.files) and known.whole(folder):
            log.info("%s: all %d files are in %s already", entry.source, len(known.files), folder)
            return known
        commit, remote = _listing(entry, known.revision if known else entry.revision, patience)
        log.info("%s at %s, %s", entry.source, commit, entry.licence)
        chosen = [_checked(file, entry, known) for file in _choose(remote, entry, weights)]
        _record(entry, commit, chosen, known, {}).write(lock)
        sums = _bring(chosen, entry, folder, patience)
        made = _record(entry, commit, chosen, known, sums)
        made.write(lock)
        _tidy(folder, made)
        return made


def _listing(entry: Entry, revision: str, patience: Patience) -> tuple[str, list[Remote]]:
    if entry.url is None:
        return hub.listing(entry, revision, patience)
    place = entry.url.format(revision=entry.revision)
    known = [(name, file or manifest.File(size=None, sha256=None)) for name, file in entry.files.items()]
    return entry.revision, [Remote(name, f"{place}{name}", f.size, f.sha256, None) for name, f in known]


def _choose(remote: Sequence[Remote], entry: Entry, weights: bool) -> list[Remote]:
    """The files that the patterns of the manifest take, the small ones first."""
    chosen = {
        file.path: file for file in remote if any(fnmatch.fnmatchcase(file.path, p) for p in entry.files)
    }
    paths = [file.path for file in remote]
    if weights and not any(path.endswith(".safetensors") for path in chosen):
        pickles = sorted(path for path in paths if any(fnmatch.fnmatchcase(path, p) for p in _PICKLES))
        found = f"only {', '.join(pickles[:3])}, which may run code when opened" if pickles else "no weights"
        raise InputError(
            f"{entry.source}: {found}; only safetensors are taken. Name a revision with safetensors in "
            f"{manifest.MANIFEST.name}, or save the model into a folder with `save_pretrained` and name that."
        )
    for pattern in entry.files:
        if not any(fnmatch.fnmatchcase(path, pattern) for path in paths) and "*" not in pattern:
            raise InputError(
                f"{entry.source}: no file {pattern} in the repository. Correct {manifest.MANIFEST.name}."
            )
    if not chosen:
        patterns = ", ".join(entry.files)
        raise InputError(
            f"{entry.source}: nothing there is called {patterns}. Correct {manifest.MANIFEST.name}."
        )
    return sorted(chosen.values(), key=lambda file: (file.size or 0, file.path))


def _checked(file: Remote, entry: Entry, known: Lock | None) -> Remote:
    """The file with the sha256 that it must have; refused if manifest, record and hub disagree beforehand."""
    for origin, file_of in (
        (manifest.MANIFEST.name, entry.files),
        ("the first download", known and known.files),
    ):
        wanted = (file_of or {}).get(file.path)
        if wanted is None or wanted.sha256 is None:
            continue
        if file.sha256 is not None and file.sha256 != wanted.sha256:
            raise InputError(
                f"{entry.source}: {file.path} has sha256 {file.sha256} on the hub, but {wanted.sha256} by "
                f"{origin}. It was changed there; compare the two before you trust it."
            )
        file = Remote(file.path, file.url, file.size, wanted.sha256, file.blob)
    return file


def _bring(files: Sequence[Remote], entry: Entry, folder: Path, patience: Patience) -> dict[str, str]:
    """Fetch what is not there; the sha256 of every file by its path."""
    sums: dict[str, str] = {}
    missing: list[Remote] = []
    for file in files:
        there = folder / file.path
        found = _verified(there, file) if there.is_file() else None
        if found is None:
            missing.append(file)
        else:
            sums[file.path] = found
    _check_space(missing, folder)
    listed = {file.path for file in files}
    for file in missing:
        sums[file.path] = _one(file, entry, folder, patience)
        if file.path.endswith(".safetensors.index.json"):
            _check_shards(folder / file.path, listed, entry)
    return sums


def _one(file: Remote, entry: Entry, folder: Path, patience: Patience) -> str:
    """Fetch one file, or its rest, verify it, and put it in its place; its sha256."""
    part, final = folder / _PARTS / file.path, folder / file.path
    part.parent.mkdir(parents=True, exist_ok=True)
    headers = hub.headers(entry)

    def rest() -> None:
        with part.open("ab") as handle:
            if file.size is not None and handle.tell() > file.size:
                handle.truncate(0)
            done = handle.tell()
            if done:
                log.info("%s: %s bytes are there, going on", file.path, f"{done:,}")
            http_get(
                file.url,
                handle,
                resume_size=done,
                headers=dict(headers),
                expected_size=file.size,
                displayed_filename=file.path,
                tqdm_class=hub.Progress,  # type: ignore[arg-type]
            )
            handle.flush()
            os.fsync(handle.fileno())

    hub.patiently(rest, f"{entry.source}: {file.path}", entry, patience)
    found = _verified(part, file)
    if found is None:
        part.unlink()
        wanted = f"sha256 {file.sha256}" if file.sha256 else f"git blob {file.blob}"
        raise InputError(
            f"{entry.source}: {file.path} arrived with another checksum than it must have ({wanted}) and was "
            "deleted. Run `snakemake` again; if it comes back, a proxy changes it or it changed on the hub."
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, final)
    log.info("%s: %s bytes, sha256 %s", file.path, f"{final.stat().st_size:,}", found)
    return found


def _verified(path: Path, file: Remote) -> str | None:
    """The sha256 of the file at `path`; None if its size or checksum is not what it must be."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return None
    sha256, blob = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            sha256.update(chunk)
            if file.blob:
                blob.update(chunk)
    found = sha256.hexdigest()
    right = found == file.sha256 if file.sha256 else file.blob is None or blob.hexdigest() == file.blob
    return found if right else None


def _check_space(missing: Sequence[Remote], folder: Path) -> None:
    """Refuse before the first byte if the disk cannot hold what is to come."""
    parts = [folder / _PARTS / file.path for file in missing]
    needed = sum(file.size or 0 for file in missing) - sum(p.stat().st_size for p in parts if p.is_file())
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if missing:
        log.info("%d files to fetch, %.2f GB; %.2f GB are free", len(missing), needed / 1e9, free / 1e9)
    if needed > free:
        raise VitpeelError(
            f"{folder}: {needed / 1e9:,.2f} GB are to be downloaded, but only {free / 1e9:,.2f} GB are free. "
            "Free some space, or set cache to a folder on a larger disk."
        )


def _check_shards(index: Path, listed: set[str], entry: Entry) -> None:
    """Refuse a repository that lacks a part of its weights, before the others are fetched."""
    absent = sorted(set(json.loads(index.read_text())["weight_map"].values()) - listed)
    if absent:
        raise InputError(
            f"{entry.source}: {index.name} names {absent[0]}, which is not in the repository. Name another "
            f"revision in {manifest.MANIFEST.name}."
        )


def _record(
    entry: Entry, commit: str, files: Sequence[Remote], known: Lock | None, sums: dict[str, str]
) -> Lock:
    earlier = known.files if known else {}
    kept = {path: file.sha256 for path, file in earlier.items()}
    return Lock(
        entry.source,
        commit,
        tuple(entry.files),
        {f.path: manifest.File(size=f.size, sha256=sums.get(f.path, kept.get(f.path))) for f in files},
    )


def _tidy(folder: Path, made: Lock) -> None:
    """Remove what belongs to an earlier version, and the parts."""
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in made.files:
            log.info("%s: not of this version, removed", path)
            path.unlink()


@contextmanager
def _cache_refusals(cache: Path) -> Iterator[None]:
    """A full or read-only cache in one line; what has arrived stays."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = f"the disk is full. What has arrived is kept: free some space for {cache.absolute()}"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what = f"the cache is not writable ({error.strerror}). Make it writable"
        else:
            raise
        where = error.filename or cache
        raise VitpeelError(
            f"{where}: {what}, or set cache to another folder, and run `snakemake` again."
        ) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One download of an entry at a time, whoever shares the cache."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.with_suffix(".busy").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: somebody else is downloading it; waiting", lock.stem)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
            log.warning("%s: no locks on this file system; download to it one at a time", lock.parent)
        yield
