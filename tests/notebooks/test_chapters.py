"""What a chapter's notebook promises before it is run: outputs of one run from top to bottom, small cells, figures with words."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest

BOOK = Path(__file__).parents[2] / "chapters"
CHAPTERS = [*sorted(BOOK.glob("*.ipynb")), *sorted((BOOK / "appendix").glob("*.ipynb"))]
chapters = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
MOST_LINES = 15


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def pictures(cell: Any) -> int:
    """How many figures the cell draws; an explorer, which is HTML too, brings its caption itself."""
    kinds = [set(output.get("data", {})) for output in cell.outputs]
    return sum("text/html" not in kind and any(name.startswith("image/") for name in kind) for kind in kinds)


def figure_metadata(cell: Any) -> dict[str, dict[str, str]]:
    return cell.metadata.get("mystnb", {})


@chapters
def test_it_is_a_valid_notebook(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))


@chapters
def test_it_was_run_once_from_top_to_bottom(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@chapters
def test_no_cell_failed_or_complained(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


@chapters
def test_outputs_do_not_change_from_run_to_run(path: Path) -> None:
    for cell in code_cells(path):
        assert not re.search(r"\b0x[0-9a-f]{6,}", str(cell.outputs)), f"a memory address in the output of: {cell.source}"
        assert "application/vnd.jupyter.widget" not in str(cell.outputs), f"a live widget is stored by: {cell.source}"
        assert "execution" not in cell.metadata, "times are stored; store outputs with `make notebooks`"


@chapters
def test_cells_are_short(path: Path) -> None:
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= MOST_LINES, cell.source


@chapters
def test_every_figure_has_words(path: Path) -> None:
    for cell in code_cells(path):
        if pictures(cell):
            words = figure_metadata(cell)
            alt, caption = words.get("image", {}).get("alt", ""), words.get("figure", {}).get("caption", "")
            assert pictures(cell) == 1, f"one figure a cell, so that each has its own caption: {cell.source}"
            assert len(alt) >= 20, f"alt text (metadata mystnb.image.alt) that says what is to be seen: {cell.source}"
            assert len(caption) >= 20, f"a caption (metadata mystnb.figure.caption): {cell.source}"
            assert words["figure"].get("name", "").startswith("fig-"), f"a name fig-… (metadata mystnb.figure.name): {cell.source}"
            assert alt != caption, f"the alt text says what is seen, the caption what it means: {cell.source}"


def test_figure_names_are_unique() -> None:
    cells = [cell for path in CHAPTERS for cell in code_cells(path)]
    names = Counter(figure_metadata(cell).get("figure", {}).get("name") for cell in cells if pictures(cell))
    assert [name for name, count in names.items() if count > 1] == []


@chapters
def test_it_reads_no_file_of_the_repository(path: Path) -> None:
    """In the browser's own Python and on Colab there is the library, and no repository around it."""
    reading = re.compile(r"\b(Path|open|loadtxt|genfromtxt|read_csv)\(|np\.load\(")
    assert [cell.source for cell in code_cells(path) if reading.search(cell.source)] == []
