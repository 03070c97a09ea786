"""What a visitor uploads: opened only where it is a picture of a sensible size, refused in plain words.

A file is asked for its format and its size first, which takes its header alone; nothing is decoded before.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from vitpeel.datasets.pictures import open_rgb
from vitpeel.errors import InputError

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 40_000_000
# Formats that Pillow decodes by itself: of others, such as EPS, it starts a program on the visitor's file.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")
_ADVICE = "Save it as a JPEG or PNG and try again."
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)


def checked(path: Path) -> Image.Image:
    """The picture at `path`, upright, RGB.

    Raises InputError for a file that is none, is damaged, or has more than MOST_BYTES or MOST_PIXELS; the
    message is for the visitor and says nothing about where the file lies.
    """
    _check_header(path)
    try:
        return open_rgb(path)
    except InputError as error:
        # its message begins with the path, and ends with what the user of the pipeline should do
        reason = str(error).removeprefix(f"{path}: ").split(". ")[0]
        raise InputError(f"This picture cannot be used: {reason}. {_ADVICE}") from error


def _check_header(path: Path) -> None:
    if not path.is_file():
        raise InputError("This picture is not kept here any longer. Choose it again.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InputError(
            f"This file has {size / 2**20:,.0f} MB; {MOST_BYTES // 2**20} are allowed. Scale it down first."
        )
    try:
        with Image.open(path) as opened:
            kind, (width, height) = opened.format, opened.size
    except Image.DecompressionBombError as error:
        raise InputError(_too_many("far more")) from error
    except _UNREADABLE:
        return  # `open_rgb` says what it is
    if kind not in FORMATS:
        raise InputError(f"This picture is a {kind}, which is not taken. {_ADVICE}")
    if width * height > MOST_PIXELS:
        raise InputError(_too_many(f"{width * height / 1e6:,.0f}"))


def _too_many(count: str) -> str:
    most = f"{MOST_PIXELS // 1_000_000} megapixels are allowed"
    return f"This picture has too many pixels: {count} megapixels, but {most}. Scale it down first."
