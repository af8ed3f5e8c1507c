"""What a page loads, made small once the book is built: one style sheet that holds only the rules that pages use, one deferred
script, and fonts that hold only the characters in use.  The theme ships 900 kB of style, script and icons for each page to load.

It reads the built pages, so it needs to know nothing of how the theme and the extensions put their tags there.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minify
import tinycss2
from fontTools import subset
from sphinx.application import Sphinx

SHEET = re.compile(r'\s*<link (?=[^>]*rel="stylesheet")[^>]*href="[^"]*?_static/([^"?]+)[^>]*>')
SCRIPT = re.compile(r'\s*<script [^>]*src="[^"]*?((?<=_static/)[^"?]+|searchindex\.js)[^>]*></script>')
PRELOAD = re.compile(r'\s*<link rel="preload" as="script"[^>]*>')
OPTIONS = re.compile(r"\s*<script>\s*DOCUMENTATION_OPTIONS\.[^<]*</script>")
CODE = re.compile(r'(?<=<div class="highlight"><pre)[^>]*>.*?</pre>', re.S)
WORD = re.compile(r"[A-Za-z_][\w-]*")
# Icons as script (the font has them too), tabs that no page has; and search, which only the search page does.
NOWHERE = {"scripts/fontawesome.js", "design-tabs.js"}
SEARCH = ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"]  # in the order in which they need each other


def needed(css: str, words: set[str]) -> str:
    """The style sheet without the rules that ask for a class or an id that occurs in no page and no script."""

    def possible(selector: str) -> bool:
        selector = re.sub(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)", "", selector)  # may hold alternatives
        return all(name.replace("\\", "") in words for name in re.findall(r"[.#]((?:\\.|[\w-])+)", selector))

    def kept(rules: list[Any]) -> Iterator[str]:
        for rule in rules:
            if rule.type == "qualified-rule":
                selectors = [s.strip() for s in re.split(r",(?![^(]*\))", tinycss2.serialize(rule.prelude)) if possible(s)]
                if selectors:
                    yield ",".join(selectors) + "{" + tinycss2.serialize(rule.content).strip() + "}"
            elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports", "layer") and rule.content:
                inner = "".join(kept(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)))
                if inner:
                    yield f"@{rule.lower_at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}"
            elif rule.type == "at-rule":
                yield rule.serialize()
            elif rule.type == "error":
                raise ValueError(f"a style sheet is broken at line {rule.source_line}: {rule.message}")

    return "".join(kept(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)))


def load_sheet(static: Path, name: str) -> str:
    """A style sheet with its imports in place and its addresses relative to the folder of static files."""

    def moved(url: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), url))

    def placed(match: re.Match[str]) -> str:
        url = match[1].strip("\"'")
        return match[0] if re.match(r"data:|#|https?:", url) else f'url("{moved(url)}")'

    first, *rest = re.split(r'@import (?:url\()?"([^"]+)"\)?;', (static / name).read_text("utf8"))
    own = [re.sub(r"url\(([^)]*)\)", placed, css) for css in (first, *rest[1::2])]
    return own[0] + "".join(load_sheet(static, moved(imported)) + css for imported, css in zip(rest[::2], own[1:], strict=True))


def write_named_by_content(static: Path, suffix: str, text: str) -> str:
    """A name that changes with the content: a browser keeps the file for as long as it is the same."""
    name = f"all.{hashlib.sha256(text.encode()).hexdigest()[:8]}{suffix}"
    (static / name).write_text(text, "utf8")
    return name


def trim_fonts(static: Path, characters: set[int]) -> None:
    """Fonts for mathematics and icons, down to what the book shows."""
    for path in sorted(static.rglob("*.woff2")):
        options = subset.Options(flavor="woff2", recalc_timestamp=False)
        font = subset.load_font(path, options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        subset.save_font(font, path, options)


def plain(code: str, styled: set[str]) -> str:
    """Highlighted code without the marks that change no colour: most of a page's code is such marks."""
    return re.sub(r'<span class="(\w+)">([^<]*)</span>', lambda mark: mark[0] if mark[1] in styled else mark[2], code)


# Tools that read our pages, tests among them, may expect what a browser can do without.
minify.config({"html-keep-document-tags": True, "html-keep-end-tags": True, "html-keep-quotes": True})


def shrink(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    static = Path(app.outdir) / "_static"
    pages = {path: path.read_text("utf8") for path in sorted(Path(app.outdir).rglob("*.html")) if static not in path.parents}
    sheets = dict.fromkeys(name for page in pages.values() for name in SHEET.findall(page))
    seeking = {name.removeprefix("_static/") for name in SEARCH}
    scripts = dict.fromkeys(name for page in pages.values() for name in SCRIPT.findall(page) if name not in NOWHERE | seeking)
    bundle = "\n;\n".join((static / name).read_text("utf8") for name in scripts)
    searching = (static / "searchtools.js").read_text("utf8")
    words = set(WORD.findall(" ".join([*pages.values(), bundle, searching])))
    css = needed("".join(load_sheet(static, name) for name in sheets), words)
    css = re.sub(r',\s*url\([^)]*\.ttf"?\)\s*format\("truetype"\)', "", css)  # every browser that the theme supports reads woff2
    # Icons are the style sheet's own characters.
    trim_fonts(static, {ord(character) for text in (css, *pages.values()) for character in text})
    sheet = write_named_by_content(static, ".css", minify.string("text/css", css))
    script = write_named_by_content(static, ".js", minify.string("application/javascript", bundle))
    ink = set(re.findall(r"\.highlight\s*\{[^}]*?(?<!-)color:\s*(#\w+)", css))
    # The style has a colour for operators; every third character is one, and code reads as well without it.
    rules = re.findall(r"\.highlight \.(\w+)\s*\{([^}]*)\}", css)
    styled = {name for name, rule in rules if rule.strip(" ;").removeprefix("color: ") not in ink} - {"o"}
    for path, page in pages.items():
        if not SHEET.search(page):  # one that only forwards, or stands on its own
            continue
        root = posixpath.relpath(app.outdir, path.parent.as_posix())
        page = OPTIONS.sub("", PRELOAD.sub("", SHEET.sub("", page)))
        page = SCRIPT.sub("", page)
        scripts_here = [f"{root}/_static/{script}"]
        if path.name == "search.html":
            scripts_here += [f"{root}/{name}" for name in SEARCH]
        tags = "".join(f'\n<script defer src="{address}"></script>' for address in scripts_here)
        page = page.replace("</title>", f'</title>\n<link rel="stylesheet" href="{root}/_static/{sheet}">{tags}', 1)
        page = CODE.sub(lambda code: plain(code[0], styled), page)
        path.write_text(minify.string("text/html", page), "utf8")
    remove_unused(static, {*sheets, *scripts, *NOWHERE})


def remove_unused(static: Path, merged: set[str]) -> None:
    for name in merged:
        (static / name).unlink(missing_ok=True)
    for path in [*static.rglob("*.map"), *static.rglob("*.ttf")]:
        path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", shrink, priority=950)  # after whatever else writes into the site
    return {"parallel_read_safe": True, "parallel_write_safe": True}
