"""Uploads in the browser: a bad one gets a sentence and harms nobody, a good one is answered."""

from __future__ import annotations

import re
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from serving import App, Visit

from vitpeel.app import results
from vitpeel.app.uploads import MOST_BYTES
from vitpeel.clip import analyses, neighbours
from vitpeel.datasets.pictures import open_rgb
from vitpeel.models import openclip

pytestmark = pytest.mark.needs("chromium")


def upload(page: Page, path: Path) -> None:
    """Put a file into the picture input of the open tab."""
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_label("Remove Image").click()
    panel.locator(".vp-picture input[type=file]").set_input_files(path)


def png(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def noise(path: Path) -> bytes:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return path.read_bytes()


BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda path: b"", "an empty file (0 bytes)"),
    "text": (lambda path: b"this is no picture", "a text file"),
    "truncated": (lambda path: noise(path)[:3000], "truncated"),
    "100 megapixels": (lambda path: png(10_000, 10_000), "40 megapixels are allowed"),
    "bomb": (lambda path: png(100_000, 100_000), "too many pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_gets_a_sentence_and_the_next_picture_works(
    visit: Visit, tmp_path: Path, name: str
) -> None:
    page = visit("Peel")
    page.get_by_role("tab", name="Picture", exact=True).click()
    path = tmp_path / "holiday.png"
    data, reason = BAD[name]
    path.write_bytes(data(path))
    upload(page, path)
    expect(page.get_by_test_id("toast-body")).to_contain_text(reason)
    panel = page.locator("[role=tabpanel]:visible")
    expect(panel.get_by_label("Remove Image")).to_have_count(0)  # the picture is not taken
    panel.get_by_role("button", name="Find neighbours").click()
    expect(page.get_by_text("Choose a picture first").first).to_be_visible()
    panel.locator(".vp-examples button").first.click()
    expect(panel.get_by_label("Remove Image")).to_be_visible()
    panel.get_by_role("button", name="Find neighbours").click()
    expect(page.locator("#picture-found .vp-card").first).to_be_visible()


def test_a_file_of_too_many_bytes_is_not_taken(visit: Visit, tmp_path: Path) -> None:
    page = visit("Picture")
    path = tmp_path / "large.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(MOST_BYTES))
    upload(page, path)
    expect(page.get_by_test_id("toast-body")).to_contain_text("size")
    expect(page.locator("[role=tabpanel]:visible .vp-picture img")).to_have_count(0)


def test_a_picture_of_ones_own_comes_along_between_tabs(visit: Visit, app: App, tmp_path: Path) -> None:
    offer = results.read(app.settings)
    study, mine = offer.studies["clip-large"], tmp_path / "mine.jpg"
    # a candidate, turned: its own head's nearest must be found from the turned one
    open_rgb(next(iter(offer.candidates.values()))).rotate(90).save(mine, quality=95)
    page = visit("Picture")
    upload(page, mine)
    expect(page.locator("[role=tabpanel]:visible .vp-picture img")).to_be_visible()
    page.get_by_role("tab", name="Property", exact=True).click()
    panel = page.locator("[role=tabpanel]:visible")
    expect(panel.locator(".vp-picture img")).to_have_attribute("src", re.compile("mine"))  # it was checked
    panel.get_by_role("button", name="Find neighbours").click()
    expect(page.locator("#property-found .vp-title")).to_contain_text("Nearest to mine by")
    assert offer.settings.clip is not None
    name = offer.settings.clip.analyses.properties[0].property
    shown = page.locator("#property-found .vp-title").inner_text()
    label = shown.partition("“")[2].rstrip("”")
    assert label in study.properties and (name not in study.properties or label == name)
    clip, index = openclip.load(study.checkpoint, device="cpu"), neighbours.open_index(study.index)
    search = analyses.by_property(study.labels, study.name, "mine", label)
    table = analyses.neighbours(clip, index, study.name, [search], {"mine": open_rgb(mine)}, 4)
    names = page.locator("#property-found .vp-name").all_inner_texts()
    assert names == [f"{rank}. {image}" for rank, image in zip(table["rank"], table["image_id"], strict=True)]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "config/config.yaml", "results/small/clip/clip-large/labels.parquet"]
)
def test_files_of_the_machine_are_not_handed_out(app: App, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{app.url}/gradio_api/file={path}", timeout=10)
    assert refused.value.code in (403, 404)
