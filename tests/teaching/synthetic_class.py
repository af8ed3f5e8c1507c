"""A small assignment and a class that hands in everything a grader may meet.

Each hostile submission is bounded by itself (at most 200 processes, 2 GB past its limit, one connection), so that a sandbox that fails
breaks the test and not the machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME = "01_tiny"
MEMORY = 1_500 * 2**20
SETUP = 'import numpy as np\nimport soft_optimality as so\nworld = so.worlds.gridworld(["..G", "S.."])'
DOUBLE = "def double(x):\n    return 2 * np.asarray(x)"
WRONG = "def double(x):\n    return np.asarray(x) + 7.0"
PLAN = "plan = so.soft_value_iteration(world, 1.0, prior=[0.25] * 4, horizon=5)\nv = plan.v"
DOUBLE_TEST = 'assert np.allclose(double(np.arange(3.0)), [0, 2, 4]), "double of 0, 1, 2 is 0, 2, 4"'
DOUBLE_HIDDEN = 'assert np.allclose(double(np.array([-1.5])), [-3.0]), "negative numbers are doubled too"'
PLAN_TEST = 'assert np.shape(v)[0] == 5, "v has a row for each of the five steps"'
PLAN_HIDDEN = 'assert np.allclose(v, so.soft_value_iteration(world, 1.0, prior=[0.25] * 4, horizon=5).v), "these are not the soft values"'


def marked(cell: NotebookNode, name: str, **marks: object) -> NotebookNode:
    plain = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3}
    cell.metadata["nbgrader"] = {**plain, "grade_id": name, **marks}
    return cell


def hidden(visible: str, secret: str) -> str:
    return f"{visible}\n### BEGIN HIDDEN TESTS\n{secret}\n### END HIDDEN TESTS"


def solution(text: str) -> str:
    return f"### BEGIN SOLUTION\n{text}\n### END SOLUTION"


def source() -> NotebookNode:
    """3 points for `double`, 2 for the soft values, 1 read by a person."""
    cells = [
        marked(new_code_cell(SETUP), "setup", locked=True),
        marked(new_code_cell(DOUBLE.replace("\n", "\n    ### BEGIN SOLUTION\n") + "\n    ### END SOLUTION"), "double-code", solution=True),
        marked(new_code_cell(hidden(DOUBLE_TEST, DOUBLE_HIDDEN)), "double-test", grade=True, locked=True, points=3),
        marked(new_code_cell(solution(PLAN)), "plan-code", solution=True),
        marked(new_code_cell(hidden(PLAN_TEST, PLAN_HIDDEN)), "plan-test", grade=True, locked=True, points=2),
        marked(new_markdown_cell(solution("Because luck cannot be chosen.")), "why", solution=True, grade=True, points=1),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})


@dataclass(frozen=True)
class Case:
    """What a student hands in, and the row of the table that must come of it: points, status, words of the reason."""

    write: Callable[[Path, NotebookNode], None]
    points: float
    status: str
    words: str = ""


def edited(edit: Callable[[NotebookNode], None]) -> Callable[[Path, NotebookNode], None]:
    def write(path: Path, release: NotebookNode) -> None:
        edit(release)
        nbformat.write(release, path)

    return write


def code(double: str = DOUBLE, plan: str = PLAN, why: str = "Luck is not chosen.") -> Callable[[Path, NotebookNode], None]:
    def edit(notebook: NotebookNode) -> None:
        fill(notebook, double, plan, why)

    return edited(edit)


def fill(notebook: NotebookNode, double: str = DOUBLE, plan: str = PLAN, why: str = "Luck is not chosen.") -> None:
    cells = by_id(notebook)
    cells["double-code"].source, cells["plan-code"].source, cells["why"].source = double, plan, why


def by_id(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def raw(data: bytes) -> Callable[[Path, NotebookNode], None]:
    return lambda path, release: path.write_bytes(data) and None


def text(encoding: str) -> Callable[[Path, NotebookNode], None]:
    def write(path: Path, release: NotebookNode) -> None:
        fill(release, DOUBLE + "  # déjà vu")
        path.write_text(json.dumps(release, ensure_ascii=False), encoding=encoding)

    return write


def edits_tests(notebook: NotebookNode) -> None:
    fill(notebook, WRONG)
    for cell in by_id(notebook).values():
        if cell.metadata.nbgrader.grade:
            cell.source = "pass"


def edits_marks(notebook: NotebookNode) -> None:
    fill(notebook, WRONG)
    for cell in notebook.cells:
        cell.metadata.nbgrader.update({"points": 1000, "grade": True, "locked": False})
    by_id(notebook)["double-test"].metadata.nbgrader.grade_id = "plan-test-2"


def wrong_kernel(notebook: NotebookNode) -> None:
    fill(notebook)
    notebook.metadata["kernelspec"] = {"name": "julia-1.11", "display_name": "Julia", "language": "julia"}


def another_language(notebook: NotebookNode) -> None:
    fill(notebook, "double <- function(x) { 2 * x }", "v <- c(1, 2)", "")
    notebook.metadata["kernelspec"] = {"name": "ir", "display_name": "R", "language": "R"}


def duplicated(notebook: NotebookNode) -> None:
    fill(notebook, WRONG)
    again = nbformat.from_dict(json.loads(json.dumps(by_id(notebook)["double-code"])))
    again.source, again.id = DOUBLE, "copy-1"
    test = nbformat.from_dict(json.loads(json.dumps(by_id(notebook)["double-test"])))
    test.id = "copy-2"
    notebook.cells[3:3] = [again, test]


def without(*names: str) -> Callable[[Path, NotebookNode], None]:
    def edit(notebook: NotebookNode) -> None:
        fill(notebook)
        notebook.cells = [cell for cell in notebook.cells if cell.metadata.nbgrader.grade_id not in names]

    return edited(edit)


def link(path: Path, release: NotebookNode) -> None:
    fill(release)
    target = path.parents[2] / "target.ipynb"
    nbformat.write(release, target)
    path.symlink_to(target)


HAND = "to be read by a person: why (1)"


def the_class(outside: Path, port: int) -> dict[str, Case]:
    """By student.  `outside` is a folder that no submission may touch, `port` a listener that none may reach."""
    hunger = """
