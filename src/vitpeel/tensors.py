"""Tensors on disk (safetensors): written row by row without holding them in memory, read lazily.

Two kinds flow between steps, both with the pictures in the order of the metadata's image_ids:
"residuals" [N, L+1, T, d], the stream before block 0 and after every block, and
"attention" [N, L, H, T], the CLS token's attention row in every head.
"""

import contextlib
import json
import shutil
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from safetensors import SafetensorError, safe_open

from vitpeel import provenance as origin
from vitpeel.atomic import atomic
from vitpeel.errors import InputError, VitpeelError
from vitpeel.provenance import Provenance

# name -> (safetensors code, bytes an element)
_DTYPES = {
    "float64": ("F64", 8),
    "int64": ("I64", 8),
    "float32": ("F32", 4),
    "int32": ("I32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "int16": ("I16", 2),
    "uint8": ("U8", 1),
    "bool": ("BOOL", 1),
}


@dataclass(frozen=True)
class TensorSpec:
    """Shape and element type ("float32", "float16", "bfloat16", ...) of a tensor to be written."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, that is of everything behind the first axis."""
        return prod(self.shape[1:]) * _DTYPES[self.dtype][1]


class TensorWriter:
    """Write tensors whose rows (first axis) arrive batch by batch; the file appears when all are there.

        specs = {"residuals": TensorSpec((N, 40, 65, 96), "float16")}
        with TensorWriter(path, specs, provenance, image_ids) as writer:
            for batch in batches:
                writer.append("residuals", batch)      # [B, 40, 65, 96]

    A disk without room for all of it is refused before the first row.
    """

    def __init__(
        self,
        path: Path,
        specs: Mapping[str, TensorSpec],
        provenance: Provenance,
        image_ids: Sequence[str] = (),
        others: Collection[str] = (),
    ) -> None:
        """image_ids: the pictures the rows belong to, in order; empty if the rows are not pictures; others:
        names of tensors whose rows are no pictures where those of the rest are."""
        self.path = Path(path)
        # Widest elements first, as safetensors lays them out: every tensor then starts aligned.
        self._specs = dict(sorted(specs.items(), key=lambda item: -_DTYPES[item[1].dtype][1]))
        of_pictures = [spec.shape for name, spec in specs.items() if name not in others]
        if image_ids and any(shape[0] != len(image_ids) for shape in of_pictures):
            raise ValueError(f"{path}: {len(image_ids)} image ids for {of_pictures}")
        metadata = {origin.KEY: provenance.to_json()}
        if image_ids:
            metadata["image_ids"] = json.dumps(list(image_ids))
        header: dict[str, Any] = {"__metadata__": metadata}
        offset = 0
        self._starts: dict[str, int] = {}
        for name, spec in self._specs.items():
            end = offset + spec.shape[0] * spec.row_bytes
            header[name] = {
                "dtype": _DTYPES[spec.dtype][0],
                "shape": spec.shape,
                "data_offsets": (offset, end),
            }
            self._starts[name] = offset
            offset = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._head = struct.pack("<Q", len(text)) + text
        self._size = len(self._head) + offset
        self._written = dict.fromkeys(specs, 0)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Open the temporary file and write the header."""
        with contextlib.ExitStack() as stack:
            partial = stack.enter_context(atomic(self.path))
            free = shutil.disk_usage(self.path.parent).free
            if free < self._size:
                raise VitpeelError(
                    f"{self.path}: needs {_gigabytes(self._size)} and the disk has {_gigabytes(free)} left. "
                    f"Free some space for {self.path.parent} and run `snakemake` again; "
                    "what was finished is kept."
                )
            self._file = stack.enter_context(partial.open("r+b", buffering=0))
            self._put(0, self._head)
            self._stack = stack.pop_all()
        return self

    def append(self, name: str, rows: Any) -> None:
        """Write the next rows of tensor `name`: numpy or torch [B, ...], of exactly its dtype."""
        spec = self._specs[name]
        dtype = str(rows.dtype).removeprefix("torch.")
        if dtype != spec.dtype or tuple(rows.shape[1:]) != spec.shape[1:]:
            raise ValueError(
                f"{name}: expected [B, {spec.shape[1:]}] {spec.dtype}, got {tuple(rows.shape)} {dtype}"
            )
        done = self._written[name]
        if done + len(rows) > spec.shape[0]:
            raise ValueError(f"{name}: row {done + len(rows)} of {spec.shape[0]}")
        self._put(len(self._head) + self._starts[name] + done * spec.row_bytes, _raw(rows))
        self._written[name] = done + len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish the file if every row was written; leave nothing behind otherwise."""
        with self._stack:
            if error is not None:
                # Through the stack: the temporary file goes, a full disk gets its one line.
                raise error
            short = {n: f"{self._written[n]} of {s.shape[0]}" for n, s in self._specs.items()}
            if any(self._written[n] < s.shape[0] for n, s in self._specs.items()):
                raise ValueError(f"{self.path}: rows written: {short}")

    def _put(self, position: int, data: bytes | memoryview) -> None:
        self._file.seek(position)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]


