"""The application and Chromium for the whole session, and visits to it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from serving import WIDE, App, Visit, serving


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with serving(tmp_path_factory.mktemp("run")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def inside(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the run's folder while tests of the module run, where its relative paths start."""
    if shutil.which("chromium") is None:  # they are skipped
        yield
        return
    running: App = request.getfixturevalue("app")
    with contextlib.chdir(running.root):
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None  # else the test is skipped
    expect.set_options(timeout=60_000)  # the first answers wait for models to load
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(app: App, chromium: Browser) -> Iterator[Visit]:
    """Open the page as a new visitor; in the end nothing was asked of any other machine, nothing broke."""
    visitors: list[BrowserContext] = []
    asked: list[str] = []
    broken: list[str] = []

    def opened(tab: str | None, size: dict[str, int] = WIDE) -> Page:
        context = chromium.new_context(viewport=size, accept_downloads=True)  # type: ignore[arg-type]
        visitors.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)

        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.goto(app.url)
        if tab is not None:
            page.get_by_role("tab", name=tab, exact=True).click()
        return page

    yield opened
    for context in visitors:
        context.close()
    outside = [url for url in asked if not url.startswith((app.url, "data:", "blob:"))]
    assert asked and not outside
    assert not broken
    assert "Traceback" not in app.log.read_text()
