"""A book built with SOLUTIONS=0 holds no trace of a solution or of a hidden test: not in a page, a source, a download or the search."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from exercise_pages import HIDDEN, SOLUTION, write_pages

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "chapters" / "exercises").glob("*.ipynb"))
COPIED = ["_config.yml", "book_ext", "chapters/00_preface.md", "chapters/references.bib", "chapters/exercises", "chapters/appendix"]
BINARY = {".woff", ".woff2", ".ttf", ".png", ".map", ".css"}


def squeezed(text: str) -> str:
    """Without tags, entities, escapes and white space: a line of code is found however it is marked up."""
    return re.sub(r"\s|\\[nt\"]|\"", "", html.unescape(re.sub(r"<[^>]*>", "", text)))


def secrets() -> tuple[set[str], set[str]]:
    """Lines and words that only solutions and hidden tests contain."""
    visible, hidden = "", ""
    for path in SOURCES:
        for cell in nbformat.read(path, as_version=4).cells:
            source = cell.source + "\n"
            visible += HIDDEN.sub("", SOLUTION.sub("", source))
            hidden += "".join(HIDDEN.findall(source)) + "".join(found[1] for found in SOLUTION.findall(source))
    lines = {squeezed(line) for line in hidden.splitlines() if "### " not in line}
    lines = {line for line in lines if len(line) >= 12 and line not in squeezed(visible)}
    words = {word.lower() for word in re.findall(r"[A-Za-z_]{7,}", hidden)} - {word.lower() for word in re.findall(r"[A-Za-z_]+", visible)}
    return lines, words


def build(folder: Path, *, solutions: bool) -> dict[Path, str]:
    """The exercises' part of the book, built by itself: every file of the site as text."""
    for name in COPIED:
        source = ROOT / name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    write_pages(folder / "chapters" / "exercises", folder / "exercises", solutions=solutions)
    pages = [{"file": f"exercises/{path.stem}"} for path in SOURCES]
    appendix = [{"file": str(path.relative_to(ROOT).with_suffix(""))} for path in sorted((ROOT / "chapters" / "appendix").glob("*.md"))]
    (folder / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", "root": "chapters/00_preface", "chapters": pages + appendix}), "utf8")
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(folder), "-q"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    site = folder / "_build" / "html"
    texts = [path for path in site.rglob("*") if path.is_file() and path.suffix not in BINARY and path.parts[-2] != "scripts"]
    return {path.relative_to(site): path.read_text("utf8", errors="replace") for path in texts}


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    return build(tmp_path_factory.mktemp("without"), solutions=False)


def found(lines: set[str], site: dict[Path, str]) -> set[str]:
    texts = [squeezed(text) for text in site.values()]
    return {line for line in lines if any(line in text for text in texts)}


def test_no_line_of_a_solution_or_a_hidden_test_is_anywhere_in_the_site(without: dict[Path, str]) -> None:
    lines, _ = secrets()
    assert len(lines) > 200
    assert found(lines, without) == set()
    marked = {path.name.split(".")[0] for path, text in without.items() if "BEGIN SOLUTION" in text or "BEGIN HIDDEN" in text}
    assert marked <= {"instructors"}  # the guide says what the marks are


def test_the_search_knows_no_word_that_only_solutions_contain(without: dict[Path, str]) -> None:
    index = without[Path("searchindex.js")].lower()
    pages = " ".join(text for path, text in without.items() if path.suffix == ".html").lower()
    words = {word for word in secrets()[1] if word not in pages}
    assert len(words) > 50
    assert {word for word in words if f'"{word}"' in index or f"{word}:" in index} == set()


def test_no_source_notebook_is_among_the_downloads(without: dict[Path, str]) -> None:
    assert [path for path in without if path.suffix == ".ipynb"] == []
    assert any(path.parts[:2] == ("_sources", "exercises") for path in without)


def test_the_usual_book_has_the_solutions_and_still_no_hidden_test(tmp_path: Path) -> None:
    """That what was looked for above would have been found: the pages with solutions hold it."""
    write_pages(ROOT / "chapters" / "exercises", tmp_path, solutions=True)
    pages = {path: path.read_text("utf8") for path in tmp_path.glob("*.md")}
    lines, _ = secrets()
    assert len(found(lines, pages)) > 100
    hidden = {squeezed(line) for path in SOURCES for cell in nbformat.read(path, as_version=4).cells for part in HIDDEN.findall(cell.source + "\n")
              for line in part.splitlines() if "assert" in line}  # fmt: skip
    assert len(hidden) > 20 and found(hidden, pages) == set()


def test_make_passes_the_wish_on() -> None:
    def commands(*options: str) -> str:
        return subprocess.run(["make", "-n", "-o", ".venv/book.stamp", "html", *options], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "--without-solutions" in commands("SOLUTIONS=0")
    assert "--without-solutions" not in commands() and "exercise_pages.py" in commands()
