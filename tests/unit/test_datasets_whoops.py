"""WHOOPS out of parquet files written as `datasets` writes them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vitpeel.datasets import folder as pictures
from vitpeel.datasets import whoops
from vitpeel.errors import InputError

COLUMNS = (
    "designer_explanation", "selected_caption", "crowd_captions", "crowd_explanations",
    "crowd_underspecified_captions", "question_answering_pairs", "commonsense_category", "image_id",
    "image_designer",
)  # fmt: skip


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size).save(buffer, kind)
    return buffer.getvalue()


def table(numbers: range, as_json: bool = False, **changes: Any) -> pa.Table:
    """Rows as the hub has them. as_json: the lists written as text."""
    rows: dict[str, list[Any]] = {"image": [], **{column: [] for column in COLUMNS}}
    for n in numbers:
        captions = [f"a dog on a sofa, {n}", f"a  dog {n} ", f"a dog on a sofa, {n}"]
        values: dict[str, Any] = dict.fromkeys(COLUMNS, "text")
        values |= {"crowd_captions": json.dumps(captions) if as_json else captions}
        values |= {"selected_caption": f"A dog, {n}", "image_id": f"{n:x}" * 8}
        values["image"] = {"bytes": picture(n, ("PNG", "JPEG", "WEBP")[n % 3]), "path": f"{n}.png"}
        for column, value in (values | changes).items():
            rows[column].append(value)
    return pa.table(rows)


def write(root: Path, *tables: pa.Table) -> list[Path]:
    root.mkdir(exist_ok=True)
    paths = [root / f"test-{n:05d}-of-{len(tables):05d}.parquet" for n in range(len(tables))]
    for path, rows in zip(paths, tables, strict=True):
        pq.write_table(rows, path)
    return paths


def unpack(root: Path, shards: list[Path], expected: int | None = None) -> None:
    files = {column: root / f"{column}.csv" for column in ("crowd_captions", "selected_caption")}
    whoops.unpack(shards, root / "pictures", root / "list.csv", files, expected)


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("as_json", [False, True])
def test_pictures_as_stored_and_captions(tmp_path: Path, as_json: bool) -> None:
    unpack(tmp_path, write(tmp_path / "hub", table(range(2), as_json), table(range(2, 5), as_json)), 5)
    files = sorted((tmp_path / "pictures").iterdir())
    names = ["whoops-000.png", "whoops-001.jpg", "whoops-002.webp", "whoops-003.png", "whoops-004.jpg"]
    assert [file.name for file in files] == names
    listed = read(tmp_path / "list.csv")
    for n, (file, row) in enumerate(zip(files, listed, strict=True)):
        data = picture(n, ("PNG", "JPEG", "WEBP")[n % 3])
        assert file.read_bytes() == data
        assert row == {
            "image_id": f"whoops-{n:03d}",
            "row": str(n),
            "whoops_id": f"{n:x}" * 8,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    crowd = read(tmp_path / "crowd_captions.csv")
    assert [row["caption"] for row in crowd[:3]] == ["a dog on a sofa, 0", "a dog 0", "a dog on a sofa, 1"]
    assert [row["caption"] for row in read(tmp_path / "selected_caption.csv")] == [
        f"A dog, {n}" for n in range(5)
    ]


def test_the_index_of_folders_reads_what_comes_out(tmp_path: Path) -> None:
    unpack(tmp_path, write(tmp_path / "hub", table(range(4))))
    made = pictures.index(tmp_path / "pictures", tmp_path / "crowd_captions.csv", limit=3)
    assert [entry.picture.image_id for entry in made.entries] == ["whoops-000", "whoops-001", "whoops-002"]
    assert made.entries[2].picture.references == ("a dog on a sofa, 2", "a dog 2")


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (
            table(range(2)).drop_columns(["crowd_captions"]),
            "no column crowd_captions; there are image, designer_ex",
        ),
        (table(range(2), image={"bytes": None, "path": "x.png"}), "row 0: no picture in the column image"),
        (table(range(2), image={"bytes": b"<html>", "path": "x"}), "row 0: neither PNG, JPEG, WebP nor GIF"),
        (table(range(3)), "3 pictures, not 2"),
    ],
)
def test_another_form_is_refused_in_a_line(tmp_path: Path, rows: pa.Table, line: str) -> None:
    with pytest.raises(InputError) as refused:
        unpack(tmp_path, write(tmp_path / "hub", rows), 2)
    assert line in str(refused.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "hub", table(range(2)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a readable parquet file"):
        unpack(tmp_path, [path])
    with pytest.raises(InputError, match="no parquet file"):
        unpack(tmp_path, [])
