"""Every reply that was paid for, as it came: a file of JSON lines that only ever grows.

A line is a `reply` (the raw body), a `refusal` of the API, a call that was `lost` (sent, perhaps charged,
never answered), a `batch` that was submitted, or a batch that is `collected`. Its `usd` are what the line
cost. The file holds neither keys nor pictures; with it the results can be made again without an account.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vitpeel.errors import InputError, VitpeelError
from vitpeel.judge.calls import Call, T
from vitpeel.judge.reading import Answered, Outcome, Refused, Unusable, read

log = logging.getLogger(__name__)


class Replies:
    """The file at `path`, and what is in it by question. May be used from several threads.

    Other processes may write into the file meanwhile; what they write is seen by the next run.
    """

    def __init__(self, path: Path, asker: str = "judge") -> None:
        """A file that is not there yet is empty. Raises InputError for one that cannot be read.

        asker: whose replies they are, for messages.
        """
        self.path = Path(path)
        self._asker = asker
        self._lock = threading.Lock()
        self._entries: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._batches: dict[str, dict[str, Any]] = {}
        self._collected: set[str] = set()
        self.spent = 0.0  # USD, by all runs that wrote into this file
        for number, line in enumerate(self._lines(), start=1):
            self._remember_line(number, line)

    def outcome(self, call: Call[T], attempts: int) -> Outcome[T] | None:
        """What became of a question; None if it is to be asked (again, while replies are unusable)."""
        outcomes = [self._read(entry, call) for entry in self._entries.get(call.key, ())]
        for outcome in outcomes:
            if isinstance(outcome, Answered):
                return outcome
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        if refused or len(outcomes) >= attempts:
            return (refused or outcomes)[-1]
        return None

    def count(self, key: str) -> int:
        """How many replies to a question there are."""
        return len(self._entries.get(key, ()))

    def open_batches(self, keys: Collection[str]) -> tuple[str, ...]:
        """Submitted batches that ask one of these questions and whose results have not been collected."""
        waiting = (name for name in self._batches if name not in self._collected)
        return tuple(name for name in waiting if not set(keys).isdisjoint(self.batch_calls(name)))

    def knows_batch(self, name: str) -> bool:
        """Whether the submission of a batch is noted."""
        return name in self._batches

    def batch_calls(self, name: str) -> dict[str, str]:
        """The questions of a submitted batch: key -> what it is about."""
        return dict(self._batches[name]["calls"])

    def write(self, kind: str, usd: float = 0.0, **values: Any) -> None:
        """Append a line and flush it to disk. Raises VitpeelError if that fails; the file stays as it was."""
        entry = {"kind": kind, **values, "usd": usd, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                raise VitpeelError(
                    f"{self.path}: a reply of the {self._asker} cannot be stored ({error.strerror}), so no "
                    "more are asked for. Make room for it, or make it writable, and run `snakemake` again."
                ) from error
            self._remember(entry)

    def check_writable(self) -> None:
        """Refuse before anything is paid for if replies could not be stored."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab"):
                pass
        except OSError as error:
            raise VitpeelError(
                f"{self.path}: the {self._asker}'s replies could not be stored there ({error.strerror}), so "
                "nothing was asked. Make it writable and run `snakemake` again."
            ) from error

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            # A line that a killed run left half written must not swallow this one.
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            try:
                rest = (b"\n" if torn else b"") + line
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _lines(self) -> list[str]:
        try:
            # Not splitlines: replies may hold other line separators than the one between entries.
            return self.path.read_bytes().decode("utf-8", errors="replace").rstrip("\n").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(
                f"{self.path}: the {self._asker}'s replies cannot be read ({error.strerror}). Make the file "
                "readable."
            ) from error

    def _remember_line(self, number: int, line: str) -> None:
        if not line.strip():
            return
        try:
            self._remember(json.loads(line))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            log.warning(
                "%s: line %d is damaged and left out; what it answered is asked again", self.path, number
            )

    def _remember(self, entry: Mapping[str, Any]) -> None:
        kind, usd = entry["kind"], float(entry.get("usd", 0.0))
        if kind == "batch":
            self._batches[entry["id"]] = dict(entry)
        elif kind == "collected":
            self._collected.add(entry["id"])
        elif kind in ("reply", "refusal"):
            self._entries[entry["key"]].append(dict(entry))
        self.spent += usd

    @staticmethod
    def _read(entry: Mapping[str, Any], call: Call[T]) -> Outcome[T]:
        if entry["kind"] == "refusal":
            return Refused(str(entry["reason"]))
        body = entry.get("body")
        return read(body, call) if isinstance(body, str) else Unusable("its stored reply has no body")
