"""The exercises' source notebooks: in nbgrader's format, solved by their own solutions, failed by their own stubs."""

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from exercise_pages import HIDDEN, SOLUTION, STUB
from soft_optimality import checks

SOURCES = sorted((Path(__file__).parents[2] / "chapters" / "exercises").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
KEYS = {"grade", "grade_id", "locked", "schema_version", "solution", "task"}


def cells(path: Path) -> list[Any]:
    return nbformat.read(path, as_version=4).cells


@notebooks
def test_it_is_a_valid_source_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = []
    for cell in notebook.cells:
        grading = cell.metadata.nbgrader
        assert set(grading) == KEYS | ({"points"} if grading.grade else set()) and grading.schema_version == 3
        assert grading.locked == (not grading.solution)
        marks = {kind: cell.source.count(f"### BEGIN {kind}") for kind in ("SOLUTION", "HIDDEN TESTS")}
        assert marks == {kind: cell.source.count(f"### END {kind}") for kind in marks}
        assert marks["SOLUTION"] == int(grading.solution), grading.grade_id
        assert marks["HIDDEN TESTS"] == int(grading.grade and not grading.solution), grading.grade_id
        assert not cell.get("outputs") and cell.get("execution_count") is None
        ids.append(grading.grade_id)
    assert len(ids) == len(set(ids))


@notebooks
def test_each_exercise_says_its_kind_its_points_and_its_time(path: Path) -> None:
    stated, graded = {}, {}
    for cell in cells(path):
        for name, words in re.findall(r"^## (\d+\.\d+) .*\n\n\*(.*)\*$", cell.source, re.M):
            assert re.search(r"\d+ minutes", words) and re.search(r"graded by tests|by tests,|read by a person", words), words
            stated[name] = int(re.search(r"(\d+) points", words)[1])
        if cell.metadata.nbgrader.grade:
            name = ".".join(cell.metadata.nbgrader.grade_id.split("-")[1:3])
            graded[name] = graded.get(name, 0) + cell.metadata.nbgrader.points
    assert stated == graded and 4 <= len(stated) <= 8
    words = "".join(cell.source for cell in cells(path))
    assert all(f"*{kind}" in words for kind in ("Derivation", "Implementation", "Prediction", "Open question")) and "planted bug" in words
    assert f"{sum(stated.values())} points" in words


@notebooks
def test_the_solutions_pass_every_test_in_a_fresh_kernel(path: Path) -> None:
    NotebookClient(nbformat.read(path, as_version=4), kernel_name="python3", timeout=90, resources={"metadata": {"path": str(path.parent)}}).execute()


@notebooks
def test_the_untouched_stubs_pass_none(path: Path) -> None:
    space: dict[str, Any] = {}
    graded = 0
    for cell in cells(path):
        if cell.cell_type != "code":
            continue
        source = SOLUTION.sub(STUB, cell.source + "\n")
        if cell.metadata.nbgrader.grade:
            graded += 1
            with pytest.raises((AssertionError, NameError)):
                exec(source, space)
        else:
            try:
                exec(source, space)
            except NotImplementedError:
                assert cell.metadata.nbgrader.solution
    assert graded >= 3


@notebooks
def test_the_planted_bug_is_silent_and_is_found(path: Path) -> None:
    """What is given runs without a word, and so.check rejects it with a nudge that does not name the slip."""
    space: dict[str, Any] = {}
    for cell in cells(path):
        if cell.cell_type == "code" and cell.metadata.nbgrader.grade_id.endswith(("-setup", "-given")):
            with np.errstate(all="raise"):
                exec(cell.source, space)
            if "-given" in cell.metadata.nbgrader.grade_id:
                name = ".".join(cell.metadata.nbgrader.grade_id.split("-")[1:3])
                function = space[re.search(r"^def (\w+)", cell.source, re.M)[1]]
                report = checks.check(name, function)
                assert not report and report.hint.startswith("That is what the given function says."), report


@notebooks
def test_hidden_tests_stand_on_their_own(path: Path) -> None:
    """They do not ask the library, which a submission may have changed."""
    for cell in cells(path):
        for hidden in HIDDEN.findall(cell.source + "\n"):
            assert "assert" in hidden and "so." not in re.sub(r"also\.", "", hidden)


def test_every_check_belongs_to_an_exercise_and_is_asked_there() -> None:
    asked = {name for path in SOURCES for cell in cells(path) for name in re.findall(r'so\.check\("([\d.]+)"', cell.source)}
    assert asked == set(checks.exercises())
