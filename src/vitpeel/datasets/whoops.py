"""WHOOPS! (Bitton-Guetta et al. 2023): out of the hub's parquet files, pictures as stored and CSV files.

A picture is named by its row, "whoops-000" on; the list says which of WHOOPS's own image ids that is.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vitpeel.atomic import atomic
from vitpeel.datasets import names
from vitpeel.errors import InputError

log = logging.getLogger(__name__)

# What a picture's file begins with.
SIGNATURES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif"}
_COLUMNS = ("image", "image_id", *names.WHOOPS_CAPTIONS)
_ROWS = 16  # read at a time: a picture is a megabyte or two


def unpack(
    shards: Sequence[Path], folder: Path, listed: Path, captions: Mapping[str, Path], expected: int | None
) -> None:
    """Write the pictures of the parquet files into `folder`, their list, and a CSV for a column of captions.

    listed: columns image_id, row, whoops_id, sha256. captions: column -> CSV file of image_id and caption, a
    row a sentence. expected: how many pictures there must be. Raises InputError for files of another form.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[object, ...]] = []
    sentences: dict[str, list[tuple[str, str]]] = {column: [] for column in captions}
    for number, row in enumerate(_rows(shards)):
        image_id = names.whoops(number)
        data = image_bytes(row["image"], f"row {number}")
        with atomic(folder / f"{image_id}{suffix(data, f'row {number}')}") as partial:
            partial.write_bytes(data)
        rows.append((image_id, number, row["image_id"], hashlib.sha256(data).hexdigest()))
        for column in captions:
            sentences[column] += [(image_id, sentence) for sentence in _sentences(row[column])]
    if expected is not None and len(rows) != expected:
        raise InputError(f"{shards[0].parent}: {len(rows)} pictures, not {expected}. Download it again.")
    write_csv(listed, ("image_id", "row", "whoops_id", "sha256"), rows)
    for column, path in captions.items():
        write_csv(path, ("image_id", "caption"), sentences[column])
    log.info("%d pictures, %s", len(rows), {column: len(of) for column, of in sentences.items()})


def image_bytes(image: Any, where: str) -> bytes:
    """The file inside a cell of a column of pictures."""
    data = image.get("bytes") if isinstance(image, Mapping) else None
    if not isinstance(data, bytes):
        raise InputError(f"{where}: no picture in the column image. Download the set again.")
    return data


def suffix(data: bytes, where: str) -> str:
    """The file name's suffix for what a picture's file begins with."""
    for signature, name in SIGNATURES.items():
        if data.startswith(signature):
            return name
    raise InputError(f"{where}: neither PNG, JPEG, WebP nor GIF: not a picture of the set. Bring it anew.")


def parquet_files(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """The files, opened; InputError if one is damaged or lacks a column."""
    for path in paths:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"{path}: not a readable parquet file ({error}). Delete it to fetch it again."
            ) from error
        absent = [column for column in columns if column not in file.schema_arrow.names]
        if absent:
            there = ", ".join(file.schema_arrow.names)
            raise InputError(
                f"{path}: no column {absent[0]}; there are {there}. The set has changed on the hub."
            )
        yield file


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A CSV file with one header line."""
    with atomic(path) as partial, partial.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _rows(shards: Sequence[Path]) -> Iterator[dict[str, Any]]:
    if not shards:
        raise InputError("WHOOPS: no parquet file. Download it again.")
    for file in parquet_files(shards, _COLUMNS):
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(_COLUMNS)):
            yield from batch.to_pylist()


def _sentences(value: Any) -> list[str]:
    """The sentences of a cell, each once: a list, a list written as JSON, or one sentence."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    cleaned = [" ".join(str(text).split()) for text in ([value] if isinstance(value, str) else value or [])]
    return list(dict.fromkeys(sentence for sentence in cleaned if sentence))
