"""Each page in headless Chromium, every other host out of reach: no error, no failed request, and it fits a telephone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
TELEPHONE = 360
# WCAG 2.2, levels A and AA, and what axe holds to be good practice.
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
INK = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all that is different by night


@contextmanager
def opened(browser: Browser, url: str, address: str, *, width: int = 1280, scheme: str = "light") -> Iterator[tuple[Page, list[str]]]:
    """The page, and what went wrong with it so far."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    troubles: list[str] = []
    page = context.new_page()
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith((address, "data:", "blob:")) else route.abort())
    page.on("console", lambda message: troubles.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    page.on("response", lambda response: troubles.append(f"{response.status}: {response.url}") if response.status >= 400 else None)
    page.goto(url, wait_until="networkidle")
    try:
        yield page, troubles
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_trouble_and_fits_a_telephone(browser: Browser, address: str, page_name: str, scheme: str) -> None:
    with opened(browser, f"{address}/{page_name}", address, width=TELEPHONE, scheme=scheme) as (page, troubles):
        assert troubles == []
        if page_name == "index.html":  # it only forwards
            return
        if page_name != "404.html":  # it takes the system's colors without the theme
            assert page.evaluate("document.documentElement.dataset.theme") == scheme
        wide = """[...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 &&
            !e.closest('.math-scroll, pre, .pst-scrollable-table-container, .katex-mathml')).slice(0, 5).map(e => e.outerHTML.slice(0, 150))"""
        assert page.evaluate("document.scrollingElement.scrollWidth") <= TELEPHONE, page.evaluate(wide)


@pytest.mark.parametrize("kind", ["http", "file"])
def test_a_page_opens_without_trouble_on_a_desk(browser: Browser, site: Path, address: str, page_name: str, kind: str) -> None:
    start = address if kind == "http" else site.as_uri()
    with opened(browser, f"{start}/{page_name}", start) as (page, troubles):
        assert troubles == []
        assert page.title()


def test_wide_equations_scroll_by_keyboard_and_narrow_ones_are_no_stop(browser: Browser, address: str, page_name: str) -> None:
    with opened(browser, f"{address}/{page_name}", address, width=TELEPHONE) as (page, _):
        page.evaluate("document.fonts.ready")
        wrong = page.evaluate(
            """[...document.querySelectorAll('.math-scroll')].filter(box => {
                const wide = box.scrollWidth > box.clientWidth + 1;
                return wide !== (box.tabIndex === 0) || (wide && !box.getAttribute('aria-label'));
            }).map(box => box.textContent.slice(0, 80))"""
        )
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, address: str, page_name: str, scheme: str) -> None:
    if page_name == "index.html":  # it only forwards
        return
    with opened(browser, f"{address}/{page_name}", address, scheme=scheme) as (page, _):
        # A formula inherits the ink and the ground of its line, and its insides, hidden from screen readers, would take axe most of a minute.
        rules = AXE_RULES if scheme == "light" else INK
        violations = Axe().run(page, context={"exclude": [[".katex"]]}, options={"runOnly": rules}).response["violations"]
        found = [(violation["id"], [node["html"][:150] for node in violation["nodes"]][:5]) for violation in violations]
        assert found == []
