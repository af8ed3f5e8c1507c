r"""The ledger: beside each labelled equation, whether it has been verified, and in the appendix how.

`chapters/appendix/ledger.json` is written by the tests under tests/equations (`make ledger`); a build only reads it. A row counts as long as the
equation's LaTeX is the one that its test was written for. The code that computed the two sides is shown in pages of its own, so that the
links work wherever the book is.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

# The labels of equations that assert nothing: they say what a symbol stands for. All others need a row.
DEFINITIONS = frozenset({"optimality-potential"})

PAGE = "chapters/appendix/ledger"
LIBRARY = Path("lib")
LABEL = re.compile(r"\\label\{([^}]*)\}")
log = logging.getLogger(__name__)


def fingerprint(tex: str) -> str:
    """Eight letters that change when the equation does; spaces, line ends and the label do not count."""
    return hashlib.sha256("".join(LABEL.sub("", tex).split()).encode("utf8")).hexdigest()[:8]


def read(root: Path, name: str) -> dict[str, Any]:
    path = root / "chapters" / "appendix" / name
    return json.loads(path.read_text("utf8")) if path.exists() else {}


# -- the mark beside an equation ------------------------------------------------------------------------------------------------------


WORDS = {"error": "worst error below {}", "violation": "violated by less than {}", "order": "order right to {}"}


def bound(value: str) -> str:
    """1e-13 with a hyphen that does not break."""
    return value.replace("-", "\u2011")


def summary(row: dict[str, Any]) -> str:
    """1,000 random worlds, worst error below 1e-13"""
    name = next(name for name in WORDS if name in row["worst"])
    return f"{row['cases']:,} {row['over']}, {WORDS[name].format(bound(row['worst'][name]))}"


def mark_equations(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.format != "html":
        return
    rows = read(Path(app.srcdir), "ledger.json")
    for node in list(doctree.findall(nodes.math_block)):
        if not node.get("label"):
            continue
        label, parent = node["label"], node.parent
        # {math} writes its label outside the source, amsmath inside: the fingerprint leaves it out.
        mark = nodes.raw("", mark_of(app, docname, label, rows.get(label), fingerprint(node.astext())), format="html")
        parent.insert(parent.index(node) + 1, mark)


def mark_of(app: Sphinx, docname: str, label: str, row: dict[str, Any] | None, tex: str) -> str:
    if label in DEFINITIONS:
        return '<p class="ledger-mark">definition</p>'
    if row is None or row["tex"] != tex:
        return '<p class="ledger-mark ledger-open">not verified yet</p>'
    uri = app.builder.get_relative_uri(docname, PAGE)
    text = f'<span class="ledger-tick" aria-hidden="true">✓</span> verified: {escape(summary(row))}'
    return f'<p class="ledger-mark"><a href="{uri}#ledger-{label}">{text}</a></p>'


# -- the tables in the appendix -------------------------------------------------------------------------------------------------------


class LedgerTable(SphinxDirective):
    """{ledger-table}: one row for each verified equation, in the order of the book."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(Path(self.env.srcdir) / "chapters/appendix/ledger.json"))
        places = Places(self)
        rows = [
            [
                [pending_xref("", nodes.literal("", label), refdomain="math", reftype="eq", reftarget=label, refdoc=self.env.docname)],
                [nodes.Text(row["claim"])],
                [nodes.Text(f"{row['cases']:,} {row['over']}")],
                [nodes.Text("; ".join(f"{name} within {bound(value)}" for name, value in row["worst"].items()))],
                [*join(places.link(name) for name in row["functions"]), nodes.Text("; "), *places.link(row["test"], "test")],
            ]
            for label, row in read(Path(self.env.srcdir), "ledger.json").items()
        ]
        ids = [f"ledger-{label}" for label in read(Path(self.env.srcdir), "ledger.json")]
        return [table(["Equation", "Claim", "Cases", "Found", "Code"], rows, ids)]


