r"""The ledger's bookkeeping: which equations the book labels, which tests verify them, and what a run found.

    @equation("soft-v", "1a2b3c4d", "what the equation says", so.backups.soft_v)
    def test_soft_v(tally):
        for world in tally.over(worlds(1000)):
            tally.equal(by_hand, by_the_library)

The letters are the fingerprint of the equation's LaTeX for which the test was written. An equation that changes no longer fits, and the test
fails until someone has looked at both.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import yaml

from book_ledger import LABEL, fingerprint

ROOT = Path(__file__).parents[2]
STORED = ROOT / "chapters" / "appendix" / "ledger.json"
EQUATION = re.compile(r"\\begin\{(equation|align|gather|alignat)\}.*?\\end\{\1\}", re.S)
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{math\}\n:label: *(\S+)\n(.*?)^\1", re.S | re.M)
DOLLARS = re.compile(r"^\$\$\n(.*?)^\$\$ *\(([^)\s]+)\)", re.S | re.M)
Item = TypeVar("Item")


def equation(label: str, tex: str, claim: str, *functions: Callable[..., Any] | property, over: str = "random worlds") -> pytest.MarkDecorator:
    """Marks the test of an equation.  functions: the library's, which compute one side; over: what the cases are."""
    return pytest.mark.equation(label=label, tex=tex, claim=claim, functions=functions, over=over)


def agreed(x: float) -> str:
    """A bound on an error that is the same on every machine: rounding differs between them, so a factor 3 is left, then the next power of 10."""
    return f"{10.0 ** math.ceil(math.log10(max(3 * x, 1e-15)) - 1e-9):g}"


def agrees(fresh: str, stored: str) -> bool:
    """The error is no larger than the ledger says, and no more than three orders smaller: then the ledger would be out of date."""
    return float(fresh) <= 10 * float(stored) and float(stored) <= 1000 * float(fresh)


class Tally:
    """Counts cases and keeps the worst of what was found.  An error is relative to the larger of 1 and the two sides."""

    def __init__(self) -> None:
        self.cases, self.case = 0, "no case yet"
        self.worst: dict[str, float] = {}

    def over(self, cases: Iterable[Item]) -> Iterator[Item]:
        for case in cases:
            self.cases, self.case = self.cases + 1, repr(case)
            yield case

    def skip(self) -> None:
        """This one is no case after all."""
        self.cases -= 1

    def equal(self, left: Any, right: Any, tolerance: float = 1e-9, what: str = "the two sides") -> None:
        """Infinities must agree exactly, all else to the tolerance; NaN is never right."""
        left, right = np.broadcast_arrays(np.asarray(left, float), np.asarray(right, float))
        assert not (np.isnan(left).any() or np.isnan(right).any()), f"{what}: NaN; {self.case}"
        assert (np.isinf(left) == np.isinf(right)).all() and (left[np.isinf(left)] == right[np.isinf(right)]).all(), (
            f"{what}: an infinity on one side only; {self.case}\n{left}\n{right}"
        )
        some = np.isfinite(left)
        scale = np.maximum(1.0, np.maximum(np.abs(left[some]), np.abs(right[some])))
        self._keep("error", np.abs(left[some] - right[some]) / scale, tolerance, f"{what} differ\n{left}\n{right}")

    def at_most(self, small: Any, large: Any, tolerance: float = 1e-9, what: str = "the inequality") -> None:
        small, large = np.broadcast_arrays(np.asarray(small, float), np.asarray(large, float))
        assert not (np.isnan(small).any() or np.isnan(large).any()), f"{what}: NaN; {self.case}"
        both = np.isfinite(small) & np.isfinite(large)
        assert (small <= large)[~both].all(), f"{what} fails at an infinity; {self.case}\n{small}\n{large}"
        scale = np.maximum(1.0, np.maximum(np.abs(small[both]), np.abs(large[both])))
        self._keep("violation", np.maximum(small[both] - large[both], 0.0) / scale, tolerance, f"{what} fails\n{small}\n{large}")

    def order(self, x: Any, y: Any, power: float, tolerance: float) -> None:
        """y grows like x to this power: the slope of log y on log x."""
        slope = np.polyfit(np.log(x), np.log(y), 1)[0]
        self._keep("order", np.array([abs(slope - power)]), tolerance, f"order {slope:.3f} in place of {power}")

    def _keep(self, name: str, values: np.ndarray, tolerance: float, message: str) -> None:
        worst = float(values.max(initial=0.0))
        self.worst[name] = max(self.worst.get(name, 0.0), worst)
        assert worst <= tolerance, f"{message}\n{name} {worst:.3g} > {tolerance:g}; {self.case}"


