"""Every tab once for real: what the browser shows is what the library answers."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from serving import NARROW, App, Visit

from vitpeel import activations, caption_tables, heads, models
from vitpeel.app import results
from vitpeel.app.results import Offer, Study
from vitpeel.clip import analyses, neighbours
from vitpeel.clip.analyses import Search
from vitpeel.clip.neighbours import Measure
from vitpeel.config.clip import AnalysisSettings
from vitpeel.datasets.pictures import Picture, open_rgb
from vitpeel.models import Model, openclip
from vitpeel.models.openclip import Clip
from vitpeel.sweep import unedited

pytestmark = pytest.mark.needs("chromium")

TABS = ("Property", "Topic", "Contrast", "Picture", "Text", "Peel")


@pytest.fixture(scope="module")
def offer(app: App) -> Offer:
    return results.read(app.settings)


@pytest.fixture(scope="module")
def clips(offer: Offer) -> dict[str, Clip]:
    return {name: openclip.load(study.checkpoint, device="cpu") for name, study in offer.studies.items()}


@pytest.fixture(scope="module")
def captioner(app: App) -> Model:
    chosen = app.settings.model
    return models.load(chosen.kind, chosen.checkpoint, prompt=chosen.prompt, device="cpu")


def answer(
    study: Study, clip: Clip, search: Search, pictures: dict[str, Image.Image], measure: Measure
) -> list[str]:
    """What a tab should show: "1. ordinary-023" and so on, each with its score."""
    index = neighbours.open_index(study.index)
    table = analyses.neighbours(clip, index, study.name, [search], pictures, 4, measure)
    return [
        f"{rank}. {name} {score:.3f}"
        for rank, name, score in zip(table["rank"], table["image_id"], table["score"], strict=True)
    ]


def panel(page: Page) -> Locator:
    """The tab that is open."""
    return page.locator("[role=tabpanel]:visible")


def choose(page: Page, label: str, option: str | re.Pattern[str]) -> None:
    """Choose from a list of the open tab, or from the model's."""
    own = panel(page).get_by_label(label, exact=True)
    (own if own.count() else page.get_by_label(label)).click()
    page.get_by_role("option", name=option).click()
    if label == "Layer":  # its heads are those to choose from now
        expect(panel(page).get_by_text(f"Layer {option}, head")).to_be_visible()


def example(page: Page, number: int) -> None:
    """Click on one of the run's pictures and wait until it is there."""
    before = panel(page).locator(".vp-picture img").first.get_attribute("src")
    panel(page).locator(".vp-examples button").nth(number).click()
    shown = panel(page).locator(".vp-picture img").first
    if number:
        expect(shown).not_to_have_attribute("src", before or "")


def press(page: Page, name: str) -> None:
    panel(page).get_by_role("button", name=name, exact=True).click()


def cards(page: Page, where: str) -> list[str]:
    """Names and words of the pictures of a result."""
    expect(page.locator(f"{where} .vp-card").first).to_be_visible()
    found = page.locator(f"{where} .vp-card").all()
    return [" ".join(card.inner_text().split()) for card in found]


