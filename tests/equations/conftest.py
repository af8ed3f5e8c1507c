"""Runs each equation's test with a tally, and holds the stored ledger to what it found.  With LEDGER=write (`make ledger`) it is written anew."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

import ledger

WRITE = os.environ.get("LEDGER") == "write"
collect_ignore = [str(file) for file in ledger.files(inside=False)]
rows: dict[str, Any] = {}
failed: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "equation: verifies the book's equation of this label, for the ledger")


@pytest.fixture
def tally() -> ledger.Tally:
    return ledger.Tally()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    result = yield
    mark = pyfuncitem.get_closest_marker("equation")
    if mark is not None:
        label = mark.kwargs["label"]
        fresh = ledger.row_of(mark, pyfuncitem.nodeid, pyfuncitem.funcargs["tally"])
        pyfuncitem.user_properties.append(("ledger", (label, fresh)))
        if not WRITE and (problem := ledger.disagreement(label, fresh, ledger.stored().get(label))):
            pytest.fail(problem, pytrace=False)
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        failed.append(report.nodeid)
    elif report.when == "call":
        rows.update(value for name, value in report.user_properties if name == "ledger")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not WRITE or hasattr(session.config, "workerinput"):
        return
    missing = {mark.kwargs["label"] for _, mark in ledger.tests()} - rows.keys()
    if failed or missing:
        print(f"\nThe ledger is not written: {', '.join(failed or sorted(missing))} did not pass.")
    else:
        ledger.write(rows)
        print(f"\nWrote {ledger.STORED.relative_to(ledger.ROOT)}: {len(rows)} equations.")
