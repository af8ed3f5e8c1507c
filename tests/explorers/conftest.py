"""A browser that can reach nothing but this machine, and a page with the four explorers."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from driving import SITE, document
from playwright.sync_api import Browser, sync_playwright

import soft_optimality as so
from serve import Quiet
from soft_optimality.explorers import SCRIPT, STYLE

# --no-sandbox: as root in a container Chromium does not start otherwise. The rest keeps it from calling home.
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
CHROMIUM_FLAGS += ["--disable-component-update", "--disable-sync"]
EXPLORERS = [so.GridworldExplorer(second="soft"), so.HMMExplorer(), so.LotteryExplorer(), so.BackupExplorer()]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script, its style, and a page with the four explorers."""
    path = tmp_path_factory.mktemp("explorers")
    (path / "explorers.js").write_text(SCRIPT, "utf8")
    (path / "explorers.css").write_text(STYLE, "utf8")
    (path / "index.html").write_text(document(*EXPLORERS), "utf8")
    return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as url:
        yield url


@pytest.fixture(scope="session")
def book() -> Iterator[str]:
    """The address of the built book's chapters."""
    with served(SITE) as url:
        yield f"{url}/chapters"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no Chromium: `make test` finds or installs one; by hand, set CHROMIUM")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield running
        running.close()
