"""Tensors are streamed to disk and read lazily; safetensors' own readers agree with what is there."""

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import small_disk
from safetensors.numpy import load_file

from vitpeel.errors import InputError, ProvenanceError
from vitpeel.provenance import Provenance
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors, write_tensors

FLOAT32 = Provenance(checkpoint="c0ffee", dtype="float32")
IDS = ("a", "b", "c", "d", "e")


def write_in_batches(path: Path, tensors: dict[str, np.ndarray], cuts: Sequence[int]) -> None:
    specs = {name: TensorSpec(array.shape, str(array.dtype)) for name, array in tensors.items()}
    with TensorWriter(path, specs, FLOAT32, IDS) as writer:
        for start, stop in zip([0, *cuts], [*cuts, len(IDS)], strict=True):
            for name, array in tensors.items():
                writer.append(name, array[start:stop])


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    return {
        "attention": numbers.normal(size=(5, 3, 2, 7)).astype("float16"),
        "residuals": numbers.normal(size=(5, 4, 7, 3)).astype("float32"),
    }


@pytest.mark.parametrize("cuts", [(), (2,), (1, 2, 3, 4), (0, 5)])
def test_rows_in_any_batches_are_the_arrays_to_safetensors_own_reader(
    tmp_path: Path, tensors: dict[str, np.ndarray], cuts: Sequence[int]
) -> None:
    path = tmp_path / "shard.safetensors"
    write_in_batches(path, tensors, cuts)
    for name, array in load_file(path).items():
        assert array.dtype == tensors[name].dtype
        np.testing.assert_array_equal(array, tensors[name])
    whole = tmp_path / "whole.safetensors"
    write_tensors(whole, tensors, FLOAT32, IDS)
    assert path.read_bytes() == whole.read_bytes()


def test_every_tensor_starts_at_a_multiple_of_its_element_size(tmp_path: Path) -> None:
    path = tmp_path / "mixed.safetensors"
    mixed = {
        "cut": np.ones((5, 3), "bool"),
        "z": np.ones((5, 3), "float64"),
        "map": np.ones((5, 3), "float16"),
    }
    write_tensors(path, mixed, FLOAT32)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, array in mixed.items():
        assert (8 + length + header[name]["data_offsets"][0]) % array.itemsize == 0
        np.testing.assert_array_equal(load_file(path)[name], array)


def test_a_mapped_tensor_outlives_its_file_and_is_read_only(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "shard.safetensors"
    write_tensors(path, {**tensors, "none": np.empty((5, 0), "float32")}, FLOAT32, IDS)
    with open_tensors(path) as file:
        mapped = {name: file.mapped(name) for name in file.names}
        with pytest.raises(InputError, match="not heads"):
            file.mapped("heads")
    write_tensors(path, {name: 0 * array for name, array in tensors.items()}, FLOAT32, IDS)
    for name, array in tensors.items():
        assert mapped[name].dtype == array.dtype
        np.testing.assert_array_equal(mapped[name], array)
        with pytest.raises(ValueError, match="read-only"):
            mapped[name][0] = 1
    assert mapped["none"].shape == (5, 0)


def test_rows_of_other_tensors_need_not_be_pictures(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    specs = {name: TensorSpec(array.shape, str(array.dtype)) for name, array in tensors.items()}
    specs["bases"] = TensorSpec((2, 3), "float32")
    with pytest.raises(ValueError, match=r"5 image ids for .*\(2, 3\)"):
        TensorWriter(tmp_path / "shard.safetensors", specs, FLOAT32, IDS)
    with pytest.raises(ValueError, match="5 image ids"):
        TensorWriter(tmp_path / "shard.safetensors", specs, FLOAT32, IDS, others=["attention"])
    TensorWriter(tmp_path / "shard.safetensors", specs, FLOAT32, IDS, others=["bases"])


def test_lazy_reading(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path / "shard.safetensors"
    write_tensors(path, tensors, FLOAT32, IDS)
    with open_tensors(path, expect=Provenance(dtype="float32")) as file:
        assert file.names == ("attention", "residuals") and file.image_ids == IDS
        assert file.provenance == FLOAT32 and file.shape("residuals") == (5, 4, 7, 3)
        np.testing.assert_array_equal(file.rows("residuals", 1, 3), tensors["residuals"][1:3])
        np.testing.assert_array_equal(file.rows("attention"), tensors["attention"])
        with pytest.raises(InputError, match="holds attention, residuals, not heads"):
            file.rows("heads")


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, None), (-2, None), (4, 99), (3, 1)])
def test_rows_are_cut_as_python_cuts(
    tmp_path: Path, tensors: dict[str, np.ndarray], start: int, stop: int | None
) -> None:
    write_tensors(tmp_path / "shard.safetensors", tensors, FLOAT32, IDS)
    with open_tensors(tmp_path / "shard.safetensors") as file:
        for name, array in tensors.items():
            np.testing.assert_array_equal(file.rows(name, start, stop), array[start:stop])


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from vitpeel.provenance import Provenance
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors
path, row = Path(sys.argv[1]), np.ones((1, 2**19), "float32")
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
with TensorWriter(path, {"z": TensorSpec((100, 2**19), "float32")}, Provenance()) as writer:
    for _ in range(100):
        writer.append("z", row)
