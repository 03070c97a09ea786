"""Every way a picture can be stored or broken: converted and said, or refused in one line that names it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitpeel.datasets.pictures import decode, open_rgb
from vitpeel.errors import InputError


def photo(side: int = 64) -> Image.Image:
    """A smooth coloured picture, so that lossy formats keep its colours."""
    down, across = np.mgrid[0:side, 0:side] / side
    return Image.fromarray((np.stack([down, across, 1 - down], axis=2) * 255).astype("uint8"))


def png(pixels: bytes, side: int, bits: int, colour: int) -> bytes:
    """A PNG written by hand: Pillow itself writes no 16-bit colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = len(pixels) // side
    lines = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_rgb(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["7.jpg", "7.png", "7.webp", "7.gif", "7.bmp", "7.tiff", "7.ppm"])
def test_plain_pictures_are_what_pillow_reads(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    photo().save(path)
    decoded = decode(path)
    assert decoded.note == "" and decoded.image.mode == "RGB"
    with Image.open(path) as opened:
        assert opened.mode == decoded.mode
        np.testing.assert_array_equal(decoded.image, opened.convert("RGB"))


def test_truncated_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "7.jpg"
    photo(256).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:4096])
    assert (
        refusal(path) == "truncated, the file ends after 4,096 bytes. Replace it and run `snakemake` again."
    )


@pytest.mark.parametrize("name", ["7.jpg", "7.png", "7.webp", "7.gif", "7.bmp", "7.tiff", "7.ppm", "7.avif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_cut_file_of_any_format_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refusal(path)


def test_flipped_bits_in_a_png_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "7.png"
    photo().save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert refusal(path).startswith("damaged (broken data stream")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"hello, world\n" * 3, "a text file (it begins 'hello, world\\nhello, worl'), not a picture."),
        (b"", "an empty file (0 bytes)."),
        (b"\n<!doctype html><html>", "a web page or XML file, not a picture."),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "a Git LFS pointer, not yet the picture (`git lfs",
        ),
        (b"\x00\x01\x02" * 50, "not a picture, of an unknown format, or cut off"),
    ],
)
def test_a_file_that_is_no_picture_says_what_it_is(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "7.png"
    path.write_bytes(content)
    assert refusal(path).startswith(what)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 3)])
def test_tiny_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", size).save(path)
    expected = (
        f"{size[0]}x{size[1]} pixels; a picture needs at least 8x8. Replace it and run `snakemake` again."
    )
    assert refusal(path) == expected


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    layer = photo().convert("RGBA")
    alpha = np.full((64, 64), 255, "uint8")
    alpha[:, :32], alpha[0, 63] = 0, 128
    layer.putalpha(Image.fromarray(alpha))
    layer.save(tmp_path / "7.png")
    decoded = decode(tmp_path / "7.png")
    pixels = np.asarray(decoded.image)
    assert (decoded.mode, decoded.note) == ("RGBA", "transparency laid over white")
    assert (pixels[:, :32] == 255).all()
    np.testing.assert_array_equal(pixels[1:, 32:], np.asarray(photo())[1:, 32:])
    np.testing.assert_allclose(pixels[0, 63], np.asarray(photo())[0, 63] / 2 + 127, atol=1)


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_transparent_colour_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (16, 16), "black").convert(mode)
    black = image.getpixel((0, 0))
    image.save(tmp_path / "7.png", transparency=black)
    decoded = decode(tmp_path / "7.png")
    assert decoded.note == "transparency laid over white"
    assert (np.asarray(decoded.image) == 255).all()


@pytest.mark.parametrize("name", ["7.jpg", "7.tiff"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    photo().convert("CMYK").save(tmp_path / name)
    decoded = decode(tmp_path / name)
    assert (decoded.mode, decoded.note) == ("CMYK", "converted from CMYK")
    np.testing.assert_allclose(np.asarray(decoded.image, int), np.asarray(photo(), int), atol=6)


@pytest.mark.parametrize("name", ["7.png", "7.tiff", "7.pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).round()
    Image.fromarray(ramp.astype("uint16")).save(tmp_path / name)
    decoded = decode(tmp_path / name)
    assert decoded.note == "16-bit grey scaled to 8 bits"
    np.testing.assert_allclose(np.asarray(decoded.image)[..., 1], ramp / 257, atol=0.5001)


@pytest.mark.parametrize(("colour", "channels", "mode"), [(2, 3, "RGB"), (6, 4, "RGBA")])
def test_16_bit_colour(tmp_path: Path, colour: int, channels: int, mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (16, 16, channels))
    values[..., 3:] = 65535
    (tmp_path / "7.png").write_bytes(png(values.astype(">u2").tobytes(), 16, 16, colour))
    decoded = decode(tmp_path / "7.png")
    assert decoded.mode == mode and decoded.note.endswith("16 bits a channel reduced to 8")
    np.testing.assert_allclose(np.asarray(decoded.image), values[..., :3] / 257, atol=1)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (
            Image.fromarray(np.full((16, 16), 70_000, "int32")),
            "32-bit pixels, whose white is unknown. Save it",
        ),
        (Image.fromarray(np.ones((16, 16), "float32")), "floating-point pixels are not supported. Save it"),
        (Image.new("LAB", (16, 16)), "L*a*b* colours are not supported. Save it"),
    ],
)
def test_pixels_without_a_known_white_are_refused(tmp_path: Path, image: Image.Image, reason: str) -> None:
    image.save(tmp_path / "7.tiff")
    assert refusal(tmp_path / "7.tiff").startswith(reason)


def test_black_and_white_pictures_need_no_remark(tmp_path: Path) -> None:
    photo().convert("L").save(tmp_path / "7.png")
    decoded = decode(tmp_path / "7.png")
    assert (decoded.mode, decoded.note, decoded.image.mode) == ("L", "", "RGB")


def test_a_phone_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture has to be turned 90 degrees clockwise
    wide = photo().resize((96, 32))
    wide.save(tmp_path / "7.jpg", exif=exif, quality=95)
    decoded = decode(tmp_path / "7.jpg")
    assert decoded.image.size == (32, 96) and decoded.note == "turned upright (EXIF orientation)"
    turned = wide.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_allclose(np.asarray(decoded.image, int), np.asarray(turned, int), atol=12)


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    red.save(tmp_path / "7.gif", save_all=True, append_images=[blue])
    decoded = decode(tmp_path / "7.gif")
    assert decoded.note == "first of 2 frames" and decoded.image.getpixel((3, 3)) == (255, 0, 0)


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "7.png").startswith("no such picture.")