def downloaded(page: Page, name: str, folder: Path) -> Path:
    """The file behind a download button of the open tab."""
    with page.expect_download() as waiting:
        press(page, name)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_pictures_nearest_by_a_property(
    visit: Visit, offer: Offer, clips: dict[str, Clip], tmp_path: Path
) -> None:
    page = visit("Property")
    study, name = offer.studies["clip-large"], offer.examples[2]
    label = sorted(study.properties, key=lambda one: len(study.properties[one]))[-1]
    example(page, 2)
    choose(page, "Property", re.compile(rf"^(✓\s*)?{label} \("))
    press(page, "Find neighbours")
    image = open_rgb(offer.pictures[name])
    search = analyses.by_property(study.labels, study.name, name, label)
    assert len(search.places) > 1
    expect(page.locator("#property-found .vp-title")).to_have_text(f"Nearest to {name} by “{label}”")
    expected = answer(study, clips[study.name], search, {name: image}, "cosine")
    assert cards(page, "#property-found") == expected
    foot = page.locator("#property-found .vp-foot").inner_text()
    assert foot.startswith("run small · checkpoint resources/demo/clip-large · 40 pictures")
    assert "not the paper's checkpoint" in foot
    with downloaded(page, "Neighbours (CSV)", tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert [f"{row['rank']}. {row['image_id']} {float(row['score']):.3f}" for row in rows] == expected
    with Image.open(downloaded(page, "Figure (PNG)", tmp_path)) as figure:
        assert figure.format == "PNG" and figure.width == 2000


def test_where_a_head_sees_a_text(visit: Visit, offer: Offer, clips: dict[str, Clip], tmp_path: Path) -> None:
    page = visit("Topic")
    study, name = offer.studies["clip-large"], offer.examples[1]
    example(page, 1)
    panel(page).get_by_label("Text", exact=True).fill("a photo of a cactus")
    choose(page, "Layer", "10")
    choose(page, "Head and its label", re.compile(r"^3 ·"))
    expect(panel(page).get_by_text(f"Layer 10, head 3 of clip-large: {study.label((10, 3))}")).to_be_visible()
    press(page, "Draw the map")
    expect(page.locator("#topic-found .vp-title")).to_have_text(f"Where in {name}: “a photo of a cactus”")
    sight = analyses.topic(study.labels, study.name, [name], "a photo of a cactus", (10, 3))
    found = analyses.maps(clips[study.name], study.name, [sight], {name: open_rgb(offer.pictures[name])})
    rows = pd.read_csv(downloaded(page, "Map (CSV)", tmp_path))
    np.testing.assert_allclose(rows["value"], found.maps[0].ravel(), rtol=1e-4)
    assert set(rows["heads"]) == {"L10.H3"}


def test_where_heads_see_one_text_rather_than_another(
    visit: Visit, offer: Offer, clips: dict[str, Clip], tmp_path: Path
) -> None:
    page = visit("Contrast")
    study = offer.studies["clip-large"]
    name = asked_first(offer).contrasts[0].picture
    panel(page).get_by_label("Text", exact=True).fill("a photo of a giraffe")
    panel(page).get_by_label("Rather than").fill("the deep sea")
    press(page, "Draw the map")
    expect(page.locator("#contrast-found .vp-title")).to_contain_text(
        "“a photo of a giraffe” rather than “the deep sea”"
    )
    whole = pd.read_csv(downloaded(page, "Map (CSV)", tmp_path))
    some = study.places[5], study.places[-2]
    for layer, head in some:
        choose(page, "Heads", re.compile(rf"L{layer}\.H{head} "))
    page.keyboard.press("Escape")
    press(page, "Draw the map")
    expect(page.locator("#contrast-found .vp-muted")).to_contain_text("L")
    expect(page.locator("#contrast-found .vp-muted")).to_contain_text(f"heads L{some[0][0]}.H{some[0][1]} L")
    part = pd.read_csv(downloaded(page, "Map (CSV)", tmp_path))
    for places, rows in ((study.places, whole), (some, part)):
        sight = analyses.contrast(name, "a photo of a giraffe", "the deep sea", places)
        found = analyses.maps(clips[study.name], study.name, [sight], {name: open_rgb(offer.pictures[name])})
        np.testing.assert_allclose(rows["value"], found.maps[0].ravel(), rtol=1e-4)


def test_pictures_nearest_to_a_picture_by_one_head_of_another_model(
    visit: Visit, offer: Offer, clips: dict[str, Clip]
) -> None:
    page = visit("Picture")
    study, name = offer.studies["clip-small"], offer.examples[3]
    choose(page, "CLIP model", "clip-small")
    expect(panel(page).get_by_text("of clip-small").first).to_be_visible()
    example(page, 3)
    choose(page, "Layer", "9")
    choose(page, "Head and its label", re.compile(r"^4 ·"))
    panel(page).get_by_label("Dot product").check()
    press(page, "Find neighbours")
    search = analyses.by_picture(study.labels, study.name, name, (9, 4))
    image = open_rgb(offer.pictures[name])
    expect(page.locator("#picture-found .vp-muted")).to_have_text("clip-small, dot product")
    assert cards(page, "#picture-found") == answer(study, clips[study.name], search, {name: image}, "dot")


def test_pictures_nearest_to_a_text_by_one_head(visit: Visit, offer: Offer, clips: dict[str, Clip]) -> None:
    page = visit("Text")
    study = offer.studies["clip-large"]
    panel(page).get_by_label("Text", exact=True).fill("something   green <b>")
    choose(page, "Layer", "11")
    choose(page, "Head and its label", re.compile(r"^(✓\s*)?2 ·"))
    press(page, "Find neighbours")
    # what a visitor writes stays text
    expect(page.locator("#text-found .vp-title")).to_contain_text(
        "Nearest to “something green <b>” by L11.H2"
    )
    search = analyses.by_text(study.labels, study.name, "something green <b>", (11, 2))
    assert cards(page, "#text-found") == answer(study, clips[study.name], search, {}, "cosine")
    panel(page).get_by_label("Text", exact=True).fill("   ")
    press(page, "Find neighbours")
    expect(page.get_by_text("Write a text first.")).to_be_visible()


def test_every_layer_and_the_heads_of_one(
    visit: Visit, app: App, offer: Offer, captioner: Model, tmp_path: Path
) -> None:
    page = visit("Peel")
    name = offer.examples[1]
    example(page, 1)
    press(page, "Peel")
    own, picture = app.settings.model.decoding, Picture(name, offer.pictures[name])
    depth = captioner.trunk.depth
    with torch.inference_mode():
        rows = activations.swept(captioner, [picture], [unedited(depth)], 1)
        said = caption_tables.caption(captioner, rows, [name], [unedited(depth)], own, 64)["caption"].tolist()
    last = page.locator("#peel-layer .vp-title")
    expect(last).to_have_text(f"Layer {depth - 1} of {depth - 1}: “{said[-1]}”", timeout=60_000)
    table = pd.read_csv(downloaded(page, "Captions (CSV)", tmp_path), keep_default_na=False)
    assert table["caption"].tolist() == said and len(set(said)) > 3
    for kind, start in (("PNG", b"\x89PNG"), ("PDF", b"%PDF")):
        assert downloaded(page, f"Page ({kind})", tmp_path).read_bytes().startswith(start)
    picture_then = page.locator("#peel-layer .vp-card img").nth(1).get_attribute("src")
    box = panel(page).locator("input[type=number]").first
    box.fill("4")
    box.press("Enter")
    expect(last).to_have_text(f"Layer 4 of {depth - 1}: “{said[4]}”")
    assert page.locator("#peel-layer .vp-card img").nth(1).get_attribute("src") != picture_then
    press(page, "Read each head of this layer")
    with torch.inference_mode():
        read = heads.plan(4, app.settings.heads.reading, (), depth)
        table = caption_tables.caption(
            captioner, heads.readings(captioner, [picture], read, 1), [name], read, own, 64
        )
    rows = heads.fig6(table, [name], 4, app.settings.heads.reading)
    expected = [f"Head {row['head']} {row['caption']}" for _, row in rows[rows["part"] == "head"].iterrows()]
    assert cards(page, "#peel-heads") == expected and len(set(expected)) > 1


def test_two_visitors_at_once_get_their_own_answers(
    visit: Visit, offer: Offer, clips: dict[str, Clip]
) -> None:
    study = offer.studies["clip-large"]
    pages = {offer.examples[1]: visit("Picture"), offer.examples[4]: visit("Picture")}
    for name, page in pages.items():
        example(page, offer.examples.index(name))
    for page in pages.values():  # neither waits for the other
        press(page, "Find neighbours")
    found = {}
    place = asked_first(offer).pictures[0].head
    for name, page in pages.items():
        expect(page.locator("#picture-found .vp-title")).to_contain_text(f"Nearest to {name}")
        found[name] = cards(page, "#picture-found")
        search = analyses.by_picture(study.labels, study.name, name, place)
        image = open_rgb(offer.pictures[name])
        assert found[name] == answer(study, clips[study.name], search, {name: image}, "cosine")
    assert len(set(map(tuple, found.values()))) == 2
    both = list(pages.values())
    for page in both:
        page.get_by_role("tab", name="Peel", exact=True).click()
    for page in both:
        press(page, "Peel")
    for name, page in pages.items():  # the picture came along to the other tab
        expect(page.locator("#peel-layer .vp-name").first).to_have_text(name, timeout=60_000)
    said = [page.locator("#peel-layer .vp-title").inner_text() for page in both]
    assert said[0] != said[1]


def test_a_narrow_screen_does_not_scroll_sideways(visit: Visit) -> None:
    page = visit(None, NARROW)
    buttons = {"Topic": "Draw the map", "Contrast": "Draw the map", "Peel": "Peel"}
    page.get_by_label("More tabs").wait_for()
    for tab in TABS:
        shown = page.get_by_role("tab", name=tab, exact=True)
        if shown.count():
            shown.click()
        else:  # put away, since it does not fit
            page.get_by_label("More tabs").click()
            page.locator(".overflow-dropdown").get_by_text(tab, exact=True).click()
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        press(page, buttons.get(tab, "Find neighbours"))
        expect(panel(page).locator(".vp-card").first).to_be_visible(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], tab


def asked_first(offer: Offer) -> AnalysisSettings:
    assert offer.settings.clip is not None
    return offer.settings.clip.analyses
