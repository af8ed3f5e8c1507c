"""The explorers in a page, in headless Chromium with every other host out of reach: what they show is what the library gives."""

from pathlib import Path

import minify
import pytest
from axe_playwright_python.sync_playwright import Axe
from driving import ANY_EXPLORER, KINDS, SITE, check, document, move_every_control, opened, settle
from playwright.sync_api import Browser, Locator, Page, Route

import soft_optimality as so
from soft_optimality.explorers import SCRIPT

pytestmark = pytest.mark.browser
CHAPTERS = sorted(path for path in SITE.glob("chapters/*.html") if any(f"<{tag} " in path.read_text("utf8") for tag in KINDS))
tags = pytest.mark.parametrize("tag", KINDS)


def status(element: Locator | Page) -> str:
    return element.locator(".so-status").first.text_content() or ""


def write(folder: Path, name: str, *explorers: so.explorers.Explorer) -> str:
    (folder / name).write_text(document(*explorers), "utf8")
    return name


@tags
def test_every_control_changes_the_picture_to_what_the_library_gives(browser: Browser, address: str, tag: str) -> None:
    with opened(browser, address) as (page, troubles):
        move_every_control(page, page.locator(tag))
        assert troubles == []


def test_a_map_without_a_horizon(browser: Browser, folder: Path, address: str) -> None:
    rows = ["...#.", ".#..G", "S..X."]
    name = write(
        folder, "discount.html", so.GridworldExplorer(rows, time="discount", discount=0.9, planner="soft", step_reward=-0.5, goal_reward=3.0)
    )
    with opened(browser, f"{address}/{name}") as (page, troubles):
        move_every_control(page, page.locator("so-gridworld"))
        assert troubles == []


def test_the_page_works_as_a_file_and_asks_no_other_host(browser: Browser, folder: Path) -> None:
    with opened(browser, (folder / "index.html").as_uri()) as (page, troubles):
        for tag in KINDS:
            element = page.locator(tag)
            element.locator("input[type=range]").first.focus()
            page.keyboard.press("ArrowRight")
            settle(page)
            check(element)
        assert troubles == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_control_of_a_chapter(browser: Browser, book: str, path: Path) -> None:
    with opened(browser, f"{book}/{path.name}") as (page, troubles):
        for element in page.locator(ANY_EXPLORER).all():
            move_every_control(page, element)
        assert troubles == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_as_a_file(browser: Browser, path: Path) -> None:
    with opened(browser, path.as_uri()) as (page, troubles):
        for element in page.locator(ANY_EXPLORER).all():
            check(element)
            element.locator("input[type=range]").first.press("ArrowRight")
            settle(page)
            check(element)
        assert troubles == []


