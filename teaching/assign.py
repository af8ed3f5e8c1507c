"""`make assignments`: student notebooks from the sources, by nbgrader, and the assignments in its gradebook."""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "chapters" / "exercises"
# nbgrader asks a program of its environment, alembic, for the version of its gradebook.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def course(root: Path, release: Path) -> tuple[Config, CourseDirectory]:
    """nbgrader's course folder: gradebook.db, source, autograded and feedback in `root`; the students' notebooks in `release`."""
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.release_directory = str(release)
    config.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}"
    config.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}
    config.ClearSolutions.text_stub = "Your answer."
    return config, CourseDirectory(config=config)


def assign(source: Path, root: Path, release: Path) -> Path:
    """The student's notebook of one source, and the assignment in the gradebook.  ValueError where nbgrader refuses the source."""
    name = source.stem
    folder = root / "source" / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder / source.name)
    config, directory = course(root, release)
    result = NbGraderAPI(directory, config=config).generate_assignment(name, force=True)
    if not result["success"]:
        problems = re.findall(r"^\s*((?:\w+\.)*\w+(?:Error|Exception): .*)$", result["log"] or "", re.MULTILINE)
        raise ValueError(f"{source}: nbgrader cannot make the assignment: {problems[0] if problems else result['log']}")
    return release / name / source.name


def pack(release: Path) -> Path:
    """All student notebooks in one zip, the same bytes for the same notebooks."""
    target = release / "assignments.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(release.glob("*/*.ipynb")):
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(release))), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, default=SOURCES)
    parser.add_argument("--release", type=Path, default=ROOT / "release")
    parser.add_argument("--course", type=Path, default=ROOT / "grades")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    sources = sorted(options.sources.glob("*.ipynb"))
    if not sources:
        raise SystemExit(f"{options.sources}: no source notebooks")
    for source in sources:
        print(assign(source, options.course.resolve(), options.release.resolve()))
    print(pack(options.release.resolve()))


if __name__ == "__main__":
    main()
