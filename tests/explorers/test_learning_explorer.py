"""The LearningExplorer shows what the recorded file says, and what the library makes of it."""

from pathlib import Path

import minify
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from driving import document, opened, settle, tables, value
from playwright.sync_api import Browser

import soft_optimality as so
from soft_optimality.explorers import LEARNING_SCRIPT

pytestmark = pytest.mark.browser
RECORD = so.recorded.load("tabular_q.json")["grid"]
BY_NAME = {setting["name"]: setting for setting in RECORD["settings"]}


@pytest.fixture(scope="module")
def page_url(folder: Path) -> str:
    (folder / "learning.js").write_text(LEARNING_SCRIPT, "utf8")
    text = document(so.LearningExplorer(RECORD, first="soft", second="hard", selected=[2, 0]))
    (folder / "learning.html").write_text(text.replace("</head>", '<script defer src="learning.js"></script></head>'), "utf8")
    return (folder / "learning.html").as_uri()


def check(element, first: str, second: str, snapshot: int, measure: str, learner: str, place: tuple[int, int]) -> None:
    world = so.worlds.gridworld(RECORD["rows"], **RECORD["options"])
    seeds, cell = tables(element)
    settings = [BY_NAME[name] for name in (first, second) if name != "none"]
    for row, statistic in (("lowest seed", np.min), ("median", np.median), ("highest seed", np.max)):
        assert [value(text) for text in seeds[row]] == pytest.approx([statistic(np.array(s[measure])[:, snapshot]) for s in settings], abs=6e-4)
    state = world.state(*place)
    for action, name in enumerate(["north", "east", "south", "west"]):
        expected = []
        for setting in settings:
            q = setting["q_mean"] if learner == "mean" else setting["q_seeds"][int(learner)]
            expected += [q[snapshot][state][action], RECORD["exact"][setting["answer"]][state][action]]
        assert [value(text) for text in cell[name]] == pytest.approx(expected, abs=6e-3)
    for setting, picture in zip(settings, element.locator("svg[role=application]").all()):
        q = np.array((setting["q_mean"] if learner == "mean" else setting["q_seeds"][int(learner)])[snapshot])
        soft = setting["answer"] == "soft"
        v = so.backups.soft_v(q, RECORD["temperature"], np.full(q.shape, 0.25)) if soft else so.backups.hard_v(q)
        texts = picture.locator("text").all_text_contents()
        width = len(RECORD["rows"][0])
        shown = [value(texts[r * width + c]) for r, c in world.cells[~world.terminal]]
        assert shown == pytest.approx(list(v[~world.terminal]), abs=0.051)


def test_every_control_shows_what_was_recorded(browser: Browser, page_url: str) -> None:
    last = len(RECORD["steps"]) - 1
    with opened(browser, page_url) as (page, troubles):
        element = page.locator("so-learning")
        choose = lambda name, option: element.locator("label", has_text=name).locator("select").select_option(option)
        check(element, "soft", "hard", last, "errors", "mean", (2, 0))
        for _ in range(3):
            element.locator("input[type=range]").press("ArrowLeft")
        settle(page)
        check(element, "soft", "hard", last - 3, "errors", "mean", (2, 0))
        choose("Setting", "double")
        choose("Curve", "returns")
        choose("Shown", "1")
        settle(page)
        check(element, "double", "hard", last - 3, "returns", "1", (2, 0))
        choose("Beside it", "none")
        settle(page)
        element.locator("svg[role=application]").press("ArrowUp")
        settle(page)
        check(element, "double", "none", last - 3, "returns", "1", (1, 0))
        choose("Curve", "v_errors")
        board = element.locator("svg[role=application]")
        box = board.bounding_box() or {}
        board.click(position={"x": box["width"] * 0.6, "y": box["height"] * 0.85})
        settle(page)
        check(element, "double", "none", last - 3, "v_errors", "1", (2, 2))
        element.get_by_role("button", name="Play").press("Enter")
        page.wait_for_timeout(1000)
        assert element.locator("input[type=range]").input_value() > str(last - 3)
        assert troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_telephone(browser: Browser, page_url: str, scheme: str) -> None:
    with opened(browser, page_url, width=360, scheme=scheme) as (page, _):
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
        assert page.locator(".so-x").evaluate(
            "box => [...box.querySelectorAll('*')].every(e => e.getBoundingClientRect().right <= box.getBoundingClientRect().right + 1)"
        )


def test_it_is_alive_in_chapter_8(browser: Browser, book: str) -> None:
    with opened(browser, f"{book}/08_soft_q_learning.html") as (page, troubles):
        element = page.locator("so-learning")
        check(element, "soft", "soft_own", len(RECORD["steps"]) - 1, "errors", "mean", (1, 2))
        assert troubles == []


def test_bad_settings_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="record: has no"):
        so.LearningExplorer({})
    with pytest.raises(ValueError, match="offer = 'softer'"):
        so.LearningExplorer(RECORD, offer=["softer"])
    with pytest.raises(ValueError, match="second = 'softer'"):
        so.LearningExplorer(RECORD, second="softer")
    with pytest.raises(ValueError, match="snapshot = 99"):
        so.LearningExplorer(RECORD, snapshot=99)


def test_the_script_is_small_minified() -> None:
    assert len(minify.string("application/javascript", LEARNING_SCRIPT).encode()) < 10_000


def test_its_repr_does_not_hold_the_record() -> None:
    assert repr(so.LearningExplorer(RECORD, first="soft")).startswith("LearningExplorer(first='soft'")
