"""What the theme leaves to be done on a page: dropdowns without script, images that keep their place while they load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)


class details(nodes.General, nodes.Element):
    """An admonition that opens and closes; its first child is the summary."""


class summary(nodes.General, nodes.TextElement):
    pass


def visit_details(writer: Any, node: nodes.Element) -> None:
    is_open = {"open": "open"} if "open" in node["classes"] else {}
    writer.body.append(writer.starttag(node, "details", CLASS="admonition", **is_open))


def visit_summary(writer: Any, node: nodes.Element) -> None:
    writer.body.append('<summary class="admonition-title">')


def fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """`:class: dropdown` makes an admonition a <details>: it works before any script, by keyboard, and in print."""
    if app.builder.format != "html":
        return
    for node in list(doctree.findall(lambda n: isinstance(n, nodes.Admonition) and "dropdown" in n["classes"])):
        if isinstance(node, nodes.admonition):
            title, *body = node.children
            node.replace_self(details("", summary("", "", *title.children), *body, **node.attributes))
        else:  # its title is written by the directive's own visitor, out of our reach
            log.warning("only {admonition} can be a dropdown, not {%s}", node.tagname, location=node)


def unique_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """sphinx-proof gives every theorem's body, and every proof, the same id; nothing links there."""
    for node in doctree.findall(nodes.Element):
        node["ids"] = [name for name in node["ids"] if name not in ("proof-content", "proof")]


def size_images(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """width and height on each raster image, so that the text below does not jump when it arrives."""
    sources = {name: Path(app.srcdir) / source for source, name in app.builder.images.items()}

    def sized(match: re.Match[str]) -> str:
        source = sources.get(match["name"])
        if source is None or source.suffix == ".svg" or " height=" in match[0]:
            return match[0]
        with Image.open(source) as image:
            width, height = image.size
        return match[0].replace("<img ", f'<img width="{width}" height="{height}" ', 1)

    if "body" in context:
        context["body"] = re.sub(r'<img [^>]*src="[^"]*_images/(?P<name>[^"]+)"[^>]*>', sized, context["body"])


# What Sphinx and docutils write, and what a screen reader can use in its place.
FOR_SCREEN_READERS = {
    '<th class="head"><p></p></th>': "<td></td>",  # the empty corner of a table is no heading
    ' role="doc-biblioentry"': "",  # deprecated, and not for a <div>
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


def mend_roles(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    for old, new in FOR_SCREEN_READERS.items():
        context["body"] = context.get("body", "").replace(old, new)


def launch_links(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Where a notebook can be run: in the browser always, at Binder and Colab once `repository_url` says where they find it."""
    if context.get("page_source_suffix") != ".ipynb":
        return
    path = f"{pagename}.ipynb"
    links = [{"text": "Run in the browser", "url": f"{context['pathto']('lite/lab/index.html', 1)}?path={Path(path).name}", "id": "launch-lite"}]
    options = app.config.html_theme_options
    repository, branch = options.get("repository_url", "").rstrip("/"), options.get("repository_branch") or "main"
    if repository:
        name = repository.removeprefix("https://github.com/")
        if name == repository:
            log.warning("repository_url: Binder and Colab open https://github.com/OWNER/NAME, not %s", repository)
        links.append({"text": "Binder", "url": f"https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/{path}"})
        links.append({"text": "Colab", "url": f"https://colab.research.google.com/github/{name}/blob/{branch}/{path}"})
        context["colab_cell"] = f"%pip install -q git+{repository}@{branch}"
    links.append({"text": "Download", "url": context["pathto"](f"_sources/{path}", 1), "download": "yes"})
    context["launch"] = links


def preview(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """The first paragraph, and, where the site knows its own address, the first figure."""
    if doctree is not None:
        first = next(iter(doctree.findall(nodes.paragraph)), None)
        context["summary"] = " ".join(first.astext().split())[:200] if first else ""
        figure = re.search(r'src="[^"]*(_images/[^"]+\.png)"', context.get("body", ""))
        if app.config.html_baseurl and figure:
            context["preview"] = f"{app.config.html_baseurl.rstrip('/')}/{figure[1]}"


def page_not_found(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    if app.config.html_theme == "sphinx_book_theme":  # not in a test of a few lines
        yield "404", {"home": app.config.html_baseurl or "index.html"}, "404.html"


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """For search engines; only a site that knows its own address (html_baseurl) can write one."""
    if exception or app.builder.name != "html" or not app.config.html_baseurl:
        return
    pages = [f"  <url><loc>{app.config.html_baseurl.rstrip('/')}/{name}.html</loc></url>\n" for name in sorted(app.env.found_docs)]
    head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    (Path(app.outdir) / "sitemap.xml").write_text(f"{head}{''.join(pages)}</urlset>\n", "utf8")


def load_explorers(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """The explorers' scripts and their style, on the pages that have one."""
    body = context.get("body", "")
    if "<so-" in body:
        app.add_css_file("explorers.css")  # within this event, for this page
        app.add_js_file("explorers.js", defer="defer")
        if "<so-learning" in body:
            app.add_js_file("learning.js", defer="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(details, html=(visit_details, lambda writer, node: writer.body.append("</details>\n")))
    app.add_node(summary, html=(visit_summary, lambda writer, node: writer.body.append("</summary>\n")))
    app.connect("doctree-resolved", fold)
    app.connect("doctree-resolved", unique_ids)
    app.connect("html-page-context", size_images)
    app.connect("html-page-context", mend_roles)
    app.connect("html-page-context", launch_links)
    app.connect("html-page-context", preview)
    app.connect("html-collect-pages", page_not_found)
    app.connect("build-finished", write_sitemap)
    app.connect("html-page-context", load_explorers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
