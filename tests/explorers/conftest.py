"""A page with the four explorers, and the built chapters, on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import SITE, document

import soft_optimality as so
from serving import served
from soft_optimality.explorers import SCRIPT, STYLE

EXPLORERS = [so.GridworldExplorer(second="soft"), so.HMMExplorer(), so.LotteryExplorer(), so.BackupExplorer()]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script, its style, and a page with the four explorers."""
    path = tmp_path_factory.mktemp("explorers")
    (path / "explorers.js").write_text(SCRIPT, "utf8")
    (path / "explorers.css").write_text(STYLE, "utf8")
    (path / "index.html").write_text(document(*EXPLORERS), "utf8")
    return path


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as url:
        yield url


@pytest.fixture(scope="session")
def book() -> Iterator[str]:
    """The address of the built book's chapters."""
    with served(SITE) as url:
        yield f"{url}/chapters"
