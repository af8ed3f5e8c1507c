"""What makes reading pleasant: search by an equation's name, a place that is kept, a way on, and pages that print."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from paths import ROOT
from playwright.sync_api import Browser, Page

from pdf import one_page, reading_order

pytestmark = pytest.mark.browser


def search(page: Page, start: str, words: str) -> list[str]:
    page.goto(f"{start}/search.html?q={words}")
    page.locator("#search-results .search-summary", has_text="finished").wait_for()
    return [str(link.get_attribute("href")) for link in page.locator("#search-results ul.search li > a").all()]


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_the_search_finds_equations_by_name_and_words(browser: Browser, site: Path, address: str, scheme: str) -> None:
    page = browser.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    start = address if scheme == "http" else site.as_uri()
    assert search(page, start, "soft-v")[0] == "chapters/03_value_iteration.html#equation-soft-v"
    assert any("01_inference" in link for link in search(page, start, "Viterbi"))
    assert troubles == []
    page.close()


def test_ctrl_k_leads_to_the_search(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/chapters/01_inference.html", wait_until="networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("soft-v")
    page.keyboard.press("Enter")
    page.locator("#search-results a", has_text="soft-v").first.wait_for()
    page.close()


def test_the_place_and_the_progress_are_kept_in_the_browser_only(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto(f"{address}/chapters/05_max_entropy.html", wait_until="networkidle")
    page.locator("section[id] > h2").nth(2).scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.querySelectorAll('section[id] > h2')[2].offsetTop)")
    section = page.evaluate("document.querySelectorAll('section[id] > h2')[2].parentElement.id")
    page.locator(".bd-links .read-mark").wait_for()
    page.goto(f"{address}/chapters/00_preface.html")
    go_on = page.get_by_role("link", name="Go on reading: 5. ")
    assert (go_on.get_attribute("href") or "").endswith(f"/chapters/05_max_entropy.html#{section}")
    assert page.locator(".bd-links .read-mark").count() == 1
    go_on.click()
    page.wait_for_url("**/05_max_entropy.html#*")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.locator(".bd-links .read-mark", has_text="✓").wait_for()
    assert set(sent) == {"GET"} and context.cookies() == []
    page.evaluate("localStorage.setItem('soft-optimality', '{broken')")
    page.goto(f"{address}/chapters/00_preface.html", wait_until="networkidle")
    assert page.locator(".book-place a").count() == 0
    context.close()


def test_pages_lead_on_and_back_and_code_can_be_copied(site: Path) -> None:
    pages = [name for _, name in reading_order()]
    for before, name, after in zip([None, *pages], pages, [*pages[1:], None], strict=False):
        soup = BeautifulSoup((site / f"{name}.html").read_text("utf8"), "html.parser")
        for kind, other in (("left-prev", before), ("right-next", after)):
            link = soup.select_one(f".prev-next-footer a.{kind}")
            assert (link is None) == (other is None)
            assert link is None or ((site / name).parent / str(link["href"])).resolve() == (site / f"{other}.html").resolve()
    script = next((site / "_static").glob("all.*.js")).read_text("utf8")
    assert "ClipboardJS" in script


def test_each_page_says_what_it_is_and_asks_no_absolute_address(site: Path) -> None:
    for _, name in reading_order():
        soup = BeautifulSoup((site / f"{name}.html").read_text("utf8"), "html.parser")
        said = {str(tag["property"]): str(tag["content"]) for tag in soup.select("meta[property]")}
        assert said["og:title"] and said["og:description"] and "og:image" not in said and "og:url" not in said
    assert not (site / "sitemap.xml").exists() or "html_baseurl" in (ROOT / "_config.yml").read_text("utf8")


def test_a_page_prints_with_its_title_and_without_its_buttons(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/chapters/04_optimism.html", wait_until="networkidle")
    page.emulate_media(media="print")
    assert page.locator("article h1").is_visible()
    assert not page.locator(".launch").is_visible() and not page.locator(".bd-sidebar-primary").is_visible()
    page.close()


def test_the_printed_book_has_every_page_each_picture_and_links_that_lead_within_it(site: Path) -> None:
    soup = BeautifulSoup(one_page(site), "html.parser")
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(soup.select("article")) == len(reading_order()) and len(ids) == len(set(ids))
    assert [tag["href"] for tag in soup.select("a[href^='#']") if str(tag["href"])[1:] not in set(ids)] == []
    assert all((site / str(tag["src"])).is_file() for tag in soup.select("img"))
    explorers = soup.find_all(lambda tag: tag.name.startswith("so-"))
    assert explorers and all(tag.select_one("figure svg") and tag.select_one("figcaption").get_text() for tag in explorers)
    assert not soup.select("script")


@pytest.fixture
def configured(tmp_path: Path):
    """A small book that knows its repository and its address."""

    def build(**options: object) -> Path:
        source = tmp_path / "source"
        source.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A chapter\n\nIts first words.")])
        nbformat.write(notebook, source / "index.ipynb")
        settings = {"extensions": ["myst_nb", "book_math", "book_pages"], "html_theme": "sphinx_book_theme", "nb_execution_mode": "off"}
        settings |= {"templates_path": [str(ROOT / "book_ext" / "templates")], **options}
        (source / "conf.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()), "utf8")
        # In a process of its own: MyST-NB leaves its parsers behind in Sphinx's defaults.
        command = [sys.executable, "-m", "sphinx", "-q", str(source), str(tmp_path / "out")]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "book_ext")}, capture_output=True)
        return tmp_path / "out"

    return build


def test_binder_colab_and_previews_need_one_setting_each(configured) -> None:
    repository = "https://github.com/somebody/soft-optimality"
    out = configured(html_theme_options={"repository_url": repository}, html_baseurl="https://somebody.example/book/")
    soup = BeautifulSoup((out / "index.html").read_text("utf8"), "html.parser")
    links = {link.get_text(): link["href"] for link in soup.select(".launch a")}
    assert links["Binder"] == "https://mybinder.org/v2/gh/somebody/soft-optimality/main?urlpath=lab/tree/index.ipynb"
    assert links["Colab"] == "https://colab.research.google.com/github/somebody/soft-optimality/blob/main/index.ipynb"
    assert links["Run in the browser"] == "lite/lab/index.html?path=index.ipynb" and (out / links["Download"]).is_file()
    assert soup.select_one(".launch code").get_text() == f"%pip install -q git+{repository}@main"
    assert soup.select_one('meta[property="og:url"]')["content"] == "https://somebody.example/book/index.html"
    assert "<loc>https://somebody.example/book/index.html</loc>" in (out / "sitemap.xml").read_text("utf8")
    assert 'href="https://somebody.example/book/"' in (out / "404.html").read_text("utf8")


def test_without_the_setting_there_is_no_button_that_leads_nowhere(configured) -> None:
    soup = BeautifulSoup((configured() / "index.html").read_text("utf8"), "html.parser")
    assert [link.get_text() for link in soup.select(".launch a")] == ["Run in the browser", "Download"]