import os, signal, time
signal.setitimer(signal.ITIMER_REAL, 0)
for _ in range(4):
    if os.fork() == 0:
        block = bytearray(600 * 2**20)
        for i in range(0, len(block), 4096): block[i] = 1
        time.sleep(60)
        os._exit(0)
time.sleep(60)"""
    swarm = """
import os
started, (hold, end) = 0, os.pipe()
try:
    for _ in range(200):
        if os.fork() == 0:
            os.close(end)
            os.read(hold, 1)
            os._exit(0)
        started += 1
finally:
    os.close(end)
    for _ in range(started): os.wait()
    print("started", started, "processes")
"""
    walk = """
import os
found = []
for top in ("/tmp", "/home", "/root", "/work", "/mnt", "/etc", "/dev"):
    for folder, _, files in os.walk(top):
        if "site-packages" in folder or "/lib/python" in folder: continue
        for path in (os.path.join(folder, name) for name in files):
            if not os.path.isfile(path): continue
            try:
                data = open(path, "rb").read(10**6)
            except OSError: continue
            if b"negative numbers " + b"are doubled" in data: found.append(path)
print("found", found)
"""
    leave = f"""
import os, shutil
shutil.rmtree({str(outside)!r}, ignore_errors=True)
try:
    open({str(outside / "new.txt")!r}, "w").write("x")
except OSError as error: print(error)
"""
    connect = f"""
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2)
    print("rea" + "ched")
except OSError: print("no " + "network")
"""
    frames = """
import gc, sys
def double(x):
    secrets = [o for o in gc.get_objects() if isinstance(o, dict) and "double-test" in o]
    frame = sys._getframe()
    while frame:
        if "expected" in frame.f_locals: return frame.f_locals["expected"]
        frame = frame.f_back
    return len(secrets)"""
    equal = """
class Yes(float):
    def __eq__(self, other): return True
    def __array__(self, *a, **k): return np.array([0.0, 2.0, 4.0])
    def __reduce__(self): return (exec, ("raise SystemExit",))
def double(x): return Yes()"""
    patched_python = """
import builtins
builtins.AssertionError = type("Fine", (Exception,), {})
ip = get_ipython()
ip.run_cell = lambda *a, **k: type("R", (), {"error_before_exec": None, "error_in_exec": None})()
"""
    patched_numpy = """
np.allclose = lambda *a, **k: True
np.asarray = np.array
np.testing.assert_allclose = lambda *a, **k: None
np.shape = lambda x: (5,)
"""
    patched_library = """
so.soft_value_iteration = lambda *a, **k: type("P", (), {"v": np.zeros((5, 6))})
import soft_optimality.planning as planning
planning.soft_value_iteration = so.soft_value_iteration
v = np.zeros((5, 6))"""
    pipe = """
import os
for number in range(3, 64):
    try:
        os.write(number, b"x" * 100)
    except OSError: pass
"""
    disk = """
try:
    with open("big", "wb") as file:
        for _ in range(200): file.write(bytes(2**20))
    print("wrote " + "it all")
except OSError as error: print("no more", "room")
"""
    kill = """
import os
for number in (1, os.getppid(), -1):
    try:
        os.kill(number, 9)
    except OSError: pass
