"""A class of honest, broken and hostile submissions: each gets its grade, and none touches anything else.

Needs a sandbox: where none can be had these tests fail and say why (`sandbox.refusal`), since grading there is refused as well.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import nbformat
import pytest
from synthetic_class import MEMORY, NAME, Case, hand_in, source, the_class

import sandbox
from examiner import in_own_process
from grade import Course, Submission, read

TEACHING = Path(sandbox.__file__).parent
LIMITS = {"seconds": 20, "cell-seconds": 4, "memory": MEMORY}


@dataclass
class School:
    folder: Path
    outside: Path
    students: dict[str, Case]
    listener: socket.socket

    def command(self, submissions: Path, out: Path, *more: str) -> list[str]:
        limits = [word for name, value in LIMITS.items() for word in (f"--{name}", str(value))]
        return [
            sys.executable,
            str(TEACHING / "grade.py"),
            str(submissions),
            "--sources",
            str(self.folder / "sources"),
            "--out",
            str(out),
            *limits,
            *more,
        ]


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def fingerprint(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    why = sandbox.refusal(sandbox.Limits())
    if why:
        pytest.fail(f"no sandbox on this machine, so nothing can be graded safely here: {why}", pytrace=False)
    folder = tmp_path_factory.mktemp("school")
    outside = folder / "outside"
    (folder / "sources").mkdir()
    outside.mkdir()
    (outside / "precious.txt").write_text("thesis\n", encoding="utf-8")
    nbformat.write(source(), folder / "sources" / f"{NAME}.ipynb")
    run([sys.executable, str(TEACHING / "assign.py"), "--sources", str(folder / "sources"), "--release", str(folder / "release"),
         "--course", str(folder / "whole")])  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        school = School(folder, outside, the_class(outside, listener.getsockname()[1]), listener)
        hand_in(folder / "handed_in", school.students, (folder / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
        yield school


@pytest.fixture(scope="module")
def graded(school: School) -> Path:
    """The class, graded by a run that was killed half-way and started again."""
    out = school.folder / "whole"
    before = fingerprint(school.outside) | fingerprint(school.folder / "handed_in") | fingerprint(TEACHING)
    command = school.command(school.folder / "handed_in", out)
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while len(list(out.glob("results/*/*.json"))) < len(school.students) // 2 and first.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    assert first.poll() is None, "the run ended before it could be killed"
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("results/*/*.json")}
    assert 0 < len(done) < len(school.students)
    assert not (out / "grades.csv").exists()
    run(command)
    assert all(path.stat().st_mtime_ns == then for path, then in done.items()), "what had been graded was graded again"
    after = fingerprint(school.outside) | fingerprint(school.folder / "handed_in") | fingerprint(TEACHING)
    assert {path: mark for path, mark in after.items() if "__pycache__" not in path} == {p: m for p, m in before.items() if "__pycache__" not in p}
    return out


def test_each_gets_the_right_grade_and_a_reason(school: School, graded: Path) -> None:
    rows = table(graded)
    assert len(rows) == len(school.students) >= 30
    wrong = []
    for student, case in school.students.items():
        row = rows[student]
        right = (float(row["points"]), float(row["max"]), row["status"]) == (case.points, 6.0, case.status)
        if not (right and row["reason"] and case.words in row["reason"]):
            wrong.append(f"{student}: {row} instead of {case.points}, {case.status}, ... {case.words!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own way with its database
def test_a_run_killed_while_it_writes_to_the_gradebook_leaves_no_half_grade(school: School, graded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Submission("perfect", NAME, school.folder / "handed_in" / "perfect" / NAME / f"{NAME}.ipynb")
    result = json.loads((graded / "results" / "perfect" / f"{NAME}.json").read_text(encoding="utf-8"))
    sources = {NAME: school.folder / "sources" / f"{NAME}.ipynb"}
    killed = Course(school.folder / "killed", sources)

    def kill(*names: str) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(killed.gradebook, "find_grade", kill)
    with pytest.raises(KeyboardInterrupt):
        killed.store(item, "key", dict(result))
    again = Course(school.folder / "killed", sources)
    assert again.stored(item, "key") is None
    again.store(item, "key", dict(result))
    assert again.row(item, again.stored(item, "key") or {})[2:5] == ["5", "6", "by hand"]


def test_nobody_reached_the_network_the_tests_or_more_than_their_processes(school: School, graded: Path) -> None:
    with pytest.raises(BlockingIOError):
        school.listener.accept()
    pages = {student: (graded / "feedback" / student / f"{NAME}.html").read_text(encoding="utf-8") for student in school.students}
    assert "no network" in pages["network"]
    assert "found []" in pages["reads_the_disk"]
    started = re.search(r"started (\d+) processes", pages["swarm"])
    assert started
    assert int(started[1]) < sandbox.Limits().processes
    assert "wrote it all" not in pages["fills_the_disk"]


def test_feedback_shows_the_grade_and_no_hidden_test(school: School, graded: Path) -> None:
    for student in school.students:
        page = (graded / "feedback" / student / f"{NAME}.html").read_text(encoding="utf-8")
        assert f"{NAME}: {float(table(graded)[student]['points']):g} of 6 points" in page, student
        assert "BEGIN HIDDEN" not in page
        assert "-1.5" not in page
        assert len(page) < 3_000_000, f"{student}: {len(page)} characters"


def test_each_graded_alone_gets_the_same_grade(school: School, graded: Path) -> None:
    limits = {name.replace("-", "_"): value for name, value in LIMITS.items()}
    files = {"source": school.folder / "sources" / f"{NAME}.ipynb", "release": graded / "release" / NAME / f"{NAME}.ipynb"}
    job = {name: path.read_text(encoding="utf-8") for name, path in files.items()}

    def alone(student: str) -> dict[str, Any]:
        data = read(school.folder / "handed_in" / student / NAME / f"{NAME}.ipynb")
        if isinstance(data, str):
            return {"reasons": [data]}
        submission = base64.b64encode(data).decode()
        return in_own_process({**job, "submission": submission, "limits": asdict(sandbox.Limits(**limits)), "unsafe": False})

    for student in school.students:
        together = json.loads((graded / "results" / student / f"{NAME}.json").read_text(encoding="utf-8"))
        by_itself = {name: value for name, value in alone(student).items() if name != "notebook"}
        assert {name: together[name] for name in by_itself} == by_itself, student


def test_a_dask_cluster_of_two_workers_gives_the_same_table(school: School, graded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setenv("PYTHONPATH", str(TEACHING))  # as `make worker` does
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None) as cluster:
        run(school.command(school.folder / "handed_in", school.folder / "cluster", "--scheduler", cluster.scheduler_address))
    assert (school.folder / "cluster" / "grades.csv").read_bytes() == (graded / "grades.csv").read_bytes()


def test_without_a_sandbox_nothing_is_graded_unless_told_to(school: School) -> None:
    folder = school.folder / "trusted" / "perfect"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.ipynb").write_bytes((school.folder / "handed_in" / "perfect" / NAME / f"{NAME}.ipynb").read_bytes())
    command = school.command(folder.parent, school.folder / "unsafe")
    refused = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BWRAP": "/bin/false"}, check=False)
    assert refused.returncode != 0
    assert "No grading without a sandbox" in refused.stderr
    run([*command, "--unsafe"], BWRAP="/bin/false")
    assert table(school.folder / "unsafe")["perfect"]["points"] == "5"


def test_points_that_a_person_gives_come_into_the_table_without_grading_again(school: School, graded: Path) -> None:
    from nbgrader.api import Gradebook

    folder = school.folder / "read" / "perfect"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.ipynb").write_bytes((school.folder / "handed_in" / "perfect" / NAME / f"{NAME}.ipynb").read_bytes())
    out = school.folder / "read_out"
    run(school.command(folder.parent, out))
    result = (out / "results" / "perfect" / f"{NAME}.json").stat().st_mtime_ns
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as book:  # what the formgrader does
        grade = book.find_grade("why", NAME, NAME, "perfect")
        grade.manual_score, grade.needs_manual_grade = 0.5, False
        book.find_comment("why", NAME, NAME, "perfect").manual_comment = "And why not?"
        book.db.commit()
    run(school.command(folder.parent, out))
    row = table(out)["perfect"]
    assert (row["points"], row["status"]) == ("5.5", "graded")
    assert "And why not?" in (out / "feedback" / "perfect" / f"{NAME}.html").read_text(encoding="utf-8")
    assert (out / "results" / "perfect" / f"{NAME}.json").stat().st_mtime_ns == result
