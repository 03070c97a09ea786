"""ImageNet's pictures from the hub's files, a folder and a tar file: the same choice from each."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vitpeel.datasets import imagenet
from vitpeel.errors import InputError

COUNT = 30


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((20, 16)).save(buffer, "JPEG")
    return buffer.getvalue()


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


def hub(root: Path, order: list[int]) -> list[Path]:
    """Parquet files as the hub has them: names with the class behind the number."""
    root.mkdir()
    shards = []
    for part, numbers in enumerate((order[:17], order[17:])):
        images = [{"bytes": picture(n), "path": f"{name(n)}_n0144{n % 3:04d}.JPEG"} for n in numbers]
        shards.append(root / f"validation-{part:05d}-of-00002.parquet")
        pq.write_table(pa.table({"image": images, "label": [n % 3 for n in numbers]}), shards[-1])
    return shards


def classes(root: Path, order: list[int]) -> Path:
    """A folder with a folder a class, written in this order, and what else lies about."""
    for number in order:
        path = root / f"n0144{number % 3:04d}/{name(number)}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (root / "labels.txt").write_text("no picture")
    return root


def tar(path: Path, order: list[int], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        for number in order:
            member = tarfile.TarInfo(f"{name(number)}.JPEG")
            member.size = len(picture(number))
            archive.addfile(member, io.BytesIO(picture(number)))
    return path


def unpacked(
    root: Path, source: Path, shards: list[Path], limit: int | None = 8, seed: int = 1
) -> dict[str, bytes]:
    imagenet.unpack(source, shards, root / "out", root / "list.csv", limit, seed)
    with (root / "list.csv").open() as handle:
        listed = [row["image_id"] for row in csv.DictReader(handle)]
    files = {path.stem: path.read_bytes() for path in sorted((root / "out").iterdir())}
    assert listed == list(files)
    return files


def test_the_choice_depends_on_the_seed_alone(tmp_path: Path) -> None:
    forwards, backwards = list(range(1, COUNT + 1)), list(range(COUNT, 0, -1))
    (tmp_path / "tars").mkdir()
    found = [
        unpacked(tmp_path / "a", Path("hub"), hub(tmp_path / "hub", forwards)),
        unpacked(tmp_path / "b", Path("hub"), hub(tmp_path / "shuffled", backwards)),
        unpacked(tmp_path / "c", classes(tmp_path / "classes", backwards), []),
        unpacked(tmp_path / "d", tar(tmp_path / "tars/val.tar", backwards, "w"), []),
        unpacked(tmp_path / "e", tar(tmp_path / "tars/val.tar.gz", forwards, "w:gz"), []),
    ]
    assert all(files == found[0] for files in found)
    assert len(found[0]) == 8
    assert all(data == picture(int(image[-8:])) for image, data in found[0].items())
    other = unpacked(tmp_path / "f", tmp_path / "classes", [], seed=2)
    assert set(other) != set(found[0])


def test_a_smaller_limit_is_a_part_of_a_larger_one_and_null_is_all() -> None:
    ids = [name(number) for number in range(COUNT)]
    assert imagenet.choose(ids, 20, 3)[:5] == imagenet.choose(ids[::-1], 5, 3)
    assert sorted(imagenet.choose(ids, None, 3)) == ids
    assert len(imagenet.choose(ids, 99, 3)) == COUNT


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    """A tar file whose members climb out of it: only names of our own are written."""
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("../../escaped.jpg")
        member.size = len(picture(1))
        archive.addfile(member, io.BytesIO(picture(1)))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert list(unpacked(tmp_path / "inside", path, [])) == ["escaped"]


@pytest.mark.parametrize("content", [b"", b"no tar file", b"\x1f\x8b broken"])
def test_what_is_no_tar_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "val.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"not a whole tar file|no pictures there"):
        unpacked(tmp_path / "x", tmp_path / "val.tar", [])


def test_a_cut_tar_file_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "val.tar.gz", list(range(1, COUNT)), "w:gz")
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(InputError, match="not a whole tar file"):
        unpacked(tmp_path / "x", path, [])


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures there"):
        unpacked(tmp_path / "x", tmp_path / "empty", [])
    with pytest.raises(InputError, match="no such file or folder"):
        unpacked(tmp_path / "x", tmp_path / "nowhere", [])


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cat.jpg").write_bytes(picture(1))
    with pytest.raises(InputError, match="are both called cat"):
        unpacked(tmp_path / "x", tmp_path, [])
