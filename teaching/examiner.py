"""Grades one submission.  Its code runs in the sandbox; the tests run here, in a process that the submission cannot touch.

A test sees the student's functions as stand-ins: to call one is to ask the sandbox, and what comes back is data.  So the tests' own
numpy and `so` are the real ones whatever the submission did to its copies, hidden tests are never inside the sandbox, and the only way
to points is to return right values.

Started by grade.py, one process a submission: reads a job as JSON, writes the result as JSON.
"""

from __future__ import annotations

import ast
import base64
import builtins
import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import traceback
from typing import Any, NoReturn

# jsonschema, which nbformat uses, would spend more than a second on this grammar in each process, for a format no notebook has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import nbformat  # noqa: E402
from IPython.core.inputtransformer2 import TransformerManager  # noqa: E402
from nbformat import NotebookNode  # noqa: E402

import soft_optimality  # noqa: E402, F401  its records can be received from here on
import wire  # noqa: E402
from sandbox import START_SECONDS, Limits, Sandbox  # noqa: E402

LARGEST_NOTEBOOK = 20 * 2**20
SHOWN = ("text/plain", "image/png", "image/jpeg")  # HTML and SVG could carry scripts into the instructor's browser
LARGEST_OUTPUT = 2**20  # of one cell, pictures and all, in the feedback


class Unreadable(Exception):
    """A submission that is no notebook, in words for the student."""


class Gone(Exception):
    """The submission's Python has ended, and why."""


class StudentError(Exception):
    """An exception of the student's own kind."""


class Remote:
    """Stands for an object of the submission's that is not data."""

    def __init__(self, line: Line, number: int, kind: str) -> None:
        self._line, self._number, self._kind = line, number, kind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._line.ask("attribute", number=self._number, name=name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Remote:
        return self

    def __repr__(self) -> str:
        return f"(an object of type {self._kind})"


class RemoteFunction(Remote):
    """Stands for a function of the submission's."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._line.call(self._number, arguments, keywords)

    def __repr__(self) -> str:
        return "(your function)"


class Line:
    """Questions to the sandbox, one at a time."""

    def __init__(self, limits: Limits, unsafe: bool) -> None:
        self.sandbox = Sandbox(limits, unsafe)
        self.count = 0
        self.gone = ""
        try:
            self.sandbox.start()
        except (OSError, EOFError):
            raise RuntimeError("the sandbox did not start") from None

    def exchange(self, what: str, **details: Any) -> dict[str, Any]:
        """A question and its answer.  Gone if the submission's Python has ended, or ends over it."""
        if self.gone:
            raise Gone(self.gone)
        self.count += 1
        try:
            wire.send(self.sandbox.to, {"id": self.count, "what": what, **details})
            while True:  # an answer to a question that was given up (so.check's own time limit) is passed over
                answer = wire.receive(self.sandbox.back)
                if answer.get("id") == self.count:
                    return answer
        except (OSError, EOFError, wire.BadMessage) as error:
            self._lost(error)

    def _lost(self, error: Exception) -> NoReturn:
        why = self.sandbox.ended or "the code made Python itself end (os._exit, a crash, or too much memory)"
        if isinstance(error, wire.BadMessage) and not self.sandbox.ended:
            why = f"the code answered the grader with something that cannot be read ({error})"
        self.gone = why
        self.sandbox.kill(why)
        raise Gone(why) from None

    def ask(self, what: str, **details: Any) -> Any:
        answer = self.exchange(what, **details)
        if "error" in answer:
            raise self._error(answer["error"])
        return self.decode(answer.get("value"))

    def call(self, number: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        answer = self.exchange(
            "call",
            number=number,
            arguments=[self.encode(a) for a in arguments],
            keywords={name: self.encode(value) for name, value in keywords.items()},
        )
        for mine, theirs in zip(arguments, answer.get("arguments", []), strict=False):
            _copy_changes(mine, self.decode(theirs))
        if "error" in answer:
            raise self._error(answer["error"])
        return self.decode(answer.get("value"))

    def _error(self, error: Any) -> Exception:
        name, text = (str(part)[:2000] for part in [*error, "", ""][:2])
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(text)
            except TypeError:  # UnicodeDecodeError and its like want more arguments
                pass
        return StudentError(f"the function was {text}" if name == "TimeIsUp" else f"{name}: {text}")

    def encode(self, value: Any) -> Any:
        return wire.encode(value, lambda other: {"remote": other._number} if isinstance(other, Remote) else wire.pickled(other))

    def decode(self, message: Any) -> Any:
        def other(message: dict[str, Any]) -> Remote:
            number, is_function, kind = message["remote"]
            return (RemoteFunction if is_function is True else Remote)(self, int(number), str(kind)[:50])

        try:
            return wire.decode(message, other)
        except wire.BadMessage as error:
            raise StudentError(f"what came back cannot be read ({error})") from None


def _copy_changes(mine: Any, theirs: Any) -> None:
    """A function that changes an array which it was given changes ours, as it would without a sandbox."""
    import numpy as np

    if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray) and mine.shape == theirs.shape and mine.dtype == theirs.dtype:
        mine[...] = theirs


# -- the notebooks ------------------------------------------------------------------------------------------------------------------


def read_submission(data: bytes) -> NotebookNode:
    """A student's notebook without its outputs.  Unreadable, in words for the student, where it is none."""
    if len(data) > LARGEST_NOTEBOOK:
        raise Unreadable(f"The file has {len(data) // 2**20} MB, more than {LARGEST_NOTEBOOK // 2**20}. Clear its outputs and hand it in again.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"The file is not UTF-8 text (byte {error.start} cannot be read). Open it in Jupyter, save it and hand it in again."
        ) from None
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook, relax_add_props=True)
    except (nbformat.reader.NotJSONError, RecursionError):
        raise Unreadable("The file is not a notebook: it is not valid JSON, perhaps cut off. Save it in Jupyter and hand it in again.") from None
    except Exception as error:
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise Unreadable(f"The file is JSON but not a notebook ({detail}). Save it from Jupyter and hand it in again.") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def marked(cell: NotebookNode, role: str) -> bool:
    """Whether a cell of the instructor's has this role in nbgrader: grade, solution."""
    return bool(cell.metadata.get("nbgrader", {}).get(role, False))


