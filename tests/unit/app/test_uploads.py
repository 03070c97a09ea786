"""Uploads: what is a picture comes in, anything else gets a sentence that a visitor understands."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitpeel.app import uploads
from vitpeel.errors import InputError


def png(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels; its data are a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def stored(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8))

REFUSED = {
    "empty": (b"", "empty file"),
    "text": (b"no picture at all", "a text file"),
    "page": (b"<html><body>", "web page"),
    "truncated": (stored(NOISE, "PNG")[:4000], "truncated"),
    "100 megapixels": (png(10_000, 10_000), "100 megapixels, but 40 megapixels are allowed"),
    "bomb": (png(100_000, 100_000), "too many pixels"),
    "postscript": (stored(NOISE, "EPS"), "EPS"),
    "one pixel": (stored(NOISE.resize((1, 1)), "PNG"), "1x1 pixels"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_usable_picture_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "upload.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as refusal:
        uploads.checked(path)
    message = str(refusal.value)
    assert reason in message and "\n" not in message
    # where the file lies, and what the pipeline's user types, mean nothing to a visitor
    assert str(tmp_path) not in message and "snakemake" not in message


def test_a_file_of_too_many_bytes_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "upload.png"
    path.write_bytes(stored(NOISE, "PNG"))
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(InputError, match="Scale it down"):
        uploads.checked(path)


def test_an_upload_that_was_deleted_meanwhile_is_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Choose it again"):
        uploads.checked(tmp_path / "gone.png")


def test_an_ugly_name_is_no_part_of_the_message(tmp_path: Path) -> None:
    path = tmp_path / "my. holiday: 1.png"
    path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"^This picture cannot be used: an empty file \(0 bytes\)\. Save it"
    ):
        uploads.checked(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_ordinary_formats_come_in_as_rgb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(stored(NOISE, kind))
    image = uploads.checked(path)
    assert (image.mode, image.size) == ("RGB", NOISE.size)


def test_a_photo_comes_in_upright_and_transparency_over_white(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    NOISE.save(tmp_path / "turned.jpg", exif=turned)
    assert uploads.checked(tmp_path / "turned.jpg").size == NOISE.size[::-1]
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert uploads.checked(tmp_path / "clear.png").getpixel((3, 3)) == (255, 255, 255)
