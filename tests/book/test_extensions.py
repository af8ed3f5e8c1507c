"""The book's own Sphinx extensions, on pages of a few lines."""

import io
import json
import re
from pathlib import Path

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from book_ledger import fingerprint


@pytest.fixture
def build(tmp_path: Path):
    def run(text: str, name: str = "out") -> tuple[str, str]:
        """The page's HTML and the build's warnings."""
        (tmp_path / "index.md").write_text(text, "utf8")
        warnings = io.StringIO()
        ours = ["book_math", "book_pages", "book_ledger"]
        config = {"extensions": ["myst_parser", *ours], "myst_enable_extensions": ["dollarmath", "amsmath", "colon_fence"]}
        with docutils_namespace(), patch_docutils():
            app = Sphinx(tmp_path, None, tmp_path / name, tmp_path / "doctrees", "html", config, status=None, warning=warnings, freshenv=True)
            app.build()
        return (tmp_path / name / "index.html").read_text("utf8"), warnings.getvalue()

    return run


def test_a_formula_becomes_html_and_mathml(build) -> None:
    html, warnings = build("# T\n\nInline $\\eta > 0$ and\n\n$$\nV = \\eta \\log \\sum_a e^{Q/\\eta}\n$$\n")
    assert warnings == ""
    assert html.count("<math ") == 2 and html.count('class="katex-html"') == 2
    assert "katex.css" in html and "MathJax" not in html


def test_a_formula_that_cannot_be_set_is_a_warning_that_names_the_place(build) -> None:
    _, warnings = build("# T\n\nFine: $x$.\n\nNot: $\\frac{1}{$.\n")
    assert "index.md:5" in warnings and r"\frac{1}{" in warnings


def test_a_line_break_that_would_be_lost_is_refused(build) -> None:
    assert "line break" in build("# T\n\n$$\na = b \\\\ c = d\n$$\n")[1]
    assert build("# T\n\n$$\n\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}\n$$\n")[1] == ""


@pytest.mark.parametrize(
    "equation",
    [
        "```{math}\n:label: soft-v\nV = Q\n```",
        "$$\nV = Q\n$$ (soft-v)",
        "\\begin{align}\n\\label{soft-v}\nV &= Q\n\\end{align}",
    ],
    ids=["directive", "dollars", "amsmath"],
)
def test_labelled_equations_are_numbered_and_found(build, equation: str) -> None:
    html, warnings = build(f"# T\n\nBy {{eq}}`soft-v`:\n\n{equation}\n")
    assert warnings == ""
    assert 'href="#equation-soft-v">(1)</a>' in html
    assert html.count('id="equation-soft-v"') == 1
    assert re.search(r'class="eqno">\(1\)', html)


def test_an_amsmath_environment_without_a_label_is_refused(build) -> None:
    assert "starred" in build("# T\n\n\\begin{align}\na &= b\n\\end{align}\n")[1]
    assert build("# T\n\n\\begin{align*}\na &= b\n\\end{align*}\n")[1] == ""


def test_two_equations_of_one_name_are_a_warning(build) -> None:
    equation = "\\begin{align}\n\\label{twice}\na &= b\n\\end{align}\n"
    assert "duplicate label" in build(f"# T\n\n{equation}\n\n{equation}")[1]


def test_two_builds_give_the_same_page(build) -> None:
    text = "# T\n\n\\begin{align}\n\\label{one}\na &= b\n\\end{align}\n\n{eq}`one` and $x$.\n"
    assert build(text, "first") == build(text, "second")


def test_only_woff2_fonts_are_copied(build, tmp_path: Path) -> None:
    build("# T\n\n$x$\n")
    katex = tmp_path / "out" / "_static" / "katex"
    named = set(re.findall(r"url\(([^)]*)\)", (katex / "katex.css").read_text("utf8")))
    assert named == {f"fonts/{font.name}" for font in (katex / "fonts").iterdir()}
    assert all(name.endswith(".woff2") for name in named)


def test_a_dropdown_is_details(build) -> None:
    html, warnings = build("# T\n\n:::{admonition} The answer\n:class: dropdown\nYes.\n:::\n")
    assert warnings == ""
    assert re.search(r'<details class="[^"]*\bdropdown\b[^"]*">\s*<summary class="admonition-title">The answer</summary>\s*<p>Yes.</p>', html)


def test_a_dropdown_that_would_stay_open_is_refused(build) -> None:
    assert "only {admonition}" in build("# T\n\n:::{note}\n:class: dropdown\nYes.\n:::\n")[1]


def test_images_keep_their_place(build, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (30, 20)).save(tmp_path / "dot.png")
    html, _ = build("# T\n\n![A black box](dot.png)\n")
    assert re.search(r'<img width="30" height="20" [^>]*alt="A black box"', html)


def test_an_equation_is_marked_as_verified_as_long_as_it_is_the_one_that_was(build, tmp_path: Path) -> None:
    row = {"cases": 1000, "over": "random worlds", "worst": {"error": "1e-13"}, "test": "t.py::test", "functions": []}
    appendix = tmp_path / "chapters" / "appendix"
    appendix.mkdir(parents=True)

    def mark(tex: str) -> str:
        html, _ = build(f"# T\n\n\\begin{{equation}}\n{tex}\n\\label{{soft-v}}\n\\end{{equation}}\n")
        return re.search(r'<p class="ledger-mark[^"]*">(.*?)</p>', html)[1]

    whole = "\\begin{equation}\n%s\n\\end{equation}"
    assert mark("V = Q") == "not verified yet"
    (appendix / "ledger.json").write_text(json.dumps({"soft-v": row | {"tex": fingerprint(whole % "V = Q")}}), "utf8")
    assert mark("V  = Q").endswith("verified: 1,000 random worlds, worst error below 1e\u201113</a>")
    assert 'href="chapters/appendix/ledger.html#ledger-soft-v"' in mark("V = Q")
    assert mark("V = -Q") == "not verified yet"