with open_tensors(path) as file:
    total = sum(float(file.rows("z", i, i + 1).sum()) for i in range(100))
print(total == 100 * 2**19, peak() - before)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "z.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    right, grown = done.stdout.split()
    assert right == "True" and float(grown) < 40  # MiB, for a file of 200


def test_torch_tensors_and_bfloat16(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "shard.safetensors"
    z = torch.randn(5, 4, 3).bfloat16()
    with TensorWriter(path, {"residuals": TensorSpec((5, 4, 3), "bfloat16")}, FLOAT32, IDS) as writer:
        writer.append("residuals", z[:2].transpose(1, 2).contiguous().transpose(1, 2))
        writer.append("residuals", z[2:].requires_grad_())
    with open_tensors(path, framework="pt") as file:
        assert torch.equal(file.rows("residuals"), z)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (np.zeros((1, 2), "float64"), "float64"),
        (np.zeros((1, 3), "float32"), r"\(1, 3\)"),
        (np.zeros((6, 2), "float32"), "row 6 of 5"),
        (np.zeros((4, 2), "float32"), "4 of 5"),
    ],
)
def test_wrong_or_missing_rows_publish_nothing(tmp_path: Path, rows: np.ndarray, complaint: str) -> None:
    path = tmp_path / "shard.safetensors"
    writer = TensorWriter(path, {"z": TensorSpec((5, 2), "float32")}, FLOAT32)
    with pytest.raises(ValueError, match=complaint), writer:
        writer.append("z", rows)
    assert not list(tmp_path.iterdir())


def test_image_ids_must_be_as_many_as_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 image ids"):
        TensorWriter(
            tmp_path / "z.safetensors",
            {"z": TensorSpec((5, 2), "float32")},
            FLOAT32,
            ["a", "b"],
        )


def test_another_origin_and_damage_are_refused(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path / "shard.safetensors"
    with pytest.raises(InputError, match="no such file"), open_tensors(path):
        pass
    write_tensors(path, tensors, FLOAT32, IDS)
    expected = Provenance(checkpoint="c0ffee", dtype="float16")
    complaint = r"shard\.safetensors: made with dtype float32, but this run has float16"
    with (
        pytest.raises(ProvenanceError, match=complaint),
        open_tensors(path, expect=expected),
    ):
        pass
    path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.raises(InputError, match=r"not a readable safetensors file .* Delete it"),
        open_tensors(path),
    ):
        pass


def test_a_disk_too_small_from_the_start_and_one_that_fills_up(
    tmp_path: Path,
) -> None:
    code = """
from pathlib import Path
import numpy as np
from vitpeel.errors import VitpeelError
from vitpeel.provenance import Provenance
from vitpeel.tensors import TensorSpec, TensorWriter, open_tensors, write_tensors
write_tensors(Path("kept.safetensors"), {"z": np.arange(6.0).reshape(2, 3)}, Provenance())
def shard(rows, between):
    specs = {"z": TensorSpec((rows, 1000), "float64")}
    with TensorWriter(Path("shard.safetensors"), specs, Provenance()) as writer:
        for _ in range(rows):
            between()
            writer.append("z", np.zeros((1, 1000)))
def fill():
    with open("filler", "ab") as handle:
        handle.write(bytes(20_000))
for rows, between in [(1000, lambda: print("a row")), (20, fill)]:
    try:
        shard(rows, between)
    except VitpeelError as error:
        print(error)
with open_tensors(Path("kept.safetensors")) as file:
    print(file.rows("z").sum(), sorted(p.name for p in Path().iterdir()))
"""
    early, late, kept = small_disk.run(code, tmp_path, "size=256k").splitlines()
    assert early.startswith(
        "shard.safetensors: needs 0.008 GB and the disk has 0.000 GB left. Free some space"
    )
    assert late.startswith("shard.safetensors: the disk is full, nothing was written. Free some space for .")
    assert kept == "15.0 ['filler', 'kept.safetensors']"
