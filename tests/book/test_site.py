"""The built pages as files: all there, every link leads somewhere, nothing from another host."""

import functools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from paths import ROOT

LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data", "embed": "src"}
# What a <link> of these kinds names, the browser does not fetch.
NOT_LOADED = {"canonical", "next", "prev", "index", "search", "author", "copyright", "license"}


@functools.cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf8"), "html.parser")


@functools.cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(str(tag["id"]) for tag in parsed(path).select("[id]"))


def is_foreign(url: str) -> bool:
    return bool(urlsplit(url).netloc) or urlsplit(url).scheme in ("http", "https", "ftp")


def contents() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


@pytest.mark.parametrize("name", contents())
def test_each_entry_of_the_contents_is_built_from_the_present_source(site: Path, name: str) -> None:
    page = site / f"{name}.html"
    sources = [source for source in (ROOT / f"{name}.md", ROOT / f"{name}.ipynb") if source.exists()]
    assert len(sources) == 1 and page.exists()
    assert page.stat().st_mtime >= sources[0].stat().st_mtime, "the source is newer than its page: run `make html`"


def test_every_chapter_is_in_the_contents() -> None:
    listed = set(contents())
    files = [*(ROOT / "chapters").glob("[0-9]*.*"), *(ROOT / "chapters" / "appendix").glob("*.md"), *(ROOT / "chapters" / "appendix").glob("*.ipynb")]
    assert {str(file.relative_to(ROOT).with_suffix("")) for file in files} <= listed


def test_internal_links_lead_to_a_page_and_a_place_in_it(site: Path, page_name: str) -> None:
    page, broken = site / page_name, []
    for tag in parsed(page).select("a[href]"):
        url = str(tag["href"])
        if urlsplit(url).scheme or url == "#":
            continue
        path, fragment = unquote(urlsplit(url).path), unquote(urlsplit(url).fragment)
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (fragment and target.suffix == ".html" and fragment not in anchors(target)):
            broken.append(url)
    assert broken == []


def test_nothing_is_loaded_from_another_host(site: Path, page_name: str) -> None:
    foreign = [
        str(tag)[:200]
        for name, attribute in LOADS.items()
        for tag in parsed(site / page_name).select(f"{name}[{attribute}]")
        if is_foreign(str(tag[attribute])) and not set(tag.get("rel") or ()) & NOT_LOADED
    ]
    assert foreign == []
    inline = " ".join(tag.get_text() for tag in parsed(site / page_name).select("script, style"))
    assert not re.search(r"unpkg|jsdelivr|cdnjs|googleapis|mathjax", inline, re.I)


def test_style_sheets_load_nothing_from_another_host(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        css = sheet.read_text("utf8")
        assert not re.search(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", css), sheet


def test_files_that_pages_load_exist(site: Path, page_name: str) -> None:
    page = site / page_name
    for name, attribute in LOADS.items():
        for tag in parsed(page).select(f"{name}[{attribute}]"):
            url = str(tag[attribute])
            if not is_foreign(url) and not url.startswith("data:") and not set(tag.get("rel") or ()) & NOT_LOADED:
                assert (page.parent / unquote(urlsplit(url).path)).is_file(), url


def test_ids_are_unique(site: Path, page_name: str) -> None:
    ids = [tag["id"] for tag in parsed(site / page_name).select("article [id]")]
    assert len(ids) == len(set(ids))


def test_images_have_words_and_a_size(site: Path, page_name: str) -> None:
    for image in parsed(site / page_name).select("article img"):
        assert image.get("alt"), image
        assert (image.get("width") and image.get("height")) or str(image["src"]).endswith(".svg"), image


def test_mathematics_is_set_in_the_page(site: Path, page_name: str) -> None:
    for formula in parsed(site / page_name).select("article .math"):
        assert formula.select_one("math") and formula.select_one(".katex-html"), formula
        assert not formula.select_one(".katex-error"), formula
