"""The book's pages of exercises, from the source notebooks: statement, stub, and the solution folded away or left out.

    python book_ext/exercise_pages.py [--without-solutions]

A page is made anew from the parts that may be read.  Hidden tests are never among them; without solutions, nothing that is written here
comes from a solution, so neither the pages, nor their sources, nor the search can hold a trace of one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[1]
SOURCES, PAGES = ROOT / "chapters" / "exercises", ROOT / "exercises"
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[^\n]*\n?", re.M | re.S)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS[^\n]*\n?", re.M | re.S)
STUB = r"\1# YOUR CODE HERE" "\n" r"\1raise NotImplementedError()" "\n"  # as nbgrader puts it


def code(text: str) -> str:
    return f"```{{code-block}} python\n{text.rstrip()}\n```\n"


def folded(title: str, body: str) -> str:
    return f"::::{{admonition}} {title}\n:class: dropdown\n\n{body.rstrip()}\n::::\n"


def page(notebook: Any, *, solutions: bool) -> str:
    """The page of one notebook, in MyST."""
    parts: list[str] = []
    held = ""  # a solution in code comes after the check that follows it
    for cell in notebook.cells:
        grading, source = cell.metadata.nbgrader, cell.source + "\n"
        if not grading.solution:
            visible = HIDDEN.sub("", source)
            parts += [visible if cell.cell_type == "markdown" else code(visible), held]
            held = ""
        elif cell.cell_type == "code":
            parts.append(code(SOLUTION.sub(STUB, source)))
            if solutions:
                held = folded("A solution", code(re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION\n", "", source, flags=re.M)))
        elif solutions:
            answer = SOLUTION.search(source)
            parts.append(folded("An answer, and how it is marked", answer[2] if answer else source))
    return "\n".join([*parts, held])


def write_pages(sources: Path, pages: Path, *, solutions: bool) -> None:
    pages.mkdir(exist_ok=True)
    for old in pages.glob("*.md"):
        old.unlink()
    for path in sorted(sources.glob("*.ipynb")):
        (pages / f"{path.stem}.md").write_text(page(nbformat.read(path, as_version=4), solutions=solutions), "utf8")


if __name__ == "__main__":
    write_pages(SOURCES, PAGES, solutions="--without-solutions" not in sys.argv[1:])