def test_chapters_one_to_seven_have_explorers() -> None:
    assert [path.stem[:2] for path in CHAPTERS] == ["01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_explorers_of_a_chapter_are_accessible_and_fit_a_telephone(browser: Browser, path: Path, scheme: str) -> None:
    with opened(browser, path.as_uri(), width=360, scheme=scheme) as (page, _):
        assert Axe().run(page, context=ANY_EXPLORER).response["violations"] == []
        assert clipped(page) == []


def clipped(page: Page) -> list[str]:
    """What sticks out of its explorer, or is cut off in a button or a list."""
    return page.evaluate(
        """[...document.querySelectorAll('.so-x')].flatMap(box => [...box.querySelectorAll('*')].filter(e =>
            e.getBoundingClientRect().right > box.getBoundingClientRect().right + 1 || (e.localName === 'button' && e.scrollWidth > e.clientWidth)
        ).map(e => e.outerHTML.slice(0, 100)))"""
    )


@pytest.mark.parametrize("width", [1000, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, address: str, scheme: str, width: int) -> None:
    with opened(browser, address, width=width, scheme=scheme) as (page, _):
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert Axe().run(page).response["violations"] == []


def test_a_telephone_shows_all_of_it_at_a_legible_size(browser: Browser, address: str) -> None:
    with opened(browser, address, width=360) as (page, _):
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
        assert clipped(page) == []
        small = """[...document.querySelectorAll('.so-x svg text')].filter(e => e.textContent).map(e =>
            e.getAttribute('font-size') * e.getScreenCTM().a).filter(size => size < 9)"""
        assert page.evaluate(small) == []


def test_a_finger_selects_a_cell_and_paints_without_scrolling(browser: Browser, address: str) -> None:
    with opened(browser, address, width=360, has_touch=True) as (page, _):
        element = page.locator("so-gridworld")
        board = element.locator("svg").first
        board.scroll_into_view_if_needed()
        box = board.bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + box["width"] * 5.5 / 8, box["y"] + box["height"] * 1.5 / 4)
        settle(page)
        assert status(element).startswith("Row 2, column 6: value")
        assert board.evaluate("e => getComputedStyle(e).touchAction") == "manipulation"
        element.locator("label", has_text="A click").locator("select").select_option("#")
        assert board.evaluate("e => getComputedStyle(e).touchAction") == "none"


def test_focus_can_be_seen_on_every_control(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, _):
        stops = page.locator(".so-x :is(input, select, button, [tabindex]):visible").count()
        page.locator("h1").click()
        outlines = set()
        for _ in range(stops):
            page.keyboard.press("Tab")
            outlines.add(page.evaluate("getComputedStyle(document.activeElement).outline"))
            assert page.evaluate("document.activeElement.closest('.so-x') !== null")
        assert len(outlines) == 1 and "solid 3px" in outlines.pop()


def test_every_control_has_a_name_and_keeps_its_keys_from_jupyterlab(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, _):
        controls = page.locator(".so-x :is(input, select, button, [tabindex])")
        assert controls.evaluate_all("all => all.filter(e => e.dataset.lmSuppressShortcuts !== 'true').length") == 0
        names = controls.evaluate_all("all => all.map(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)")
        assert all(names) and page.locator(".so-x [role=status]").count() == len(KINDS)


def agent(page: Page) -> str:
    return page.locator("so-gridworld circle").first.evaluate(
        "e => `${e.getAttribute('cx')} ${e.getAttribute('cy')} ${e.getAttribute('visibility')}`"
    )


def test_rollouts_play_and_pause(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, troubles):
        element = page.locator("so-gridworld")
        element.get_by_role("button", name="Play rollouts").press("Enter")
        seen = {agent(page)}
        for _ in range(5):
            page.wait_for_timeout(230)
            seen.add(agent(page))
        assert len(seen) > 2
        element.get_by_role("button", name="Pause").click()
        here = agent(page)
        page.wait_for_timeout(500)
        assert agent(page) == here and "visible" in here
        element.get_by_role("button", name="Go on").click()
        page.locator("so-gridworld input").first.press("ArrowRight")
        settle(page)
        assert "hidden" in agent(page)  # the walk was another policy's
        page.wait_for_timeout(500)
        assert "visible" in agent(page)
        assert troubles == []


def test_with_reduced_motion_a_rollout_is_there_at_once_and_nothing_moves(browser: Browser, address: str) -> None:
    with opened(browser, address, reduced_motion="reduce") as (page, _):
        page.locator("so-gridworld").get_by_role("button", name="Play rollouts").click()
        here = agent(page)
        assert "visible" in here and len((page.locator("so-gridworld polyline").first.get_attribute("points") or "").split()) > 2
        page.wait_for_timeout(600)
        assert agent(page) == here


def test_one_event_is_one_solve_of_each_planner(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, _):
        page.evaluate(
            """() => {
                const solve = SoftOptimality.plan;
                window.solved = [];
                SoftOptimality.plan = (world, setting) => { window.solved.push(setting.planner); return solve(world, setting); };
            }"""
        )
        element = page.locator("so-gridworld")
        for act in (
            lambda: element.locator("input").first.press("ArrowRight"),
            lambda: element.locator("label", has_text="Beside it").locator("select").select_option("hard"),
            lambda: element.locator("svg").first.press("ArrowUp"),
            lambda: element.locator("svg").first.click(position={"x": 60, "y": 20}),
        ):
            page.evaluate("window.solved = []")
            act()
            settle(page)
            solved = page.evaluate("window.solved")
            assert sorted(solved) == sorted(set(solved)) and len(solved) == 2
        page.evaluate("window.solved = []")
        page.set_viewport_size({"width": 500, "height": 900})
        settle(page)
        assert page.evaluate("window.solved") == []


def test_impossible_settings_are_a_sentence_and_the_explorer_stays_usable(browser: Browser, folder: Path, address: str) -> None:
    shut = so.GridworldExplorer(["S#.", ".#G"], planner="soft", time="discount", discount=1.0)
    free = so.GridworldExplorer(["S.G"], step_reward=1.0, planner="soft", time="discount", discount=1.0)
    name = write(folder, "impossible.html", shut, free, so.HMMExplorer(noise=0.0, stickiness=1.0))
    with opened(browser, f"{address}/{name}") as (page, troubles):
        first, second = page.locator("so-gridworld").all()
        boots = page.locator("so-hmm")
        assert "needs a way to a goal" in status(first) and "do not settle" in status(second) and "day 3" in status(boots)
        first.locator("label", has_text="Time").locator("select").select_option("horizon")
        boots.locator("input").first.press("ArrowRight")
        settle(page)
        check(first)
        check(boots)
        first.locator("label", has_text="A click").locator("select").select_option(".")
        board = first.locator("svg[role=application]")
        board.click(position={"x": (board.bounding_box() or {})["width"] - 20, "y": (board.bounding_box() or {})["height"] - 20})
        settle(page)
        assert "no goal" in status(first)
        check(first, ["S#.", ".#."])
        assert "NaN" not in (page.locator("main").text_content() or "") + page.locator("main").inner_html()
        assert troubles == []


@pytest.mark.parametrize("width", [1200, 360])
@tags
def test_the_page_does_not_jump_when_an_explorer_comes_alive(browser: Browser, folder: Path, tag: str, width: int) -> None:
    name = write(folder, f"{tag}.html", KINDS[tag]())
    context = browser.new_context(viewport={"width": width, "height": 1200})
    page = context.new_page()
    held: list[Route] = []
    page.route("**/explorers.js", lambda route: held.append(route))
    page.goto((folder / name).as_uri(), wait_until="commit")
    page.locator("figure svg").wait_for()
    reserved = page.locator(tag).bounding_box()
    held[0].continue_()
    page.locator(".so-x").wait_for()
    settle(page)
    alive = page.locator(tag).bounding_box()
    context.close()
    assert reserved is not None and alive is not None
    assert abs(alive["height"] - reserved["height"]) < 120  # of a window of 1200: a layout shift below 0.1


def test_without_javascript_a_picture_with_a_caption_stands_there(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    for tag, kind in KINDS.items():
        figure = page.locator(f"{tag} figure")
        assert figure.locator("svg").is_visible() and figure.locator("figcaption").text_content() == kind().title
    context.close()


def test_the_script_is_small_minified() -> None:
    assert len(minify.string("application/javascript", SCRIPT).encode()) < 30_000