class MutantTable(SphinxDirective):
    """{mutant-table}: each deliberate error, and the equation whose test noticed."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(Path(self.env.srcdir) / "chapters/appendix/mutants.json"))
        results, places = read(Path(self.env.srcdir), "mutants.json").get("mutants", []), Places(self)
        rows = [
            [
                places.link(mutant["function"]),
                [nodes.Text(mutant["what"])],
                [nodes.Text("noticed by "), nodes.literal("", mutant["caught_by"])] if mutant["caught_by"] else [nodes.Text(mutant["why"])],
            ]
            for mutant in results
        ]
        caught = sum(bool(mutant["caught_by"]) for mutant in results)
        text = f"Of {len(results)} errors the ledger noticed {caught}."
        return [nodes.paragraph("", text), table(["Function", "Error put in", "Outcome"], rows, [])]


def join(parts: Iterator[list[nodes.Node]]) -> list[nodes.Node]:
    """With commas between."""
    joined: list[nodes.Node] = []
    for part in parts:
        joined += ([nodes.Text(", ")] if joined else []) + part
    return joined


def table(head: list[str], rows: list[list[list[nodes.Node]]], ids: list[str]) -> nodes.table:
    def row_of(cells: list[list[nodes.Node]]) -> nodes.row:
        return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells])

    body = nodes.tbody("", *[row_of(row) for row in rows])
    for row, name in zip(body.children, ids, strict=False):
        row["ids"] = [name]
    columns = [nodes.colspec(colwidth=1) for _ in head]
    group = nodes.tgroup("", *columns, nodes.thead("", row_of([[nodes.Text(word)] for word in head])), body, cols=len(head))
    return nodes.table("", group, classes=["sortable", "colwidths-auto"])


# -- the code ---------------------------------------------------------------------------------------------------------------------------


class Places:
    """Links from names to lines: `soft_optimality.backups.soft_v`, `tests/equations/test_chapter_03.py::test_soft_v`."""

    def __init__(self, directive: SphinxDirective):
        self.root, self.env = Path(directive.env.srcdir), directive.env
        self.builder, self.directive = directive.env.app.builder, directive

    def link(self, name: str, text: str | None = None) -> list[nodes.Node]:
        file, line = place(self.root, name)
        label = nodes.inline("", text or re.split(r"::|\.", name)[-1])
        if not line:
            log.warning("the ledger names %s, which is not there: run `make ledger`", name, location=self.directive.get_location())
            return [label]
        uri = self.builder.get_relative_uri(self.env.docname, code_page(file))
        return [nodes.reference("", "", label, refuri=f"{uri}#line-{line}", internal=True)]


def place(root: Path, name: str) -> tuple[Path, int]:
    """The file (relative to the root) and the line where a name is defined; line 0 where it is not."""
    if "::" in name:
        file, inner = name.split("::")
        return Path(file), line_of(root / file, inner.split("."))
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        for path in (LIBRARY.joinpath(*parts[:n]).with_suffix(".py"), LIBRARY.joinpath(*parts[:n], "__init__.py")):
            if (root / path).is_file():
                return path, line_of(root / path, parts[n:])
    return LIBRARY, 0


def line_of(path: Path, names: list[str]) -> int:
    """The line of a function, or of a method in its class."""
    if not path.is_file():
        return 0
    line, body = 1, ast.parse(path.read_text("utf8")).body
    for name in names:
        inside = [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name]
        if not inside:
            return 0
        line, body = inside[0].lineno, inside[0].body
    return line


def code_page(file: Path) -> str:
    return f"code/{file.with_suffix('').as_posix()}"


def code_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The sources that the ledger names, with numbered lines."""
    root = Path(app.srcdir)
    rows = read(root, "ledger.json").values()
    names = {name for row in rows for name in (row["test"], *row["functions"])}
    names |= {mutant["function"] for mutant in read(root, "mutants.json").get("mutants", [])}
    for file in sorted({place(root, name)[0] for name in names}):
        if (root / file).is_file():
            style = HtmlFormatter(linenos="inline", lineanchors="line", anchorlinenos=True, cssclass="highlight")
            code = highlight((root / file).read_text("utf8"), PythonLexer(), style)
            back = f'<p><a href="{app.builder.get_relative_uri(code_page(file), PAGE)}">Back to the ledger</a></p>'
            yield code_page(file), {"title": file.as_posix(), "body": f"<h1>{file.as_posix()}</h1>{back}{code}"}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("ledger-table", LedgerTable)
    app.add_directive("mutant-table", MutantTable)
    app.connect("doctree-resolved", mark_equations)
    app.connect("html-collect-pages", code_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
