"""`make grade SUBMISSIONS=dir`: grade a class.  Reads dir/<student>/<assignment>/<assignment>.ipynb or dir/<student>/<assignment>.ipynb.

Leaves, in the output folder: grades.csv, feedback/<student>/<assignment>.html, nbgrader's gradebook (gradebook.db) with the notebooks that
its formgrader shows (autograded/), and results/, from which a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import base64
import csv
import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat
import nbgrader
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import GetGrades
from sqlalchemy.exc import SAWarning
from tqdm import tqdm
from traitlets.config import Config

import examiner
from assign import ROOT, SOURCES, assign
from examiner import LARGEST_NOTEBOOK
from sandbox import Limits, refusal

COLUMNS = ["student", "assignment", "points", "max", "status", "reason"]
# Feedback pages run no script and ask nothing of any host, whatever a student wrote into a cell.
INERT = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:">"""
HERE = Path(__file__).resolve().parent
Job = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Submission:
    student: str
    assignment: str
    path: Path


def find_submissions(folder: Path, assignments: set[str]) -> list[Submission]:
    """What each student handed in.  Folders and files that are no assignment's are named and left out."""
    found: list[Submission] = []
    for student in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")):
        for path in sorted(student.iterdir()):
            name = path.stem if path.suffix == ".ipynb" else path.name
            if name in assignments:
                found.append(Submission(student.name, name, path if path.suffix == ".ipynb" else _notebook_in(path, name)))
            elif not name.startswith("."):
                print(f"left out: {path} (no assignment of this name)", file=sys.stderr)
    pairs = [(item.student, item.assignment) for item in found]
    twice = sorted({pair for pair in pairs if pairs.count(pair) > 1})
    if twice:
        raise SystemExit(f"{twice[0][0]} handed in {twice[0][1]} twice, as a file and as a folder: keep one")
    return found


def _notebook_in(folder: Path, name: str) -> Path:
    """The notebook of the assignment's name, or the only one there is."""
    if not (folder / f"{name}.ipynb").exists() and not folder.is_symlink() and folder.is_dir():
        notebooks = sorted(folder.glob("*.ipynb"))
        if len(notebooks) == 1:
            return notebooks[0]
    return folder / f"{name}.ipynb"


def read(path: Path) -> bytes | str:
    """The file, or why there is none to read.  Links are not followed: they may lead to another's work, or to the solutions."""
    try:
        if path.parent.is_symlink() or path.is_symlink():
            return "What was handed in is a link, not a notebook. Hand in the file itself."
        if not stat.S_ISREG(path.stat().st_mode):
            return "What was handed in is not a file."
        if path.stat().st_size > LARGEST_NOTEBOOK:
            return f"The file is larger than {LARGEST_NOTEBOOK // 2**20} MB. Clear its outputs and hand it in again."
        return path.read_bytes()
    except OSError as error:
        return f"There is no notebook {path.name} ({error.strerror})."