def row_of(mark: pytest.Mark, test: str, tally: Tally) -> dict[str, Any]:
    """What the ledger says of one equation."""
    assert tally.cases, "no case was tried"
    return {
        "claim": mark.kwargs["claim"],
        "cases": tally.cases,
        "over": mark.kwargs["over"],
        "worst": {name: agreed(value) for name, value in tally.worst.items()},
        "tex": mark.kwargs["tex"],
        "test": test,
        "functions": [name_of(function) for function in mark.kwargs["functions"]],
    }


def name_of(function: Any) -> str:
    function = function.fget if isinstance(function, property) else function.func if isinstance(function, cached_property) else function
    return f"{function.__module__}.{function.__qualname__}"


def stored() -> dict[str, Any]:
    return json.loads(STORED.read_text("utf8")) if STORED.exists() else {}


def disagreement(label: str, fresh: dict[str, Any], old: dict[str, Any] | None) -> str | None:
    """Why the stored row is not this run's, or None."""
    if old is None:
        return f"the ledger has no row for {label}: run `make ledger`"
    for key, value in fresh.items():
        if key == "worst":
            same = value.keys() == old[key].keys() and all(agrees(value[name], old[key][name]) for name in value)
        else:
            same = value == old.get(key)
        if not same:
            return f"the ledger's row for {label} has {key} {old.get(key)!r} where this run found {value!r}: run `make ledger`"
    return None


def write(rows: dict[str, Any]) -> None:
    """In the order of the book."""
    order = list(equations())
    STORED.write_text(json.dumps({label: rows[label] for label in sorted(rows, key=order.index)}, indent=1, ensure_ascii=False) + "\n", "utf8")


# -- what the book asserts, and what is tested ----------------------------------------------------------------------------------------


def contents() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def texts(name: str) -> list[str]:
    """The prose of a page of the book."""
    notebook = ROOT / f"{name}.ipynb"
    if not notebook.exists():
        return [(ROOT / f"{name}.md").read_text("utf8")]
    cells = json.loads(notebook.read_text("utf8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def equations() -> dict[str, str]:
    """label -> fingerprint of each labelled equation, in the order of the book."""
    found = {}
    for text in (text for name in contents() for text in texts(name)):
        here = [(match.start(), labels[0], match[0]) for match in EQUATION.finditer(text) if (labels := LABEL.findall(match[0]))]
        here += [(match.start(), match[2], match[3]) for match in DIRECTIVE.finditer(text)]
        here += [(match.start(), match[2], match[1]) for match in DOLLARS.finditer(text)]
        found |= {label: fingerprint(tex) for _, label, tex in sorted(here)}
    return found


def chapters() -> set[str]:
    """The numbers of the chapters that are in the book, as in their files' names."""
    return {name.split("/")[-1][:2] for name in contents()}


def files(*, inside: bool = True) -> list[Path]:
    """The test files of the chapters that are in the book; with inside=False those of chapters that are not (yet)."""
    return [file for file in sorted(Path(__file__).parent.glob("test_chapter_*.py")) if (file.stem[-2:] in chapters()) == inside]


def tests() -> list[tuple[str, pytest.Mark]]:
    """(tests/equations/file.py::name, mark) of each test that verifies an equation, without running any."""
    found = []
    for file in files():
        for name, function in inspect.getmembers(importlib.import_module(file.stem), inspect.isfunction):
            marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "equation"]
            found += [(f"{file.relative_to(ROOT).as_posix()}::{name}", mark) for mark in marks]
    return found
