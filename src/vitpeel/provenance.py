"""Where a stored result comes from: written into every file's metadata, compared before the file is used."""

import dataclasses
import hashlib
import importlib.metadata
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from vitpeel.errors import InputError, ProvenanceError

KEY = "vitpeel"  # of the metadata entry, in parquet and in safetensors files
_COMPARED = ("checkpoint", "dtype", "preprocessing", "config")
_READ_WHOLE = 64 * 2**20  # bytes: larger weights are sampled
_SAMPLE = 4096  # bytes a tensor
_MEANING_SUFFIXES = {
    ".json",
    ".txt",
    ".model",
    ".jinja",
}  # configuration, processor and tokenizers; not README or logs


def _version() -> str:
    return importlib.metadata.version("vitpeel")


@dataclass(frozen=True)
class Provenance:
    """What made a file. A field left None does not apply (a picture table has no checkpoint).

    checkpoint: `fingerprint` of the checkpoint's folder. dtype: precision of the computation, e.g. "float32".
    preprocessing, config: `canonical` text of the settings that had a part in the result. vitpeel: version of
    this library, recorded and not compared.
    """

    checkpoint: str | None = None
    dtype: str | None = None
    preprocessing: str | None = None
    config: str | None = None
    vitpeel: str = field(default_factory=_version)

    def to_json(self) -> str:
        """The metadata entry's text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str, path: Path) -> "Provenance":
        """Read the metadata entry of `path`; an entry of another form is a `ProvenanceError`."""
        try:
            return Provenance(**json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            raise ProvenanceError(
                f"{path}: its {KEY!r} metadata is not readable ({error}). {_remedy(path)}"
            ) from error


def verify(path: Path, found: Provenance | None, expected: Provenance) -> None:
    """Refuse the file at `path` if what made it differs from `expected` in any field that `expected` sets."""
    if found is None:
        raise ProvenanceError(f"{path}: does not say what made it (no {KEY!r} metadata). {_remedy(path)}")
    for name in _COMPARED:
        stored, wanted = getattr(found, name), getattr(expected, name)
        if wanted is not None and stored != wanted:
            key, old, new = _difference(name, stored, wanted)
            raise ProvenanceError(f"{path}: made with {key} {old}, but this run has {new}. {_remedy(path)}")


def _remedy(path: Path) -> str:
    return f"Delete it (`rm {path}`) and run `snakemake` again, or set the configuration back."


def _difference(name: str, stored: str | None, wanted: str) -> tuple[str, str, str]:
    """Name and both values of what differs, of the first such setting if both are canonical settings."""
    old, new = _settings(stored), _settings(wanted)
    if old is None or new is None:
        return name, _shown(stored), _shown(wanted)
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key, ...) != new.get(key, ...)]
    if not keys:
        return name, _shown(stored), _shown(wanted)
    key = keys[0]
    return (
        f"{name}.{key}",
        json.dumps(old[key]) if key in old else "unset",
        json.dumps(new[key]) if key in new else "unset",
    )


def _shown(value: str | None) -> str:
    if value is None:
        return "unrecorded"
    return f"{value[:12]}…" if len(value) > 40 else value


def _settings(text: str | None) -> dict[str, Any] | None:
    """Canonical settings, nested keys joined by dots; None if `text` is something else (a hash, a name)."""
    try:
        value = json.loads(text) if text is not None else None
    except json.JSONDecodeError:
        return None
    return dict(_flat(value)) if isinstance(value, dict) else None


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


def canonical(settings: object) -> str:
    """One text for equal settings: sorted JSON of plain values, dataclasses, pydantic models, paths."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return value.as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical form as a setting")


def fingerprint(folder: Path) -> str:
    """sha256 (hex) of a checkpoint folder, in well under a second even for 30 GB of weights.

    Configuration, processor, tokenizers and weights of at most 64 MiB are hashed whole. Of larger weights:
    name, size, safetensors header, and 4 KiB from the middle of every tensor, which any training changes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such checkpoint folder. Set model.checkpoint to a folder with safetensors weights."
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        others = ", ".join(
            sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern))
        )
        found = f" (only {others}, pickles, which are not loaded)" if others else ""
        raise InputError(
            f"{folder}: no *.safetensors weights in this checkpoint folder{found}. "
            "Save the model there with `save_pretrained`, or set model.checkpoint to another folder."
        )
    digest = hashlib.sha256()
    for path in sorted(
        [*weights, *(p for p in folder.iterdir() if p.suffix in _MEANING_SUFFIXES and p.is_file())]
    ):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as handle:
            if path.suffix == ".safetensors":
                spans = _tensor_spans(handle, path, size)
            if path.suffix != ".safetensors" or size <= _READ_WHOLE:
                spans = [(0, size)]
            for start, length in spans:
                handle.seek(start)
                digest.update(handle.read(length))
    return digest.hexdigest()


def _tensor_spans(handle: BinaryIO, path: Path, size: int) -> list[tuple[int, int]]:
    """(start, length) in bytes of the header and of a sample of each tensor; refuses a file cut short."""
    remedy = "Copy or download it again."
    try:
        (length,) = struct.unpack("<Q", handle.read(8))
        if length > size - 8:
            raise InputError(f"{path}: truncated inside its header, {size:,} bytes are there. {remedy}")
        header = json.loads(handle.read(length))
        offsets = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}). {remedy}") from error
    data = 8 + length
    end = data + max((stop for _, stop in offsets), default=0)
    if size < end:
        raise InputError(f"{path}: truncated, {size:,} of {end:,} bytes are there. {remedy}")
    middles = [(data + max(a, (a + b - _SAMPLE) // 2), min(_SAMPLE, b - a)) for a, b in offsets]
    return [(0, data), *sorted(middles)]