def _raw(rows: Any) -> memoryview:
    """The bytes of a numpy array or torch tensor, C order."""
    if isinstance(rows, np.ndarray):
        return rows.reshape(-1).view(np.uint8).data
    import torch  # here only: a torch tensor was passed, so it is loaded already

    raw: np.ndarray = rows.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return raw.data


def write_tensors(
    path: Path,
    tensors: Mapping[str, Any],
    provenance: Provenance,
    image_ids: Sequence[str] = (),
) -> None:
    """Write whole tensors (numpy or torch, at least one axis each) at once."""
    specs = {n: TensorSpec(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for n, t in tensors.items()}
    with TensorWriter(path, specs, provenance, image_ids) as writer:
        for name, tensor in tensors.items():
            writer.append(name, tensor)


@dataclass(frozen=True)
class TensorFile:
    """An open safetensors file; nothing is read until `rows` asks for it, and nothing read is kept."""

    path: Path
    provenance: Provenance | None
    image_ids: tuple[str, ...]
    specs: Mapping[str, TensorSpec]
    _starts: Mapping[str, int]  # of each tensor, in bytes from the file's
    _file: BufferedReader
    _framework: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors, sorted."""
        return tuple(sorted(self.specs))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of tensor `name`."""
        return self._spec(name).shape

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        """Rows [start, stop) of the first axis of tensor `name`, in the framework chosen at opening."""
        spec = self._spec(name)
        start, stop, _ = slice(start, stop).indices(spec.shape[0])
        shape = (max(0, stop - start), *spec.shape[1:])
        # Read, not mapped: mapped pages count as the job's memory, which would then grow with the file.
        data = bytearray(shape[0] * spec.row_bytes)
        self._file.seek(self._starts[name] + start * spec.row_bytes)
        if self._file.readinto(data) != len(data):
            raise InputError(f"{self.path}: ends inside {name}. {_remedy(self.path)}")
        if self._framework == "numpy":
            return np.frombuffer(data, dtype=spec.dtype).reshape(shape)
        import torch  # here only: torch tensors were asked for

        kind = getattr(torch, spec.dtype)
        return torch.frombuffer(data, dtype=kind).reshape(shape) if data else torch.empty(shape, dtype=kind)

    def mapped(self, name: str) -> Any:
        """Tensor `name` as a read-only numpy array whose pages are read when they are first used.

        It outlives this file, and stays what it is when another file takes this one's place. Meant for
        searches that touch a small part of a large file; pages in use count as the job's memory.
        """
        spec = self._spec(name)
        if not prod(spec.shape):
            return np.empty(spec.shape, spec.dtype)
        # seen as a plain array: indexing the subclass is slow
        return np.asarray(np.memmap(self.path, spec.dtype, "r", self._starts[name], spec.shape))

    def _spec(self, name: str) -> TensorSpec:
        if name not in self.specs:
            raise InputError(f"{self.path}: holds {', '.join(self.names)}, not {name}. {_remedy(self.path)}")
        return self.specs[name]


@contextlib.contextmanager
def open_tensors(
    path: Path, expect: Provenance | None = None, framework: Literal["numpy", "pt"] = "numpy"
) -> Iterator[TensorFile]:
    """Open a safetensors file lazily; "pt" gives torch tensors (and is needed for bfloat16).

    expect: refuse (`ProvenanceError`) a file whose origin differs in a field that is set there.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run `snakemake` to make it.")
    try:
        with safe_open(path, framework="numpy"):  # checks the header against the file
            pass
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}). {_remedy(path)}") from error
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        text = metadata.get(origin.KEY)
        found = None if text is None else Provenance.from_json(text, path)
        if expect is not None:
            origin.verify(path, found, expect)
        names = {code: name for name, (code, _) in _DTYPES.items()}
        specs = {n: TensorSpec(tuple(entry["shape"]), names[entry["dtype"]]) for n, entry in header.items()}
        starts = {n: 8 + length + entry["data_offsets"][0] for n, entry in header.items()}
        image_ids = tuple(json.loads(metadata.get("image_ids", "[]")))
        yield TensorFile(path, found, image_ids, specs, starts, file, framework)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.3f} GB"


def _remedy(path: Path) -> str:
    return f"Delete it (`rm {path}`) and run `snakemake` again."
