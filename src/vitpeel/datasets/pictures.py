"""Pictures: opened as RGB however they are stored, refused by name if they cannot be, listed in a table."""

import logging
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from vitpeel.errors import InputError

logger = logging.getLogger(__name__)

# Smaller ones are tracking pixels and broken exports; image processors take a side of 3 for the channels.
MIN_SIDE = 8
_PLAIN_MODES = ("RGB", "L", "P", "1")  # become RGB with nothing lost or guessed
_ORIENTATION = 0x0112  # the EXIF tag
_REMEDY = "Replace it and run `snakemake` again."
# What Pillow's readers raise on damaged files of various formats.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Picture:
    """A picture to be peeled and the sentences people wrote about it (none: no references)."""

    image_id: str
    path: Path
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture, the mode it was stored in (Pillow's name), what was converted ("": nothing)."""

    image: Image.Image
    mode: str
    note: str


@dataclass(frozen=True)
class Entry:
    """A usable picture as the table lists it; width and height in pixels, upright."""

    picture: Picture
    width: int
    height: int
    mode: str
    note: str


@dataclass(frozen=True)
class Skipped:
    """A picture that cannot be used, and the line that says why and what to do."""

    path: Path
    reason: str


@dataclass(frozen=True)
class PictureIndex:
    """What every dataset kind returns: usable pictures in order, unusable ones, remarks for the log."""

    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The usable pictures, in the table's order."""
        return tuple(entry.picture for entry in self.entries)

    def frame(self) -> pd.DataFrame:
        """The picture table (schema `tables.PICTURES`), one row a usable picture."""
        return pd.DataFrame(
            {
                "image_id": [e.picture.image_id for e in self.entries],
                "path": [e.picture.path.as_posix() for e in self.entries],
                "width": [e.width for e in self.entries],
                "height": [e.height for e in self.entries],
                "mode": [e.mode for e in self.entries],
                "references": [list(e.picture.references) for e in self.entries],
                "note": [e.note for e in self.entries],
            }
        )

    def skipped_frame(self) -> pd.DataFrame:
        """The table of skipped pictures (schema `tables.SKIPPED`)."""
        paths, reasons = [s.path.as_posix() for s in self.skipped], [s.reason for s in self.skipped]
        return pd.DataFrame({"path": paths, "reason": reasons}, dtype="str")


def from_frame(frame: pd.DataFrame) -> tuple[Picture, ...]:
    """The pictures of a picture table, in its order."""
    columns = zip(frame["image_id"], frame["path"], frame["references"], strict=True)
    return tuple(Picture(str(i), Path(p), tuple(references)) for i, p, references in columns)


def opened(frame: pd.DataFrame, image_ids: Iterable[str] | None = None) -> dict[str, Image.Image]:
    """image_id -> RGB of the pictures of a picture table, of these ids or of all."""
    wanted = None if image_ids is None else set(image_ids)
    some = [one for one in from_frame(frame) if wanted is None or one.image_id in wanted]
    return {one.image_id: open_rgb(one.path) for one in some}


def with_references(frame: pd.DataFrame, references: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The picture table with these references (by image id); logs pictures that have none."""
    bare = [image_id for image_id in frame["image_id"] if not references.get(image_id)]
    if bare and references:
        logger.info(
            "%d of %d pictures have no caption, such as %s; peeled, but not scored against references",
            *(len(bare), len(frame), bare[0]),
        )
    lists: list[Any] = [list(references.get(image_id, ())) for image_id in frame["image_id"]]
    return frame.assign(references=lists)


def open_rgb(path: Path) -> Image.Image:
    """The picture at `path`, upright, RGB, 8 bits a channel; `InputError` if it is damaged or no picture."""
    return decode(path).image


def decode(path: Path) -> Decoded:
    """Open, check and convert the picture at `path`; says what was converted.

    Transparency is laid over white, 16-bit grey scaled to 8 (Pillow alone would clip it to white), the EXIF
    orientation applied, the first frame of an animation taken.
    """
    path = Path(path)
    stored, notes, deep = _load(path)
    if min(stored.size) < MIN_SIDE:
        size = f"{stored.width}x{stored.height} pixels"
        raise InputError(f"{path}: {size}; a picture needs at least {MIN_SIDE}x{MIN_SIDE}. {_REMEDY}")
    image, note = _to_rgb(stored, path)
    if note:
        notes.append(note)
    if deep and not stored.mode.startswith("I"):
        notes.append("16 bits a channel reduced to 8")
    return Decoded(image, stored.mode, "; ".join(notes))


def _load(path: Path) -> tuple[Image.Image, list[str], bool]:
    """The picture upright in its stored mode, what was done to it, whether it has 16 bits a channel."""
    try:
        with Image.open(path) as opened:
            deep = any(";16" in str(tile[3]) for tile in getattr(opened, "tile", []))
            opened.load()
            frames = getattr(opened, "n_frames", 1)
            orientation = opened.getexif().get(_ORIENTATION, 1)
            upright = ImageOps.exif_transpose(opened)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such picture. {_REMEDY}") from error
    except PermissionError as error:
        raise InputError(f"{path}: may not be read. Allow it (`chmod u+r {path}`) and try again.") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: more pixels than can be opened safely ({error}). Scale it down first."
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: {_what_it_is(path)}. {_REMEDY}") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: {_damage(path, error)}. {_REMEDY}") from error
    notes = ["turned upright (EXIF orientation)"] if orientation in range(2, 9) else []
    if frames > 1:
        notes.append(f"first of {frames} frames")
    return upright, notes, deep


def _to_rgb(image: Image.Image, path: Path) -> tuple[Image.Image, str]:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{path}: 32-bit pixels, whose white is unknown. Save it with 8 or 16 bits a channel."
            )
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB"), "16-bit grey scaled to 8 bits"
    if image.mode in ("F", "LAB"):
        kind = {"F": "floating-point pixels", "LAB": "L*a*b* colours"}[image.mode]
        raise InputError(f"{path}: {kind} are not supported. Save it as RGB with 8 or 16 bits a channel.")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB"), "transparency laid over white"
    note = f"converted from {image.mode}" if image.mode not in _PLAIN_MODES else ""
    return image.convert("RGB"), note


def _what_it_is(path: Path) -> str:
    """Why Pillow does not know the file: by its first bytes."""
    with path.open("rb") as handle:
        start = handle.read(64)
    if not start:
        return "an empty file (0 bytes)"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not yet the picture (`git lfs pull` fetches it)"
    if start.lstrip()[:1] == b"<":
        return "a web page or XML file, not a picture"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"a text file (it begins {start[:24].decode()!r}), not a picture"
    return "not a picture, of an unknown format, or cut off (JPEG and PNG are safe)"


def _damage(path: Path, error: Exception) -> str:
    if "truncated" in str(error).lower():
        return f"truncated, the file ends after {path.stat().st_size:,} bytes"
    return f"damaged ({error})"
