"""What the pipeline can bring from the hubs, read from manifest.yaml, and where the cache keeps it.

Knows nothing of the network: the configuration is checked against it before anything is downloaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from vitpeel.errors import InputError

MANIFEST = Path(__file__).with_name("manifest.yaml")
_COMMIT = re.compile(r"[0-9a-f]{40}")

Collection = Literal["checkpoints", "datasets", "texts"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class File(_Strict):
    """What is known of a file beforehand; None: recorded at the first download. size: in bytes."""

    size: int | None = Field(ge=0)
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")


class Architecture(_Strict):
    """depth, heads: of the (vision) transformer; dtype: of the stored weights."""

    kind: Literal["instructblip", "blip2", "bert", "clip"]
    depth: int
    heads: int
    dtype: Literal["float32", "float16", "bfloat16"]


class Entry(_Strict):
    """A checkpoint, a set of pictures or of texts.

    repository: on the hub; or url: of a folder, with {revision} in it. files: pattern -> what is known of the
    file. gated: the page whose conditions must be accepted. pictures: how many there must be.
    """

    title: str
    repository: str | None = None
    url: str | None = None
    revision: str
    licence: str
    size: int | None
    gated: str | None
    files: dict[str, File | None] = Field(min_length=1)
    architecture: Architecture | None = None
    pictures: int | None = None

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which cannot move."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.repository or str(self.url)


class Manifest(_Strict):
    """All entries, by names of their own."""

    version: Literal[1]
    checkpoints: dict[str, Entry]
    datasets: dict[str, Entry]
    texts: dict[str, Entry]

    def __iter__(self) -> Iterator[tuple[Collection, str, Entry]]:  # type: ignore[override]
        collections: tuple[Collection, ...] = ("checkpoints", "datasets", "texts")
        for collection in collections:
            for name, entry in getattr(self, collection).items():
                yield collection, name, entry


@cache
def read(path: Path = MANIFEST) -> Manifest:
    """The manifest, checked."""
    made = Manifest.model_validate_json(json.dumps(yaml.safe_load(path.read_text())))
    names = [name for _, name, _ in made]
    unclear = [name for _, name, entry in made if (entry.repository is None) == (entry.url is None)]
    if unclear or len(names) != len(set(names)):
        raise InputError(
            f"{path}: {unclear or names}: each needs a name of its own, and a repository or a url."
        )
    return made


def find(name: str) -> tuple[Collection, Entry] | None:
    """The entry of this name and the collection that it is in."""
    return next(((collection, entry) for collection, known, entry in read() if known == name), None)


def folder(cache_folder: Path, name: str) -> Path:
    """Where the files of an entry are kept."""
    found = find(name)
    if found is None:
        raise InputError(f"{name}: not in the manifest. There are: {', '.join(n for _, n, _ in read())}.")
    return cache_folder / found[0] / name


def receipt(cache_folder: Path, name: str) -> Path:
    """The file that says that an entry is there, whole and verified."""
    return folder(cache_folder, name).with_name(f"{name}.json")


def lock(cache_folder: Path, name: str) -> Path:
    """The record of the commit and the checksums that every later download must have too."""
    return cache_folder / "locks" / f"{name}.json"


def cached(cache_folder: Path, path: Path) -> str | None:
    """The entry whose files `path` holds; None: a folder of the user's own."""
    return next((name for _, name, _ in read() if folder(cache_folder, name) == path), None)


def check_architecture(entry: Entry, downloaded: Path) -> None:
    """Raise InputError if config.json says another depth or number of heads than the manifest."""
    facts, file = entry.architecture, downloaded / "config.json"
    if facts is None or not file.is_file():
        return
    config = json.loads(file.read_text())
    vision = config.get("vision_config", config)
    for key, wanted in (("num_hidden_layers", facts.depth), ("num_attention_heads", facts.heads)):
        if vision.get(key, wanted) != wanted:
            raise InputError(
                f"{file}: {key} is {vision[key]}, the manifest says {wanted}: another model than expected. "
                f"Correct {MANIFEST.name}, or choose another revision there."
            )