class Course:
    """The output folder: results, nbgrader's gradebook, feedback and the table."""

    def __init__(self, root: Path, sources: dict[str, Path]) -> None:
        self.root, self.sources = root, {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
        root.mkdir(parents=True, exist_ok=True)
        # What `jupyter lab`, started in this folder, needs to find nbgrader's course.
        settings = ["c = get_config()", f"c.CourseDirectory.root = {str(root)!r}", "c.HTMLExporter.sanitize_html = True", ""]
        write(root / "nbgrader_config.py", "\n".join(settings))
        for name, path in sources.items():
            copy = root / "source" / name / path.name
            made = (root / "gradebook.db").exists() and (root / "release" / name / f"{name}.ipynb").exists()
            if not made or not copy.exists() or copy.read_bytes() != path.read_bytes():
                assign(path, root, root / "release")
        self.releases = {name: (root / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8") for name in sources}
        self.gradebook = Gradebook(f"sqlite:///{root / 'gradebook.db'}")
        config = Config()
        templates = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader"
        # The page asks nothing of other hosts, and what a student wrote is shown, not obeyed.
        config.HTMLExporter.update(
            {"template_name": "feedback", "extra_template_basedirs": [str(templates / "templates")], "sanitize_html": True, "mathjax_url": ""}
        )
        config.HTMLExporter.update({"require_js_url": "", "jquery_url": "", "mermaid_js_url": ""})
        config.HTMLExporter.extra_template_paths = [str(templates / "static" / "node_modules" / "bootstrap" / "dist" / "css")]
        self.exporter = HTMLExporter(config=config, preprocessors=[GetGrades, "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor"])

    def result_path(self, item: Submission) -> Path:
        return self.root / "results" / item.student / f"{item.assignment}.json"

    def stored(self, item: Submission, key: str) -> Job | None:
        """The result of an earlier run with the same file, source, limits and grader."""
        try:
            result = json.loads(self.result_path(item).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if result.get("key") == key else None

    def store(self, item: Submission, key: str, result: Job) -> Job:
        """Write a result in one step, and last, so that a run that is killed leaves all of it or grades again."""
        result["key"] = key
        if result["status"] != "error":
            self._to_gradebook(item, result)
            write(self.result_path(item), json.dumps(result))
        return result

    def _to_gradebook(self, item: Submission, result: Job) -> None:
        book = self.gradebook
        book.update_or_create_student(item.student)
        book.update_or_create_submission(item.assignment, item.student)
        for name, score in result["scores"].items():
            grade = book.find_grade(name, item.assignment, item.assignment, item.student)
            grade.auto_score = score
            grade.needs_manual_grade = score is None or grade.manual_score is not None
        book.db.commit()

    def row(self, item: Submission, result: Job) -> list[str]:
        """A line of the table; points that a person gave in nbgrader's formgrader are counted."""
        points, status, reasons = result["points"], result["status"], result["reasons"]
        if status != "error":
            if not self._in_gradebook(item):  # the gradebook was deleted, the results were not
                self._to_gradebook(item, result)
            notebook = self.gradebook.find_submission_notebook(item.assignment, item.assignment, item.student)
            points = notebook.score
            if status == "by hand" and not notebook.needs_manual_grade:
                status, reasons = "graded", [reason for reason in reasons if not reason.startswith("to be read")]
        text = " ".join("; ".join(reasons or ["read by a person"]).split())
        return [item.student, item.assignment, f"{points:g}", f"{result['max']:g}", status, text[:500]]

    def _in_gradebook(self, item: Submission) -> bool:
        try:
            self.gradebook.find_submission_notebook(item.assignment, item.assignment, item.student)
        except nbgrader.api.MissingEntry:
            return False
        return True

    def feedback(self, item: Submission, result: Job, row: list[str]) -> None:
        """The student's page, and the notebook for nbgrader's formgrader.  Written again when the grade or a comment changed."""
        page = self.root / "feedback" / item.student / f"{item.assignment}.html"
        if result["status"] == "error":
            page.unlink(missing_ok=True)
            return
        submitted = self.gradebook.find_submission_notebook(item.assignment, item.assignment, item.student)
        state = json.dumps([result["key"], row, [comment.comment for comment in submitted.comments]])
        stamp = self.root / "results" / item.student / f"{item.assignment}.shown"
        if page.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == state:
            return
        notebook = nbformat.from_dict(result["notebook"]) if result["notebook"] else nbformat.v4.new_notebook()
        write(self.root / "autograded" / item.student / item.assignment / f"{item.assignment}.ipynb", nbformat.writes(notebook))
        notebook.cells.insert(0, _summary(row, result["reasons"]))
        names = {
            "notebook": item.assignment,
            "assignment": item.assignment,
            "student": item.student,
            "db_url": f"sqlite:///{self.root / 'gradebook.db'}",
        }
        html, _ = self.exporter.from_notebook_node(notebook, {"nbgrader": names, "metadata": {"name": item.assignment}})
        write(page, re.sub(r'<script src="https?:[^"]*">\s*</script>', "", html).replace("<head>", "<head>" + INERT, 1))
        write(stamp, state)


def _summary(row: list[str], reasons: list[str]) -> NotebookNode:
    lines = [f"## {row[1]}: {row[2]} of {row[3]} points", "", *(f"- `{' '.join(reason.replace('`', chr(39)).split())}`" for reason in reasons)]
    return nbformat.v4.new_markdown_cell("\n".join(lines))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def on_this_machine(jobs: list[Job], workers: int) -> Iterator[tuple[int, Job]]:
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(examiner.in_own_process, job): index for index, job in enumerate(jobs)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def on_cluster(jobs: list[Job], address: str) -> Iterator[tuple[int, Job]]:
    """Each submission a task.  A worker that is lost costs its tasks a second try."""
    from distributed import Client
    from distributed import as_completed as completed

    with Client(address) as client:
        if not jobs[0]["unsafe"]:
            for worker, why in client.run(refusal, Limits(**jobs[0]["limits"])).items():
                if why:
                    raise SystemExit(f"the worker {worker} refuses to grade: {why}")
        waiting = {client.submit(examiner.in_own_process, job, pure=False, retries=1): index for index, job in enumerate(jobs)}
        for done in completed(waiting):
            yield waiting[done], done.result()


def grade_class(submissions: Path, course: Course, limits: Limits, unsafe: bool, run: Callable[[list[Job]], Iterator[tuple[int, Job]]]) -> Path:
    """Grade what has not been graded, and write feedback and the table."""
    items = find_submissions(submissions, set(course.sources))
    if not items:
        expected = f"expected <student>/<assignment>/<assignment>.ipynb with an assignment of {', '.join(sorted(course.sources))}"
        raise SystemExit(f"{submissions}: no submissions; {expected}")
    grader = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))
    results: dict[Submission, Job] = {}
    todo: list[tuple[Submission, str, Job]] = []
    for item in items:
        data = read(item.path)
        source = course.sources[item.assignment]
        parts = [source, data if isinstance(data, str) else base64.b64encode(data).decode(), dataclasses.asdict(limits), unsafe]
        key = hashlib.sha256(json.dumps(parts).encode() + grader).hexdigest()
        earlier = course.stored(item, key)
        if earlier:
            results[item] = earlier
        elif isinstance(data, str):
            results[item] = course.store(item, key, dataclasses.asdict(examiner.unreadable(source, data)))
        else:
            todo.append(
                (
                    item,
                    key,
                    {"source": source, "release": course.releases[item.assignment], "submission": parts[1], "limits": parts[2], "unsafe": unsafe},
                )
            )
    with tqdm(total=len(items), initial=len(results), desc="grading", unit="notebook") as bar:
        for index, result in run([job for _, _, job in todo]) if todo else ():
            item, key, _ = todo[index]
            results[item] = course.store(item, key, result)
            bar.set_postfix_str(f"{item.student} {result['status']}")
            bar.update()
    rows = []
    for item in tqdm(items, desc="feedback", unit="page"):
        rows.append(course.row(item, results[item]))
        course.feedback(item, results[item], rows[-1])
    table = course.root / "grades.csv"
    with table.with_suffix(".draft").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    shutil.move(table.with_suffix(".draft"), table)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submissions", type=Path)
    parser.add_argument("--sources", type=Path, default=SOURCES, help="the instructor's notebooks")
    parser.add_argument("--out", type=Path, default=ROOT / "grades")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="submissions at a time on this machine")
    parser.add_argument("--scheduler", default="", help="address of a Dask scheduler")
    parser.add_argument("--unsafe", action="store_true", help="grade without a sandbox: submissions can then read and delete your files")
    for field in dataclasses.fields(Limits):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    options = parser.parse_args()
    limits = Limits(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Limits)})
    if not options.submissions.is_dir():
        raise SystemExit(f"{options.submissions}: no such folder; make grade SUBMISSIONS=folder")
    if options.unsafe:
        print("WITHOUT A SANDBOX: submissions can read and change whatever you can.", file=sys.stderr)
    elif not options.scheduler and (why := refusal(limits)):
        raise SystemExit(f"No grading without a sandbox. {why}\nUNSAFE=1 grades without one: only for submissions that you trust.")
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", category=SAWarning)  # nbgrader's own way with its database
    course = Course(options.out.resolve(), {path.stem: path for path in sorted(options.sources.glob("*.ipynb"))})
    run: Callable[[list[Job]], Iterator[tuple[int, Job]]] = lambda jobs: (
        on_cluster(jobs, options.scheduler) if options.scheduler else on_this_machine(jobs, options.workers)
    )
    print(grade_class(options.submissions, course, limits, options.unsafe, run))


if __name__ == "__main__":
    main()