"""
    forever = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    return {
        "perfect": Case(code(), 5, "by hand", HAND),
        "empty": Case(edited(lambda notebook: None), 0, "graded", "no answer: why"),
        "partial": Case(code(plan="v = np.zeros((5, 6))"), 3, "by hand", "plan-test: these are not the soft values"),
        "visible_only": Case(code("def double(x): return np.abs(2 * x)"), 2, "by hand", "double-test: negative numbers"),
        "no_words": Case(code(why="Your answer."), 5, "graded", "no answer: why"),
        "syntax_error": Case(code("def double(x) return x"), 2, "by hand", "'double' is not defined"),
        "raises": Case(code("def double(x): return [0, 2, 4][7]"), 2, "by hand", "IndexError"),
        "loop_in_function": Case(code("def double(x):\n    while True: pass"), 2, "by hand", "stopped after"),
        "loop_in_cell": Case(code("while True: pass"), 2, "by hand", "'double' is not defined"),
        "loop_that_will_not_stop": Case(code(plan=forever), 3, "stopped", "ran longer than"),
        "memory": Case(code(f"block = bytearray({MEMORY} + 2**31)\n" + DOUBLE), 2, "by hand", "'double' is not defined"),
        "memory_in_pieces": Case(code(plan=hunger), 3, "stopped", "MB of memory"),
        "swarm": Case(code(swarm + DOUBLE), 2, "by hand", "'double' is not defined"),
        "os_exit": Case(code(plan="import os\nos._exit(0)"), 3, "stopped", "made Python itself end"),
        "crash": Case(code(plan="import ctypes\nctypes.string_at(0)"), 3, "stopped", "made Python itself end"),
        "exit": Case(code("exit()", PLAN), 2, "by hand", "'double' is not defined"),
        "deletes": Case(code(leave + DOUBLE), 5, "by hand"),
        "network": Case(code(connect + DOUBLE), 5, "by hand"),
        "kills": Case(code(kill + DOUBLE), 5, "by hand"),
        "edits_tests": Case(edited(edits_tests), 2, "by hand", "double-test: double of 0, 1, 2"),
        "edits_marks": Case(edited(edits_marks), 2, "by hand", "double-test: double of 0, 1, 2"),
        "patches_numpy": Case(code(patched_numpy + WRONG), 2, "by hand", "double-test: double of 0, 1, 2"),
        "patches_library": Case(code(plan=patched_library), 3, "by hand", "plan-test: these are not"),
        "patches_python": Case(code(patched_python + WRONG), 0, "by hand", "double-test"),
        "equals_all": Case(code(equal), 2, "by hand", "double-test"),
        "reads_the_disk": Case(code(walk + WRONG), 2, "by hand", "double-test: double of 0, 1, 2"),
        "reads_the_frames": Case(code(frames), 2, "by hand", "double-test: double of 0, 1, 2"),
        "forges_messages": Case(code(plan=pipe), 3, "stopped", "cannot be read"),
        "prints": Case(code("for _ in range(100): print('x' * 2**20)\n" + DOUBLE), 5, "by hand"),
        "prints_below_python": Case(code("import os\nfor _ in range(100): os.write(1, b'x' * 2**20)\n" + DOUBLE), 5, "by hand"),
        "fills_the_disk": Case(code(disk + DOUBLE), 5, "by hand"),
        "invalid_json": Case(raw(b'{"cells": [{"cell_type": "code", "sour'), 0, "unreadable", "not valid JSON"),
        "not_a_notebook": Case(raw(b'["a", "list"]'), 0, "unreadable", "not a notebook"),
        "nothing": Case(raw(b"\n"), 0, "unreadable", "not valid JSON"),
        "deep": Case(raw(b"[" * 100_000), 0, "unreadable", "not valid JSON"),
        "utf_16": Case(text("utf-16"), 0, "unreadable", "not UTF-8"),
        "latin_1": Case(text("latin-1"), 0, "unreadable", "not UTF-8"),
        "a_link": Case(link, 0, "unreadable", "a link"),
        "no_file": Case(lambda path, release: None, 0, "unreadable", "no notebook"),
        "wrong_kernel": Case(edited(wrong_kernel), 5, "by hand", "kernel of 'julia'"),
        "another_language": Case(edited(another_language), 0, "by hand", "kernel of 'R'"),
        "duplicated_cells": Case(edited(duplicated), 5, "by hand", "double-code is there 2 times"),
        "missing_tests": Case(without("double-test", "plan-test"), 5, "by hand", "double-test is missing"),
        "missing_solution": Case(without("double-code"), 2, "by hand", "double-code is missing"),
        "missing_setup": Case(without("setup"), 5, "by hand", "setup is missing"),
    }


def hand_in(folder: Path, students: dict[str, Case], release: str) -> None:
    for student, case in students.items():
        path = folder / student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        case.write(path, nbformat.reads(release, as_version=4))
