r"""Mathematics set while the book is built: HTML and MathML in the page, no script in the browser, no other host.

KaTeX runs in V8, which the wheel mini-racer carries; its script, style sheet and fonts come from the wheel djangocms-katex.
A formula that KaTeX cannot set is a warning that names the place, and warnings fail the build.
Write formulas without macros of your own: the live notebooks set the same source with MathJax.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.application import Sphinx
from sphinx.domains import ObjType
from sphinx.domains.math import MathDomain
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

KATEX = Path(str(distribution("djangocms-katex").locate_file("djangocms_katex/static/djangocms_katex/vendor/katex")))
LABEL = re.compile(r"\\label\{([^}]*)\}")
NUMBERED = re.compile(r"\\(begin|end)\{(align|alignat|equation|gather)\}")
PUNCTUATION = re.compile(r"[.,;:?!)\u2019]+")
log = logging.getLogger(__name__)


@functools.cache
def engine() -> MiniRacer:
    racer = MiniRacer()
    racer.eval("var self = this;" + (KATEX / "katex.min.js").read_text("utf8") + ";0")
    return racer


@functools.cache
def tex_to_html(tex: str, display: bool) -> str:
    # strict: what is not LaTeX, MathJax or a PDF may set otherwise.
    options = {"displayMode": display, "output": "htmlAndMathml", "throwOnError": True, "strict": "error"}
    html: str = engine().call("katex.renderToString", tex, options)
    # The TeX source is kept by KaTeX for copying; in a page full of formulas it is a fifth of the weight.
    return re.sub(r"<annotation .*?</annotation>", "", html, flags=re.S)


def render(writer: Any, node: nodes.Element, tex: str, display: bool) -> str:
    try:
        return tex_to_html(tex.strip(), display)
    except JSEvalException as error:
        log.warning("KaTeX cannot set %r: %s", tex, str(error).splitlines()[0].split("KaTeX parse error: ")[-1], location=node)
        return f"<code>{writer.encode(tex)}</code>"


def visit_inline(writer: Any, node: nodes.math) -> None:
    formula = f'<span class="math">{render(writer, node, node.astext(), False)}</span>'
    tail = node.get("tail")
    writer.body.append(f'<span class="math-tail">{formula}{tail}</span>' if tail else formula)
    raise nodes.SkipNode


def visit_display(writer: Any, node: nodes.math_block) -> None:
    tex = LABEL.sub("", node.astext())
    if r"\\" in tex and r"\begin{" not in tex:
        log.warning(r"a line break \\ does nothing outside an environment such as aligned: %r", tex, location=node)
    if node.get("nowrap"):  # an amsmath environment: Sphinx gives the number, so KaTeX must not
        tex = NUMBERED.sub(r"\\\1{\2*}", tex)
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    writer.body.append(f'<div class="math-scroll">{render(writer, node, tex, True)}</div>')
    if node["number"]:
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append("</div>\n")
    raise nodes.SkipNode


class NamedEquations(MathDomain):
    """Labelled equations as objects: the search finds them by name, and other books can refer to them."""

    object_types = {"equation": ObjType("equation", "eq", "numref")}  # noqa: RUF012

    def get_objects(self) -> Iterable[tuple[str, str, str, str, str, int]]:
        for name, (docname, _) in sorted(self.equations.items()):
            yield name, name, "equation", docname, nodes.make_id(f"equation-{name}"), 0  # before pages that have the words


def name_amsmath(app: Sphinx, doctree: nodes.document) -> None:
    r"""MyST labels a numbered amsmath environment with a random UUID: give it its \label, so that {eq} finds it and ids stay the same."""
    equations = app.env.get_domain("math").equations  # type: ignore[attr-defined]
    for node in doctree.findall(nodes.math_block):
        if "amsmath" not in node["classes"] or not node.get("label"):
            continue
        labels, old = LABEL.findall(node.astext()), node["label"]
        if len(labels) != 1:
            log.warning(r"an amsmath environment takes one \label; without one write it starred", location=node)
            continue
        new = labels[0]
        if new in equations:
            log.warning("duplicate label of equation %s, other instance in %s", new, equations[new][0], location=node)
        equations[new] = equations.pop(old)
        ids = {nodes.make_id(f"equation-{old}"): nodes.make_id(f"equation-{new}")}
        node["label"], node["ids"] = new, [ids.get(i, i) for i in node["ids"]]
        for target in node.parent.findall(nodes.target):
            if target.get("refid") in ids:
                target["refid"] = ids[target["refid"]]


def keep_punctuation(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """A full stop after a formula stays on the formula's line."""
    if app.builder.format != "html":
        return
    for node in list(doctree.findall(nodes.math)):
        after = node.next_node(descend=False, siblings=True)
        mark = PUNCTUATION.match(after.astext()) if isinstance(after, nodes.Text) else None
        if mark and len(node.astext()) < 30:  # a long formula may have to break
            node["tail"] = mark[0]
            after.parent.replace(after, nodes.Text(after.astext()[mark.end() :]))


def copy_katex(app: Sphinx) -> None:
    """The style sheet and the woff2 fonts; every browser that the theme supports reads woff2."""
    if app.builder.format != "html":
        return
    out = Path(app.outdir) / "_static" / "katex"
    (out / "fonts").mkdir(parents=True, exist_ok=True)
    css = (KATEX / "katex.min.css").read_text("utf8")
    (out / "katex.css").write_text(re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)', "", css), "utf8")
    for font in (KATEX / "fonts").glob("*.woff2"):
        shutil.copy(font, out / "fonts")


def add_style(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    # The list of contents repeats the formulas of headings, so look there too.
    if any('class="katex' in str(context.get(part, "")) for part in ("body", "toc", "title")):
        app.add_css_file("katex/katex.css")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_domain(NamedEquations, override=True)
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_display, None))
    app.connect("config-inited", lambda app, config: setattr(config, "html_math_renderer", "katex"))
    app.connect("builder-inited", copy_katex)
    app.connect("doctree-read", name_amsmath)
    app.connect("doctree-resolved", keep_punctuation)
    app.connect("html-page-context", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
