"""Every equation that asserts something has a test and a row, every test and row has its equation, and each test knows what its equation says."""

import json
from collections import Counter

import pytest

import ledger
import mutants
from book_ledger import DEFINITIONS
from mutants import MUTANTS, Mutant

BOOK, TESTS, ROWS = ledger.equations(), ledger.tests(), ledger.stored()
KNOWN = [pytest.param(test, mark, id=mark.kwargs["label"]) for test, mark in TESTS if mark.kwargs["label"] in BOOK]
TESTED = Counter(mark.kwargs["label"] for _, mark in TESTS)


def labels_with_trouble() -> dict[str, str]:
    """label -> what to do."""
    todo = {}
    for label in BOOK.keys() - DEFINITIONS - TESTED.keys():
        todo[label] = (
            "the book has this equation and tests/equations has no test of it: write one, then run `make ledger` "
            "(CONTRIBUTING.md, A new equation). If it defines and asserts nothing, add it to DEFINITIONS in book_ext/book_ledger.py"
        )
    for label in TESTED.keys() - BOOK.keys():
        todo[label] = "has a test and is no equation's label in the book: rename or delete the test, then run `make ledger`"
    for label in ROWS.keys() - TESTED.keys():
        todo[label] = "has a row in the ledger and no test: run `make ledger`"
    for label in TESTED.keys() - ROWS.keys():
        todo[label] = "has a test and no row in the ledger: run `make ledger`"
    for label in DEFINITIONS - BOOK.keys():
        todo[label] = "is listed in DEFINITIONS in book_ext/book_ledger.py and is no equation's label in the book: delete it there"
    for label in DEFINITIONS & TESTED.keys():
        todo[label] = "is listed in DEFINITIONS in book_ext/book_ledger.py and has a test: it is one or the other"
    return todo


def test_every_equation_has_a_test_and_a_row_and_every_row_an_equation() -> None:
    trouble = [f"{label}: {what}" for label, what in sorted(labels_with_trouble().items())]
    assert not trouble, "\n" + "\n".join(trouble)


def test_an_equation_has_one_test() -> None:
    assert [label for label, count in TESTED.items() if count > 1] == []


@pytest.mark.parametrize(("test", "mark"), KNOWN)
def test_the_equation_is_the_one_that_its_test_was_written_for(test: str, mark: pytest.Mark) -> None:
    label = mark.kwargs["label"]
    assert mark.kwargs["tex"] == BOOK[label], (
        f"equation {label} is not what {test} was written for. Read both; mend the test if it no longer verifies what the equation says; "
        f"then set the mark's second argument to {BOOK[label]!r} and run `make ledger`"
    )


def test_the_ledger_is_in_the_order_of_the_book() -> None:
    assert list(ROWS) == [label for label in BOOK if label in ROWS]
    assert ledger.STORED.read_text("utf8") == json.dumps(ROWS, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.function}: {mutant.what}")
def test_each_mutant_still_breaks_something(mutant: Mutant) -> None:
    """Its old text is in its function, once, and the new one is Python."""
    compile(mutant.source()[1], mutant.function, "exec")


def test_the_table_of_mutants_is_that_of_the_present_list() -> None:
    table = mutants.stored()
    mine = [(f"soft_optimality.{mutant.function}", mutant.what, mutant.why) for mutant in MUTANTS]
    stored = [(row["function"], row["what"], row["why"]) for row in table]
    assert stored == mine, "the list of mutants has changed: run `make mutants NEW=1`, or `make mutants` for all of them"


def test_the_ledger_notices_nearly_every_mutant_and_the_rest_is_explained() -> None:
    table = mutants.stored()
    caught = [row for row in table if row["caught_by"]]
    assert len(table) >= 60 and len(caught) >= 0.95 * len(table)
    assert [row["what"] for row in table if not row["caught_by"] and not row["why"]] == []
