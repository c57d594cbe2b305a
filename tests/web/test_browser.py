"""The pages in a real Chromium: no script, no foreign request, nothing cut off, readable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.certificates.world import COFFEE, INSULIN, WATCH
from tests.web.conftest import Site

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("TRACEMARK_CHROMIUM") or next(
    filter(None, map(shutil.which, NAMES)), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NO CHROMIUM: the pages were NOT looked at in a browser (apt-get install chromium)",
)
PATHS = [COFFEE, INSULIN, WATCH, "/", "/verify", "/01/09521301000014/21/NONE", "/01/123"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

CONTRAST = """
() => {
  const channel = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 };
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return rgb(getComputedStyle(document.body).backgroundColor);
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || node.getClientRects().length === 0) continue;
    const style = getComputedStyle(node);
    const pair = [light(rgb(style.color)), light(behind(node))].sort((a, b) => b - a);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    const large = parseFloat(style.fontSize) >= 24
      || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push([node.outerHTML.slice(0, 120), ratio]);
  }
  return poor;
}
"""
"""WCAG 2.2 §1.4.3 for every visible text: 4.5 to 1, 3 to 1 for large text."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Opens a page of the site and fails the test for errors and requests elsewhere."""
    contexts: list[Any] = []
    wrong: list[str] = []
    host = urlsplit(site.url).netloc

    def open_(path: str, **options: Any) -> Any:
        options = {"java_script_enabled": False, "locale": "en"} | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on(
            "console",
            lambda m: (
                wrong.append(f"console: {m.text}")
                if m.type == "error" and "Failed to load resource" not in m.text
                else None
            ),
        )
        page.on(
            "request",
            lambda r: (
                wrong.append(f"request to {r.url}")
                if urlsplit(r.url).netloc not in (host, "")
                else None
            ),
        )
        page.goto(site.url + path)
        assert context.cookies() == []
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.parametrize("path", [COFFEE, INSULIN, WATCH])
def test_the_verdict_shows_without_javascript_on_the_first_screen(
    open_page: Callable[..., Any], path: str
) -> None:
    page = open_page(path, viewport={"width": 360, "height": 740})
    heading = page.locator("h1")
    assert heading.inner_text() == "The record of this product is genuine"
    box = heading.bounding_box()
    assert box["y"] + box["height"] < 200
    compare = page.locator("#compare").bounding_box()
    assert compare["y"] < 740


@pytest.mark.parametrize(
    ("path", "language"),
    [*((path, "ar") for path in PATHS), *((COFFEE, language) for language in ("en", "de", "zh"))],
)
def test_nothing_is_cut_off_at_320_pixels(
    open_page: Callable[..., Any], path: str, language: str
) -> None:
    """WCAG 2.2 §1.4.10: no scrolling in two directions at 320 CSS pixels."""
    page = open_page(
        path, viewport={"width": 320, "height": 640}, locale=language, java_script_enabled=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(
    open_page: Callable[..., Any], path: str, scheme: str
) -> None:
    page = open_page(path, color_scheme=scheme, java_script_enabled=True)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(CONTRAST) == []


def test_targets_are_large_enough_to_touch(open_page: Callable[..., Any]) -> None:
    """WCAG 2.2 §2.5.8: at least 24 by 24 CSS pixels for what stands alone."""
    page = open_page("/", viewport={"width": 360, "height": 740}, java_script_enabled=True)
    for locator in (page.locator("button"), page.locator("nav a"), page.locator("input:visible")):
        for box in (item.bounding_box() for item in locator.all()):
            assert box["height"] >= 24
            assert box["width"] >= 24


def test_a_typed_code_finds_its_page(open_page: Callable[..., Any]) -> None:
    page = open_page("/")
    page.fill("#code", "(01)09521301000014(21)MC26-0087")
    page.click("button")
    assert page.url.endswith(WATCH)
    assert page.locator("h1").inner_text() == "The record of this product is genuine"
    page.click("text=Deutsch")
    assert page.locator("h1").inner_text() == "Der Eintrag zu diesem Produkt ist echt"


def test_a_certificate_file_is_checked_without_javascript(
    open_page: Callable[..., Any], site: Site, tmp_path: Path
) -> None:
    with site.client() as client:
        found = client.get(WATCH, headers={"Accept": "application/json"}).json()
        text = client.get(found["certificates"][0]["href"]).text
    file = tmp_path / "watch.json"
    file.write_text(text)
    page = open_page("/verify")
    page.set_input_files("#file", str(file))
    page.click("button")
    assert page.locator("h1").inner_text() == "This certificate is valid"
    file.write_text(text.replace("Clairmont", "Clairmond", 1))
    page.set_input_files("#file", str(file))
    page.click("button")
    assert page.locator("h1").inner_text() == "This certificate cannot be trusted"


def test_the_details_open_and_print(open_page: Callable[..., Any]) -> None:
    page = open_page(COFFEE)
    checks = page.locator(".checks li")
    assert checks.count() == 8
    assert not checks.first.is_visible()
    page.click("summary")
    assert checks.first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("h1").is_visible()
    assert not page.locator("nav").is_visible()
