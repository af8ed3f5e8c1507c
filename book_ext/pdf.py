"""The whole book as one PDF: the built pages in reading order on one page without scripts, printed by Chromium.

Without scripts an explorer is the figure with a caption that stands inside it, and dropdowns are open.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).parents[1]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-pdf-header-footer"]
FLAGS += ["--generate-pdf-document-outline"]


STYLE = """
.bd-article-container { max-width: none !important; width: 100% }
article.bd-article { break-before: page; padding: 0 !important }
.title-page { text-align: center; padding-top: 35vh; break-after: page }
.book-title { font: 600 34pt/1.2 "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif }
.book-contents ul { list-style: none; padding: 0 }
.contents-title { font-size: 20pt }
.book-contents .part { font-weight: 650; margin-top: 1rem }
.bd-main, .bd-content { display: block !important }
"""


def reading_order() -> list[tuple[str | None, str]]:
    """(the part that begins here, page without suffix)"""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    order: list[tuple[str | None, str]] = [(None, toc["root"])]

    def add(entries: list[dict[str, list[dict[str, str]]]], caption: str | None) -> None:
        for entry in entries:
            order.append((caption, str(entry["file"])))
            caption = None
            add(entry.get("sections", []), None)  # type: ignore[arg-type]

    for part in toc["parts"]:
        add(part["chapters"], part["caption"])
    return order


def place(page: str, fragment: str) -> str:
    """One id for a place on a page: many pages have a `summary`."""
    return f"{page}--{fragment}".replace("/", "-") if fragment else page.replace("/", "-")


def article(site: Path, page: str, pages: set[str]) -> Tag:
    soup = BeautifulSoup((site / f"{page}.html").read_text("utf8"), "html.parser")
    body = soup.select_one("article.bd-article")
    if body is None:
        raise ValueError(f"{page}.html has no article")
    for tag in body.select(".headerlink, .launch, .copybtn, script"):
        tag.decompose()
    for tag in body.select("[id]"):
        tag["id"] = place(page, str(tag["id"]))
    body["id"] = place(page, "")
    folder = posixpath.dirname(page)
    for tag in body.select("a[href]"):
        url = urlsplit(str(tag["href"]))
        if url.scheme or url.netloc:
            continue
        target = posixpath.normpath(posixpath.join(folder, unquote(url.path))).removesuffix(".html") if url.path else page
        if target in pages:
            tag["href"] = "#" + place(target, unquote(url.fragment))
        else:
            del tag["href"]  # the search page, the index: not in a printed book
    for tag in body.select("[src]"):
        tag["src"] = posixpath.normpath(posixpath.join(folder, str(tag["src"])))
    for tag in body.find_all(re.compile("^so-")):
        tag["style"] = "min-height: 0"  # on a screen an explorer keeps room for its controls
    for tag in body.select("details"):
        tag["open"] = "open"
    return body


def one_page(site: Path) -> str:
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    order = reading_order()
    pages = {page for _, page in order}
    sheet = next((site / "_static").glob("all.*.css")).relative_to(site).as_posix()
    contents, articles = [], []
    for caption, page in order:
        body = article(site, page, pages)
        heading = body.select_one("h1")
        if caption:
            contents.append(f"<li class='part'>{caption}</li>")
        contents.append(f"<li><a href='#{place(page, '')}'>{heading.decode_contents() if heading else page}</a></li>")
        articles.append(str(body))
    return f"""<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{config["title"]}</title>
<link rel="stylesheet" href="{sheet}"><style>{STYLE}</style></head>
<body><div class="title-page"><p class="book-title">{config["title"]}</p><p>{config["author"]}, {config["copyright"]}</p></div>
<nav class="book-contents"><p class="contents-title">Contents</p><ul>{"".join(contents)}</ul></nav>
<main class="bd-main"><div class="bd-content"><div class="bd-article-container">{"".join(articles)}</div></div></main></body></html>"""


def print_book(site: Path, out: Path) -> None:
    text = one_page(site.resolve())
    source = site.resolve() / "whole-book.html"  # beside the pages, so that pictures and fonts are found
    out.parent.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    source.write_text(text, "utf8")
    try:
        with tempfile.TemporaryDirectory() as profile:
            command = [os.environ["CHROMIUM"], *FLAGS, f"--user-data-dir={profile}", f"--print-to-pdf={out.resolve()}", source.as_uri()]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    finally:
        source.unlink()
    if not out.exists():
        sys.exit(f"Chromium wrote no PDF:\n{done.stderr[-2000:]}")
    print(f"{out}  ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    print_book(Path(sys.argv[1]), Path(sys.argv[2]))
