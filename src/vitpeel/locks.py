"""The record of a download: the commit and the checksums that every later one must have too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vitpeel.atomic import atomic
from vitpeel.errors import InputError
from vitpeel.manifest import File


@dataclass(frozen=True)
class Lock:
    """The commit it is of, the patterns that were wanted, size and sha256 of every file.

    sha256 is None until the file has arrived.
    """

    source: str
    revision: str
    wanted: tuple[str, ...]
    files: dict[str, File]

    def whole(self, folder: Path) -> bool:
        """Whether all files are there, and were verified when they came."""
        return bool(self.files) and all(
            file.sha256 and (folder / path).is_file() and (folder / path).stat().st_size == file.size
            for path, file in self.files.items()
        )

    def to_json(self) -> str:
        """Equal text for equal files, whenever they came."""
        files = {path: file.model_dump() for path, file in sorted(self.files.items())}
        return json.dumps({**asdict(self), "files": files}, indent=2) + "\n"

    @staticmethod
    def read(path: Path) -> Lock | None:
        """The record at `path`; None: there is none yet."""
        try:
            raw = json.loads(path.read_text())
            files = {name: File.model_validate(file) for name, file in raw["files"].items()}
            return Lock(raw["source"], raw["revision"], tuple(raw["wanted"]), files)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a record of a download ({error!r}). Delete it (`rm {path}`) for a new one."
            ) from error

    def write(self, path: Path) -> None:
        """Put the record at `path`."""
        with atomic(path) as partial:
            partial.write_text(self.to_json())
