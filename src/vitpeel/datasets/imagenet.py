"""ImageNet's validation pictures (Russakovsky et al. 2015), as stored: from the hub, a folder or a tar file.

A picture is named by its number, "ILSVRC2012_val_00000001", wherever it comes from; the names are shuffled by
the seed, and the first so many are taken: the choice depends on neither the source nor the file system.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vitpeel.atomic import atomic
from vitpeel.datasets.folder import SUFFIXES
from vitpeel.datasets.whoops import image_bytes, parquet_files, suffix, write_csv
from vitpeel.errors import InputError
from vitpeel.logs import progress

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"ILSVRC2012_val_\d{8}")
# Hands out names as the source has them, and then, in the source's order, the files of some of them.
Source = tuple[list[str], Callable[[set[str]], Iterator[tuple[str, bytes]]]]


def unpack(
    source: Path, shards: Sequence[Path], folder: Path, listed: Path, limit: int | None, seed: int
) -> None:
    """Write the chosen pictures into `folder`, and their list (image_id, source, sha256).

    source: a directory (searched to the bottom) or a tar file; where `shards`, parquet files of the hub, are
    given, only what messages call them. limit: how many pictures; None: all. Raises InputError for none.
    """
    with _opened(source, shards) as (there, files):
        ids = _ids(there, source)
        chosen = set(choose(list(ids.values()), limit, seed))
        wanted = {name for name, image_id in ids.items() if image_id in chosen}
        folder.mkdir(parents=True, exist_ok=True)
        rows: list[tuple[object, ...]] = []
        for name, data in progress(files(wanted), len(wanted), "pictures of ImageNet"):
            with atomic(folder / f"{ids[name]}{suffix(data, f'{source}: {name}')}") as partial:
                partial.write_bytes(data)
            rows.append((ids[name], name, hashlib.sha256(data).hexdigest()))
    log.info("%d of %d pictures of %s", len(rows), len(ids), source)
    write_csv(listed, ("image_id", "source", "sha256"), sorted(rows, key=str))


def choose(ids: Sequence[str], limit: int | None, seed: int) -> list[str]:
    """The first `limit` of the ids in the seed's order; a smaller limit takes a part of a larger one's."""
    shuffled = sorted(ids)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:limit]


def _ids(there: Sequence[str], source: Path) -> dict[str, str]:
    """Image id of every picture, by its name in the source."""
    if not there:
        raise InputError(
            f"{source}: no pictures there. Name ImageNet's validation pictures, or null: from the hub."
        )
    ids: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in there:
        numbered = _NUMBERED.search(Path(name).name)
        image_id = numbered[0] if numbered else Path(name).stem
        if image_id in taken:
            raise InputError(
                f"{source}: {name} and {taken[image_id]} are both called {image_id}. Remove one."
            )
        ids[name], taken[image_id] = image_id, name
    return ids


@contextmanager
def _opened(source: Path, shards: Sequence[Path]) -> Iterator[Source]:
    if shards:
        yield _from_shards(shards)
    elif source.is_dir():
        yield _from_folder(source)
    else:
        try:
            with tarfile.open(source) as archive:
                yield _from_archive(archive)
        except FileNotFoundError as error:
            raise InputError(f"{source}: no such file or folder. Set the dataset's path anew.") from error
        except (tarfile.TarError, EOFError) as error:
            raise InputError(f"{source}: not a whole tar file ({error}). Copy it again.") from error


def _from_folder(folder: Path) -> Source:
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}

    def files(wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        for name in sorted(wanted):
            yield name, names[name].read_bytes()

    return list(names), files


def _from_archive(archive: tarfile.TarFile) -> Source:
    members = {
        member.name: member
        for member in archive.getmembers()
        if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES
    }

    def files(wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        for name, member in members.items():  # in the archive's order: a compressed one is read once
            if name in wanted and (handle := archive.extractfile(member)) is not None:
                yield name, handle.read()

    return list(members), files


def _from_shards(shards: Sequence[Path]) -> Source:
    """Rows of parquet files; a row without a file name is called by its place."""
    names = [
        row["image"]["path"] or f"{path.stem}-{number:05d}.jpg"
        for path, file in zip(shards, parquet_files(shards, ["image"]), strict=True)
        for number, row in enumerate(file.read(columns=["image.path"]).to_pylist())
    ]

    def files(wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        place = iter(names)
        for file in parquet_files(shards, ["image"]):
            for batch in file.iter_batches(batch_size=64, columns=["image"]):
                for row in batch.to_pylist():
                    name = next(place)
                    if name in wanted:
                        yield name, image_bytes(row["image"], name)

    return names, files
