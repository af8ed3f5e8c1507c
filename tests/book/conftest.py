"""The built book, served on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import SITE

from serving import served


def page_names() -> list[str]:
    return sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if not {"_static", "lite"} & set(path.parts))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page_name" in metafunc.fixturenames:
        metafunc.parametrize("page_name", page_names())


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").exists():
        pytest.fail("the book is not built: run `make html` (or `make test`, which builds it first)")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url
