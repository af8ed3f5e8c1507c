"""From the sources in chapters/exercises: what students get, and what the grader says to the solutions and to the untouched stubs."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import pytest

from assign import SOURCES, assign, pack
from examiner import in_own_process
from sandbox import Limits, refusal

ALL = sorted(SOURCES.glob("*.ipynb"))


def test_there_are_sources() -> None:
    assert ALL, f"no source notebooks in {SOURCES}"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("course")


def cut_out(source: str) -> list[str]:
    """The lines of solutions and hidden tests that stand nowhere else in the source."""
    inside: list[str] = []
    outside: set[str] = set()
    secret = False
    for line in (line.strip() for cell in nbformat.reads(source, as_version=4).cells for line in cell.source.splitlines()):
        if line.startswith(("### BEGIN", "### END")):
            secret = line.startswith("### BEGIN")
        elif secret:
            inside.append(line)
        else:
            outside.add(line)
    return [line for line in inside if len(line) > 3 and line not in outside]


def verdict(source: str, release: str, submission: str) -> dict[str, Any]:
    job = {"source": source, "release": release, "submission": base64.b64encode(submission.encode()).decode()}
    return in_own_process({**job, "limits": asdict(Limits()), "unsafe": False})


@pytest.mark.parametrize("path", ALL, ids=[path.stem for path in ALL])
def test_students_get_no_solution_and_the_grader_tells_solutions_from_stubs(path: Path, course: Path) -> None:
    source = path.read_text(encoding="utf-8")
    release = assign(path, course, course / "release").read_text(encoding="utf-8")
    lines = {line.strip() for cell in json.loads(release)["cells"] for line in "".join(cell["source"]).splitlines()}
    assert "BEGIN SOLUTION" not in release
    assert "HIDDEN TESTS" not in release
    secrets = cut_out(source)
    assert secrets
    assert not [line for line in secrets if line in lines]

    why = refusal(Limits())
    assert not why, f"no sandbox on this machine: {why}"
    by_tests = sum(
        cell.metadata.nbgrader.points
        for cell in nbformat.reads(source, as_version=4).cells
        if cell.metadata.get("nbgrader", {}).get("grade") and not cell.metadata.nbgrader.solution
    )
    right = verdict(source, release, source)
    assert (right["points"], right["status"]) == (by_tests, "by hand" if None in right["scores"].values() else "graded"), right["reasons"]
    untouched = verdict(source, release, release)
    assert (untouched["points"], untouched["status"]) == (0, "graded"), untouched["reasons"]


def test_the_zip_holds_every_notebook(course: Path) -> None:
    import zipfile

    for path in ALL:
        if not (course / "release" / path.stem).exists():
            assign(path, course, course / "release")
    with zipfile.ZipFile(pack(course / "release")) as archive:
        assert archive.namelist() == [f"{path.stem}/{path.name}" for path in ALL]
