"""Two builds of the same source are the same bytes, page for page, JupyterLite included."""

import filecmp
import os
import subprocess
import sys
from pathlib import Path

from paths import ROOT

# What may differ between two builds on one machine: nothing.
# Between machines: JupyterLite's translations and icons, which it takes from a jupyterlab-server if there is one.


def different(first: filecmp.dircmp, prefix: str = "") -> list[str]:
    found = [prefix + name for name in (*first.left_only, *first.right_only, *first.funny_files)]
    found += [prefix + name for name in filecmp.cmpfiles(first.left, first.right, first.common_files, shallow=False)[1]]
    for name, below in first.subdirs.items():
        found += different(below, f"{prefix}{name}/")
    return found


def test_a_second_build_gives_the_same_bytes(site: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "SOFT_OPTIMALITY_STATIC": "1", "PYTHONHASHSEED": "1"}  # the first had another seed
    build = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "--path-output", str(tmp_path), "--all", "-q"]
    subprocess.run(build, cwd=ROOT, env=environment, check=True, capture_output=True)
    again = tmp_path / "_build" / "html"
    lite = [sys.executable, "book_ext/lite.py", str(again), str(Path(sys.prefix) / "lite-wheels")]
    subprocess.run(lite, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert different(filecmp.dircmp(site, again)) == []
