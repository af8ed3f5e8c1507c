"""nbval holds each notebook's text to what is stored and leaves pictures out; this adds them, in the same run of the cell."""

from collections.abc import Generator
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from figures import differences


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    result = yield
    # `check` is off for cells tagged nbval-ignore-output, as it is for nbval itself.
    if isinstance(item, IPyNbCell) and item.options["check"]:
        problems = differences(item.cell.outputs, item.test_outputs)
        if problems:
            pytest.fail(f"{item.parent.path.name}, {item.name}: " + "; ".join(problems), pytrace=False)
    return result
