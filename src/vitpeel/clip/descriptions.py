"""The texts that TextSpan chooses from: a file with one a line."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vitpeel.errors import InputError


def read(path: Path) -> tuple[str, ...]:
    """Every text once, in the file's order; empty lines count for nothing.

    Raises InputError for a file that is not UTF-8, or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not readable ({error}). Save it as text in UTF-8, or change clip.descriptions."
        ) from error
    texts = tuple(dict.fromkeys(text for line in lines if (text := line.strip())))
    if not texts:
        raise InputError(f"{path}: no text in it. Write one a line, or change clip.descriptions.")
    return texts


def fingerprint(texts: tuple[str, ...]) -> str:
    """A short text that changes with the texts, for provenance."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
