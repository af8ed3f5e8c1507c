"""JupyterLite beside the book: each chapter opens in the browser with a Python of its own.

The book serves the library, every pure wheel and the application; only the runtime and the compiled packages that pyodide.json pins
come from the runtime's public distribution.  A lock file names them all, so that `import soft_optimality` in a chapter's first cell
is all that a reader has to run: the kernel fetches what a cell imports.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYODIDE = json.loads((ROOT / "book_ext" / "pyodide.json").read_text("utf8"))
RUNTIME = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE['version']}/full/"
KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"
# Where a requirement's marker is read: the kernel, not this machine.
BROWSER = {"python_version": "3.14", "python_full_version": PYODIDE["info"]["python"], "sys_platform": "emscripten", "os_name": "posix"}
BROWSER |= {"platform_system": "Emscripten", "implementation_name": "cpython", "platform_python_implementation": "CPython", "extra": ""}
NOT_IN_A_BROWSER = {"pexpect"}
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of every file in our wheel: two builds give the same bytes


def write_library_wheel(folder: Path) -> Path:
    """The library as it stands, as a wheel, without a build that would need the network."""
    installed = distribution("soft-optimality")
    info = f"soft_optimality-{installed.version}.dist-info"
    files = {path.relative_to(ROOT / "lib").as_posix(): path.read_bytes() for path in (ROOT / "lib" / "soft_optimality").rglob("*") if path.is_file()}
    files = {name: data for name, data in files.items() if "__pycache__" not in name}
    files[f"{info}/METADATA"] = (installed.read_text("METADATA") or "").encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: book_ext/lite.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*sorted(files), f"{info}/RECORD"]).encode()
    path = folder / f"soft_optimality-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name in sorted(files):
            wheel.writestr(zipfile.ZipInfo(name, LONG_AGO), files[name], zipfile.ZIP_DEFLATED)
    return path


def lock_entry(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode("utf8"))
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    modules = {name.split("/")[0].removesuffix(".py") for name in names if name.endswith(".py")}
    return {
        "name": canonicalize_name(metadata["Name"]),
        "version": metadata["Version"],
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted(name for name in modules if "." not in name),
        "depends": sorted({canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate(BROWSER)} - NOT_IN_A_BROWSER),
        "unvendored_tests": False,
    }


def write_lock(folder: Path, wheels: list[Path], runtime: str = RUNTIME) -> None:
    packages = {name: {**entry, "file_name": runtime + entry["file_name"]} for name, entry in PYODIDE["packages"].items()}
    packages |= {entry["name"]: entry for entry in map(lock_entry, wheels)}
    for package in packages.values():
        missing = set(map(canonicalize_name, package["depends"])) - set(packages)
        if missing:
            sys.exit(f"{package['name']} needs {sorted(missing)}: pin them in requirements-lite.txt")
    (folder / "pyodide-lock.json").write_text(json.dumps({"info": PYODIDE["info"], "packages": dict(sorted(packages.items()))}, indent=1), "utf8")


def write_contents(site: Path, lite: Path) -> None:
    """The chapters as files and as the listing that JupyterLab's file browser reads."""
    listing = []
    (lite / "files").mkdir(exist_ok=True)
    for notebook in sorted((site / "_sources").rglob("*.ipynb")):
        shutil.copyfile(notebook, lite / "files" / notebook.name)
        entry = {"name": notebook.name, "path": notebook.name, "type": "notebook", "format": None, "content": None, "mimetype": None}
        dates = {"created": "2026-01-01T00:00:00Z", "last_modified": "2026-01-01T00:00:00Z"}
        listing.append({**entry, **dates, "size": notebook.stat().st_size, "writable": True})
    folder = {"name": "", "path": "", "type": "directory", "format": "json", "mimetype": None, "size": None, "writable": True}
    (lite / "api" / "contents").mkdir(parents=True, exist_ok=True)
    (lite / "api" / "contents" / "all.json").write_text(json.dumps({**folder, **dates, "content": listing}, indent=1), "utf8")


def build(site: Path, wheels: Path) -> None:
    lite = (site / "lite").resolve()
    shutil.rmtree(lite, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = {"lockFileURL": "pypi/pyodide-lock.json", "packages": ["comm", "ipython"]}
        settings = {KERNEL: {"pyodideUrl": f"{RUNTIME}pyodide.mjs", "disablePyPIFallback": True, "loadPyodideOptions": options}}
        data = {"appName": "Soft Optimality", "contentsAllJsonFile": "all.json", "litePluginSettings": settings}
        (folder / "jupyter-lite.json").write_text(json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": data}), "utf8")
        # Only these, whatever else this environment has for its own JupyterLab.
        share = Path(sys.prefix) / "share" / "jupyter" / "labextensions"
        extensions = [str(share / name) for name in ("@jupyterlite/pyodide-kernel-extension", "@jupyter-widgets/jupyterlab-manager", "anywidget")]
        config: dict[str, Any] = {"federated_extensions": extensions, "ignore_sys_prefix": ["federated_extensions"]}
        config |= {"output_dir": str(lite), "apps": ["lab"], "no_sourcemaps": True, "no_unused_shared_packages": True}
        (folder / "jupyter_lite_config.json").write_text(json.dumps({"LiteBuildConfig": config}), "utf8")
        command = [sys.executable, "-m", "jupyterlite_core.app", "build", "--lite-dir", name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"JupyterLite could not be built:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    pypi = lite / "pypi"
    pypi.mkdir(exist_ok=True)
    served = [Path(shutil.copyfile(wheel, pypi / wheel.name)) for wheel in sorted(wheels.glob("*.whl"))]
    write_lock(pypi, [*served, write_library_wheel(pypi)])
    write_contents(site, lite)
    for page in lite.rglob("*.html"):  # no page of ours names the fonts of another host
        page.write_text(re.sub(r'<link [^>]*href="https?://fonts\.[^>]*>', "", page.read_text("utf8")), "utf8")


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
