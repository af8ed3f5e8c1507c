"""The explorers in a real JupyterLab with a real kernel: traits follow both ways, and a student's own planner is drawn."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from driving import check_gridworld, opened, tables
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser
CELLS = [
    "import soft_optimality as so\nexplorer = so.GridworldExplorer(['S..', '..G'], horizon=10)\nexplorer",
    "print('slip is', explorer.slip, 'on', explorer.rows, 'by', explorer.planner)",
    "explorer.slip = 0.4\nexplorer.second = 'hard'",
    """def mine(world, temperature, *, prior, horizon):
    plan = so.soft_value_iteration(world, temperature, prior=prior, horizon=horizon)
    return plan.q, plan.v, plan.policy

drawn = so.GridworldExplorer(['S..', '..G'], horizon=10, planner='yours', solver=mine)
drawn""",
    """def faulty(world, temperature, **settings):
    if temperature > 0.5:
        raise RuntimeError('a slip of the pen')
    return mine(world, temperature, **settings)

broken = so.GridworldExplorer(['S..', '..G'], horizon=10, planner='yours', solver=faulty, temperature=1.0)
broken""",
    "boots = so.HMMExplorer()\nboots",
    "boots.observations = [0, 1, 1]",
    "boots.day = 2\nboots.observations = [0, 1, 1]",
]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a notebook in a JupyterLab that knows nothing of this machine's settings."""
    home = tmp_path_factory.mktemp("laboratory")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(CELLS)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (home / "work").mkdir()
    nbformat.write(notebook, home / "work" / "explorers.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: text for name, text in os.environ.items() if name != "SOFT_OPTIMALITY_STATIC"}
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR"):
        environment[name] = str(home / name.lower())
        Path(environment[name]).mkdir()
    # Kernels and extensions are found on this path first: those of this environment, not of another Jupyter on the machine.
    environment["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'work'}"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"]
    with (home / "log").open("w") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home) as server:
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5)
                    break
                except OSError:
                    assert server.poll() is None, (home / "log").read_text()
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/doc/tree/explorers.ipynb"
        finally:
            server.terminate()


def run(page: Page, number: int) -> Locator:
    """Runs a cell, and gives its output once it is there."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{number + 1}]:", timeout=30_000)
    return cell.locator(".jp-Cell-outputArea")


def control(element: Locator, name: str) -> Locator:
    return element.locator("label", has_text=name).locator("input, select")


def test_widgets_in_jupyterlab(browser: Browser, laboratory: str) -> None:
    with opened(browser, laboratory, width=1400, ready=".jp-Notebook .cm-content") as (page, troubles):
        page.set_viewport_size({"width": 1400, "height": 4000})  # JupyterLab draws only the cells that are in sight
        expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
        element = run(page, 0)
        expect(element.locator(".so-status")).to_contain_text("value", timeout=30_000)
        map_of = {"rows": ["S..", "..G"], "horizon": 10}
        check_gridworld(element, map_of)

        # from the picture to Python
        slip = control(element, "Slip")
        slip.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        control(element, "Planner").select_option("soft")
        control(element, "A click").select_option("#")
        board = element.locator("svg[role=application]")
        board.focus()
        for key in ("ArrowRight", "Enter"):
            page.keyboard.press(key)
        expect(run(page, 1)).to_have_text("slip is 0.15 on ['S#.', '..G'] by soft")
        check_gridworld(element, {"rows": ["S#.", "..G"], "horizon": 10, "slip": 0.15, "planner": "soft"})

        # from Python to the picture
        run(page, 2)
        expect(slip).to_have_value("0.4")
        expect(element.locator("table").first).to_contain_text("hard")
        check_gridworld(element, {"rows": ["S#.", "..G"], "horizon": 10, "slip": 0.4, "planner": "soft", "second": "hard"})

        # the student's planner
        drawn = run(page, 3)
        expect(drawn.locator("table").first).to_contain_text("your solver", timeout=15_000)
        control(drawn, "Beside it").select_option("soft")
        expect(drawn.locator("svg[role=application]")).to_have_count(2)
        control(drawn, "Slip").press("End")
        expect(drawn.locator("output").first).to_have_text("1")
        page.wait_for_timeout(1000)  # the kernel answers
        summary, cell = tables(drawn)
        for row in [*summary.values(), *cell.values()]:
            half = len(row) // 2
            assert row == summary["head"] or row == cell["head"] or row[:half] == row[half:]

        # and one that fails
        broken = run(page, 4)
        expect(broken.locator(".so-status")).to_have_text("Your solver: RuntimeError: a slip of the pen", timeout=15_000)
        control(broken, "Temperature").press("Home")
        expect(broken.locator("table").first).to_contain_text("your solver")
        control(broken, "Temperature").press("End")
        expect(broken.locator(".so-status")).to_contain_text("a slip of the pen")
        control(broken, "Planner").select_option("optimistic")
        expect(broken.locator(".so-status")).to_contain_text("value")

        # other settings have other controls
        boots = run(page, 5)
        expect(boots.locator(".so-days button")).to_have_count(12, timeout=15_000)
        expect(run(page, 6)).to_contain_text("there are 3 observations", timeout=15_000)
        expect(boots.locator(".so-days button")).to_have_count(12)
        run(page, 7)
        expect(boots.locator(".so-days button")).to_have_count(3)
        assert not [trouble for trouble in troubles if trouble.startswith("exception")]