def is_grade(cell: NotebookNode) -> bool:
    return marked(cell, "grade")


def is_solution(cell: NotebookNode) -> bool:
    return marked(cell, "solution")


def by_id(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {grade_id(cell): cell for cell in notebook.cells if grade_id(cell)}


def grade_id(cell: NotebookNode) -> str:
    mark = cell.metadata.get("nbgrader")
    return str(mark.get("grade_id", "")) if isinstance(mark, dict) else ""


def assigned_names(code: str) -> set[str]:
    """The names that a cell binds, except by importing: what is there is the student's, whatever the grader has of that name."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return set()
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            return
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return names


def used_names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def plain_python(code: str) -> str:
    """Without Jupyter's magics: the grader's side has no use for them."""
    lines = [line for line in code.splitlines() if not line.lstrip().startswith(("%", "!"))]
    return TransformerManager().transform_cell("\n".join(lines))


# -- the examination ----------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Result:
    """A submission's grade.

    points     of the tests
    max        of the assignment, what is read by a person included
    scores     points of each graded cell; None where a person has to read
    status     graded, by hand (a person has to read some), stopped (not all of it could run), unreadable
    reasons    for the student: what cost points
    notebook   what to show: the student's cells, their outputs, what the tests said
    """

    points: float
    max: float
    scores: dict[str, float | None]
    status: str
    reasons: list[str]
    notebook: NotebookNode | None


class Examination:
    """The tests' side: its names, and the line to the sandbox."""

    def __init__(self, source: NotebookNode, line: Line) -> None:
        self.line = line
        self.names: dict[str, Any] = {"__name__": "__main__"}
        code = [cell.source for cell in source.cells if cell.cell_type == "code" and is_solution(cell)]
        self.students = set().union(*(assigned_names(plain_python(text)) for text in code))

    def _fetch(self, code: str) -> None:
        """Ask for the student's names that this code uses."""
        for name in sorted(used_names(code)):
            if name in self.students or (name not in self.names and not hasattr(builtins, name)):
                self.names.pop(name, None)
                answer = self.line.exchange("get", name=name)
                if "missing" not in answer and "value" in answer:
                    self.names[name] = self.line.decode(answer["value"])

    def run(self, code: str, label: str) -> None:
        """Run trusted code here.  It raises what the code raises."""
        code = plain_python(code)
        self._fetch(code)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(code, f"<{label}>", "exec"), self.names)


