"""The marks beside the equations and the tables of the appendix, as built."""

import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from paths import ROOT
from playwright.sync_api import Browser

from book_ledger import DEFINITIONS, PAGE, fingerprint, line_of

ROWS = json.loads((ROOT / "chapters" / "appendix" / "ledger.json").read_text("utf8"))


def parsed(site: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{name}.html").read_text("utf8"), "html.parser")


def marks(site: Path) -> dict[str, BeautifulSoup]:
    """label -> the mark below each labelled equation of the built book."""
    found = {}
    for page in sorted((site / "chapters").rglob("*.html")):
        for equation in BeautifulSoup(page.read_text("utf8"), "html.parser").select("div.math[id^=equation-]"):
            found[equation["id"].removeprefix("equation-")] = equation.find_next_sibling(class_="ledger-mark")
    return found


def test_each_labelled_equation_says_that_it_is_verified_or_a_definition(site: Path) -> None:
    every = marks(site)
    assert every.keys() == ROWS.keys() | DEFINITIONS
    for label, mark in every.items():
        assert mark is not None, label
        text = mark.get_text(strip=True)
        if label in DEFINITIONS:
            assert text == "definition"
        else:
            assert re.fullmatch(r"✓ ?verified: [\d,]+ random [\w ]+, (worst error|violated|order).+", text), f"{label}: {text}"
            assert mark.a["href"].endswith(f"#ledger-{label}")


def test_the_appendix_has_every_row_and_its_links_lead_to_the_lines_they_name(site: Path) -> None:
    table = parsed(site, PAGE).select("table.sortable")[0]
    assert [row["id"] for row in table.select("tbody tr")] == [f"ledger-{label}" for label in ROWS]
    for label, row in zip(ROWS, table.select("tbody tr")):
        links = [link["href"] for link in row.select("td")[-1].select("a") if link.get_text() == "test"]
        assert len(links) == 1, label
        page, line = links[0].split("#")
        code = BeautifulSoup(((site / PAGE).parent / page).read_text("utf8"), "html.parser").select_one(f"#{line}")
        assert ROWS[label]["test"].split("::")[1] in code.parent.get_text().splitlines()[int(line.removeprefix("line-")) - 1]


def numbered(text: str) -> list[int]:
    """(2.10) comes after (2.9)."""
    return [int(n) for n in text.strip("()").split(".")]


@pytest.mark.browser
def test_a_click_on_a_head_sorts_and_a_second_one_turns_round(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/{PAGE}.html")
    column = "[...document.querySelectorAll('table.sortable')[0].tBodies[0].rows].map(row => row.cells[{}].textContent.trim())"
    for name, number, key in (("Cases", 2, lambda text: int(text.split()[0].replace(",", ""))), ("Equation", 0, numbered)):
        page.get_by_role("button", name=name).first.click()
        up = [key(text) for text in page.evaluate(column.format(number))]
        assert up == sorted(up)
        page.get_by_role("button", name=name).first.press("Enter")
        assert [key(text) for text in page.evaluate(column.format(number))] == sorted(up, reverse=True)
        assert page.get_by_role("columnheader", name=name).first.get_attribute("aria-sort") == "descending"
    page.close()


def test_a_fingerprint_is_of_what_the_equation_says() -> None:
    assert fingerprint("V = Q\n\\label{soft-v}") == fingerprint("V  =  Q")
    assert fingerprint("V = Q") != fingerprint("V = -Q")


def test_a_line_is_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("x = 1\nclass C:\n    def f(self): ...\ndef f(): ...\n", "utf8")
    assert [line_of(tmp_path / "m.py", names) for names in (["C"], ["C", "f"], ["f"], ["g"])] == [2, 3, 4, 0]
