"""JupyterLite from a chapter's button, in headless Chromium, with every other host out of reach.

The runtime comes from npm here, in a copy of the site: it is the same release that readers get from its public distribution.
npm carries no compiled packages, so NumPy, SciPy and Matplotlib are not run in the browser by this test; the cells that need
them are run by tests/notebooks, in this machine's Python.
"""

import functools
import hashlib
import json
import shutil
import subprocess
import tarfile
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from paths import ROOT
from playwright.sync_api import Browser, Page

from lite import KERNEL, PYODIDE, RUNTIME
from serve import Quiet

pytestmark = pytest.mark.browser
CHAPTERS = [path.relative_to(ROOT) for folder in ("chapters", "chapters/appendix") for path in sorted((ROOT / folder).glob("*.ipynb"))]
CELL = "import sys, tqdm, anywidget\nprint(sys.platform, tqdm.__version__, anywidget.__version__)\nimport soft_optimality as so"


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm brings the browser's Python to this test, and it is not installed")
    folder = tmp_path_factory.mktemp("pyodide")
    done = subprocess.run(["npm", "pack", "--silent", f"pyodide@{PYODIDE['version']}"], cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm could not fetch the runtime: {done.stderr[-300:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder)
    return folder / "package"


@pytest.fixture(scope="session")
def hosted(site: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site with the runtime beside it and, as there are none, without the compiled packages."""
    copy = tmp_path_factory.mktemp("lite") / "html"
    shutil.copytree(site, copy)
    shutil.copytree(runtime, copy / "lite" / "static" / "pyodide")
    settings = copy / "lite" / "jupyter-lite.json"
    config = json.loads(settings.read_text("utf8"))
    config["jupyter-config-data"]["litePluginSettings"][KERNEL]["pyodideUrl"] = "./static/pyodide/pyodide.mjs"
    settings.write_text(json.dumps(config), "utf8")
    lock_file = copy / "lite" / "pypi" / "pyodide-lock.json"
    lock = json.loads(lock_file.read_text("utf8"))
    lock["packages"] = {name: entry for name, entry in lock["packages"].items() if not entry["file_name"].startswith(RUNTIME)}
    for entry in lock["packages"].values():
        entry["depends"] = [name for name in entry["depends"] if name not in PYODIDE["packages"]]
    lock_file.write_text(json.dumps(lock), "utf8")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(copy))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def open_from_button(page: Page, address: str, chapter: str) -> None:
    page.goto(f"{address}/chapters/{chapter}.html")
    page.get_by_role("link", name="Run in the browser").click()
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=60_000)


def test_a_chapter_opens_from_its_button_and_the_kernel_runs_what_is_pure_python(browser: Browser, hosted: str) -> None:
    context = browser.new_context()
    foreign: list[str] = []
    context.route(lambda url: not url.startswith((hosted, "data:", "blob:")), lambda route: (foreign.append(route.request.url), route.abort()))
    page = context.new_page()
    open_from_button(page, hosted, "01_inference")
    assert page.locator(".jp-DirListing-itemText").all_text_contents() == sorted(path.name for path in CHAPTERS)
    # Until the kernel is there JupyterLab may take the focus away.
    page.locator(".jp-NotebookPanel [data-status='idle']").first.wait_for(timeout=120_000)
    first = page.locator(".jp-NotebookPanel .jp-CodeCell").first
    first.locator(".cm-content", has_text="import soft_optimality as so").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(CELL)
    first.locator(".cm-content", has_text="print(sys.platform").wait_for()
    page.keyboard.press("Shift+Enter")
    # The library's own first line asks for NumPy: the import went through its wheel.
    first.locator(".jp-OutputArea-output", has_text="No module named 'numpy'").wait_for(timeout=120_000)
    output = first.locator(".jp-OutputArea").inner_text()
    assert "emscripten 4." in output and "soft_optimality" in output
    assert foreign == []
    context.close()


def test_each_chapter_has_its_button_and_its_file(site: Path) -> None:
    for path in CHAPTERS:
        button = f'href="{"../" * (len(path.parts) - 1)}lite/lab/index.html?path={path.name}"'
        assert button in (site / path).with_suffix(".html").read_text("utf8")
        assert (site / "lite" / "files" / path.name).read_bytes() == (ROOT / path).read_bytes()


def test_the_lock_names_what_is_there_and_only_the_runtime_is_elsewhere(site: Path) -> None:
    lock = json.loads((site / "lite" / "pypi" / "pyodide-lock.json").read_text("utf8"))["packages"]
    for name, entry in lock.items():
        if name in PYODIDE["packages"]:
            assert entry["file_name"].startswith(RUNTIME)
        else:
            assert hashlib.sha256((site / "lite" / "pypi" / entry["file_name"]).read_bytes()).hexdigest() == entry["sha256"]
    assert {"numpy", "scipy", "matplotlib"} <= set(lock["soft-optimality"]["depends"])


def test_the_library_in_the_browser_is_the_library_here(site: Path) -> None:
    with zipfile.ZipFile(next((site / "lite" / "pypi").glob("soft_optimality-*.whl"))) as wheel:
        for path in (ROOT / "lib" / "soft_optimality").rglob("*.py"):
            assert wheel.read(path.relative_to(ROOT / "lib").as_posix()) == path.read_bytes(), path


def test_an_installed_library_has_all_its_files() -> None:
    """Editable installs find files that a wheel (Binder, Colab) would leave behind."""
    library = ROOT / "lib" / "soft_optimality"
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["tool"]["setuptools"]["package-data"]["soft_optimality"]
    files = {path for path in library.rglob("*") if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py"}
    assert files == {path for pattern in packaged for path in library.glob(pattern)}