def said(error: BaseException) -> str:
    """What a failed test tells the student."""
    text = str(error).strip()
    if isinstance(error, AssertionError):
        return text or "a test of this exercise fails (it gives no message)"
    if isinstance(error, StudentError | Gone):
        return text
    if isinstance(error, NameError) and text:
        return text + ": was the cell removed, or did it fail?"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def examine(source: NotebookNode, release: NotebookNode, submission: NotebookNode, limits: Limits, unsafe: bool) -> Result:
    """Run a submission cell by cell; run each test where its cell stands last (or at the end, where it is missing)."""
    cells, stubs = by_id(source), by_id(release)
    place = {grade_id(cell): index for index, cell in enumerate(submission.cells) if grade_id(cell) in cells}
    shown: list[NotebookNode] = []
    scores: dict[str, float | None] = {name: 0.0 for name, cell in cells.items() if is_grade(cell)}
    answered: set[str] = set()
    failed: dict[str, str] = {}
    notes = _notes(cells, submission)
    line = Line(limits, unsafe)
    tests = Examination(source, line)

    def outputs(code: str) -> list[Any]:
        try:
            return _checked(line.exchange("run", code=code).get("outputs"))
        except Gone as gone:
            return [_error("Stopped", str(gone))]

    def take_test(name: str) -> None:
        cell = stubs[name].copy()
        points = float(cells[name].metadata.nbgrader.points)
        try:
            tests.run(cells[name].source, name)
            scores[name] = points
            cell.outputs = [_stream(f"Passed: {points:g} of {points:g} points.\n")]
        except BaseException as error:  # a test may end in anything, and costs its own points only
            if isinstance(error, KeyboardInterrupt):
                raise
            failed[name] = said(error)
            cell.outputs = [_error("0 of " + f"{points:g} points", failed[name])]
        shown.append(cell)

    def restore(name: str) -> None:
        """A cell that is the instructor's: as it was handed out, whatever became of it."""
        cell = stubs[name].copy()
        if cell.cell_type == "code":
            with contextlib.suppress(Exception):
                tests.run(cells[name].source, name)
            cell.outputs = outputs(cells[name].source)
        shown.append(cell)

    try:
        # What the instructor set up at the top and the student lost is needed by all that follows.
        first_solution = next((i for i, cell in enumerate(source.cells) if is_solution(cell)), len(source.cells))
        for cell in source.cells[:first_solution]:
            if grade_id(cell) not in place and cell.cell_type == "code" and not is_grade(cell):
                restore(grade_id(cell))
        for index, cell in enumerate(submission.cells):
            name = grade_id(cell)
            theirs = cells.get(name)
            if theirs is None or is_solution(theirs):
                mine = nbformat.from_dict(json.loads(json.dumps(cell)))
                mine.metadata = stubs[name].metadata if theirs is not None and place[name] == index else NotebookNode()
                if mine.cell_type == "code":
                    mine.outputs = outputs(mine.source)
                    notes += [f"the cell {name or index + 1} ended with {ended}" for ended in map(_ending, mine.outputs) if ended]
                if theirs is not None and is_grade(theirs) and mine.source.strip() != stubs[name].source.strip():
                    answered.add(name)
                shown.append(mine)
            elif place[name] == index:
                (take_test if is_grade(theirs) else restore)(name)
        for name, cell in cells.items():
            if name not in place and is_grade(cell) and not is_solution(cell):
                take_test(name)
            elif name not in place and is_solution(cell) and is_grade(cell):
                lost = stubs[name].copy()
                shown.append(lost)
    finally:
        line.sandbox.close()

    for name in answered:
        scores[name] = None  # a person reads it
    notebook = nbformat.v4.new_notebook(cells=shown)
    _new_ids(notebook)
    return _result(cells, scores, failed, notes, line.gone, notebook)


def _result(
    cells: dict[str, NotebookNode], scores: dict[str, float | None], failed: dict[str, str], notes: list[str], gone: str, notebook: NotebookNode
) -> Result:
    reasons = [f"Stopped: {gone}. What had passed before counts."] if gone else []
    if not gone:
        reasons += [f"{name}: {text}" for name, text in failed.items()]
    elif failed:
        reasons.append("not passed: " + ", ".join(failed))
    blank = [name for name, cell in cells.items() if is_grade(cell) and is_solution(cell) and scores[name] == 0.0]
    if blank:
        reasons.append("no answer: " + ", ".join(blank))
    by_hand = [name for name, score in scores.items() if score is None]
    if by_hand:
        reasons.append("to be read by a person: " + ", ".join(f"{name} ({float(cells[name].metadata.nbgrader.points):g})" for name in by_hand))
    status = "stopped" if gone else "by hand" if by_hand else "graded"
    points = sum(score for score in scores.values() if score is not None)
    return Result(points, maximum(cells), scores, status, [*reasons, *notes] or ["all tests passed"], notebook)


def maximum(cells: dict[str, NotebookNode]) -> float:
    return sum(float(cell.metadata.nbgrader.points) for cell in cells.values() if is_grade(cell))


def _notes(cells: dict[str, NotebookNode], submission: NotebookNode) -> list[str]:
    """What else the student should know."""
    found = [grade_id(cell) for cell in submission.cells]
    notes = [f"the cell {name} is missing" for name in cells if name not in found and cells[name].cell_type == "code"]
    notes += [f"the cell {name} is there {found.count(name)} times; the last one counts" for name in cells if found.count(name) > 1]
    kernel = submission.metadata.get("kernelspec", {})
    language = str(kernel.get("language") or "python") if isinstance(kernel, dict) else "?"
    if language.lower() not in ("python", "python3", "ipython"):
        notes.append(f"the notebook asks for a kernel of {language[:40]!r}; it was graded with Python")
    return notes


def _ending(output: Any) -> str:
    """The error that ended a cell, in a line."""
    if output["output_type"] != "error" or output["ename"] == "Stopped":
        return ""
    return " ".join(f"{output['ename']}: {output['evalue']}".split())[:150].removesuffix(":")


def _stream(text: str) -> NotebookNode:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def _error(name: str, text: str) -> NotebookNode:
    return nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def _checked(outputs: Any) -> list[Any]:
    """Outputs from the sandbox, if that is what they are."""
    try:
        if len(json.dumps(outputs)) > LARGEST_OUTPUT:
            return [_stream("[the output was too large and was left out]\n")]
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.from_dict(output) for output in outputs])
        for output in cell.outputs:
            if "data" in output:
                output.data = {kind: data for kind, data in output.data.items() if kind in SHOWN}
        nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
        return cell.outputs
    except Exception:
        return [_stream("[the output could not be read]\n")]


def _new_ids(notebook: NotebookNode) -> None:
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"


def unreadable(source_text: str, why: str) -> Result:
    """No points, and why, in words for the student."""
    cells = by_id(nbformat.reads(source_text, as_version=4))
    return Result(0.0, maximum(cells), {name: 0.0 for name, cell in cells.items() if is_grade(cell)}, "unreadable", [why], None)


def grade(job: dict[str, Any]) -> dict[str, Any]:
    """The result of a job: {source, release, submission (base 64), limits, unsafe}."""
    source, release = (nbformat.reads(job[name], as_version=4) for name in ("source", "release"))
    try:
        result = examine(source, release, read_submission(base64.b64decode(job["submission"])), Limits(**job["limits"]), job["unsafe"])
    except Unreadable as error:
        result = unreadable(job["source"], str(error))
    return dataclasses.asdict(result)


def in_own_process(job: dict[str, Any]) -> dict[str, Any]:
    """`grade` in a fresh Python.  What a Dask worker runs.  A failure of the grader itself is a result too, of status "error"."""
    longest = START_SECONDS + 2 * job["limits"]["seconds"] + 60
    try:
        run = subprocess.run(
            [sys.executable, __file__], input=json.dumps(job), capture_output=True, text=True, timeout=longest, check=False
        )
        if run.returncode == 0:
            return json.loads(run.stdout)
        problem = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
    except subprocess.TimeoutExpired:
        problem = ["the tests did not end"]
    return {"points": 0.0, "max": 0.0, "scores": {}, "status": "error", "reasons": [f"The grader failed: {problem[0]}"], "notebook": None}


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr
    job = json.loads(sys.stdin.read())
    try:
        result = grade(job)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    json.dump(result, answers)


if __name__ == "__main__":
    main()
