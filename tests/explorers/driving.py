"""How the tests move an explorer's controls, read its tables, and what the Python library says that it should show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page
from scipy.optimize import brentq

import soft_optimality as so
from soft_optimality.explorers import UNIFORM, Explorer

SITE = Path(__file__).parents[2] / "_build" / "html"
KINDS = {f"so-{kind.kind}": kind for kind in (so.GridworldExplorer, so.HMMExplorer, so.LotteryExplorer, so.BackupExplorer)}
ANY_EXPLORER = ", ".join(KINDS)
# The names of the controls on the page, and of the traits.
CONTROLS = {
    "Slip": "slip", "Temperature η": "temperature", "Time": "time", "Horizon T": "horizon", "Discount γ": "discount", "Planner": "planner",
    "Beside it": "second", "Show": "show", "Sensor noise": "noise", "Stickiness": "stickiness", "Today is day": "day", "Door one pays": "sure",
    "Door two: win": "win", "Door two: lose": "lose", "Probability of a win": "probability",
}  # fmt: skip
TITLES = {"hard": "hard", "soft": "soft (variational)", "optimistic": "posterior (optimistic)"}
BRUSHES = {"#": "paints wall", "X": "paints cliff", "G": "paints goal", "S": "paints start", ".": "paints floor", "look": "selects a cell"}
NAMES = ["north", "east", "south", "west"]
Table = dict[str, list[str]]

# The theme's own colours by night; by day the explorers bring theirs.
NIGHT = "html[data-theme=dark]{--pst-color-text-base:#d9dee4;--pst-color-background:#121212;--pst-color-surface:#29313d;--pst-color-border:#48566b;"
NIGHT += "--pst-color-text-muted:#a3adb8;--pst-color-primary:#84b9ea;background:#121212;color:#d9dee4}"


def document(*explorers: Explorer) -> str:
    """A page with explorers and nothing else; by night where the system is."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Explorers</title>'
        '<link rel="stylesheet" href="explorers.css"><link rel="icon" href="data:,"><script defer src="explorers.js"></script>'
        f"<style>body{{max-width:46rem;margin:0 auto;padding:0 .5rem;font-family:sans-serif}}{NIGHT}</style>"
        '<script>document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"</script></head>'
        f"<body><main><h1>Explorers</h1>{''.join(e.to_html() for e in explorers)}<p>The text goes on.</p></main></body></html>"
    )


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = 1000, scheme: str = "light", ready: str = ".so-x", **context: Any
) -> Iterator[tuple[Page, list[str]]]:
    """The page with its explorers alive, and what went wrong with it so far.  Every host but this one is out of reach."""
    running = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **context)
    troubles: list[str] = []
    page = running.new_page()
    here = ("http://127.0.0.1:", "file:", "data:", "blob:")
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(here) else route.abort())
    page.on("console", lambda message: troubles.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    page.goto(url)
    page.locator(ready).first.wait_for()
    try:
        yield page, troubles
    finally:
        running.close()


def settle(page: Page) -> None:
    """An event asks for a frame, and the frame draws."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def tables(element: Locator) -> list[Table]:
    """The read-outs: the cells of each row by its name, and of the head under the name "head"."""
    return element.evaluate(
        """e => [...e.querySelectorAll('table')].map(table => Object.fromEntries([...table.rows].map((row, i) => {
            const [name, ...cells] = [...row.cells].map(cell => cell.textContent);
            return i ? [name, cells] : ['head', [name, ...cells]];
        })))"""
    )


def value(text: str) -> float:
    """A number as the page writes it."""
    text = text.replace("−", "-").removesuffix(" %")
    return np.nan if text == "–" else float(text.replace("∞", "inf"))


def agree(found: list[str], expected: list[float], where: str, slack: float = 0.0) -> None:
    """Each number as shown is the expected one rounded, however many digits it shows."""
    assert len(found) == len(expected), (where, found, expected)
    for text, number in zip(found, expected):
        digits = len(text.removesuffix(" %").partition(".")[2])
        assert value(text) == pytest.approx(number, abs=0.501 * 10.0**-digits + slack, nan_ok=True), (where, found, expected)


def settings_of(element: Locator) -> dict[str, Any]:
    """The settings as the element was built, changed as its controls stand now."""
    tag = element.evaluate("e => e.localName")
    config = json.loads(element.get_attribute("data-config") or "{}")
    settings = {name: config[key] for name, key in KINDS[tag]._keys().items() if key in config}
    stand = element.evaluate(
        """e => [...e.querySelectorAll('label')].filter(l => !l.hidden).map(l => {
            const input = l.querySelector('input, select'), read = input.type === 'range' ? Number : String;
            return [l.querySelector('span').textContent, read(input.value), l.querySelector('output')?.textContent];
        })"""
    )
    for name, found, shown in stand:
        if name == "Temperature η":  # on a logarithmic slider, in two digits; one that was set between two of its steps stays as it was
            found = min(float(f"{10**found:.2g}"), settings["temperature"], key=lambda eta: abs(eta - float(shown)))
        if name in CONTROLS:
            settings[CONTROLS[name]] = int(found) if CONTROLS[name] in ("horizon", "day") else found
    if tag == "so-backup":
        settings["values"] = [found for name, found, _ in stand if name.startswith("Q of action")]
    if tag == "so-hmm":
        settings["observations"] = element.locator(".so-days button").evaluate_all("bs => bs.map(b => +(b.textContent === 'muddy'))")
    return settings


def check(element: Locator, rows: list[str] | None = None) -> None:
    """All that the element shows is what the library gives for the settings as they stand."""
    settings = settings_of(element)
    if rows is not None:
        settings["rows"] = rows
    KIND_CHECKS[element.evaluate("e => e.localName")](element, settings)


def check_gridworld(element: Locator, settings: dict[str, Any]) -> None:
    status = element.locator(".so-status")
    try:
        explorer = so.GridworldExplorer(**settings)
        names = [explorer.planner, *([explorer.second] if explorer.second != "none" else [])]
        plans = [explorer.plan(name) for name in names]
    except (ValueError, so.NotConverged):
        assert "so-error" in (status.get_attribute("class") or ""), (settings, status.text_content())
        assert len(status.text_content() or "") > 20 and tables(element) == []
        return
    if "so-error" in (status.get_attribute("class") or ""):  # only a policy that never ends has a plan and no return
        assert explorer.time == "discount" and explorer.discount == 1 and "never ends" in (status.text_content() or "")
        return
    world, eta, steps = explorer.world(), explorer.temperature, explorer.horizon if explorer.time == "horizon" else None
    summary, *more = tables(element)
    assert summary["head"] == ["", *(TITLES[name] for name in names)]
    policies = [plan.policy for plan in plans]
    agree(summary["expected return"], [so.expected_return(world, policy, steps) for policy in policies], "expected return")
    shown = [i for i, name in enumerate(names) if name != "hard"]  # equal actions: the hard planner may take either
    outcomes = np.array([outcome(world, policies[i], steps) for i in shown]).reshape(-1, 3).T
    for row, expected in zip(("reaches the goal", "falls off a cliff", "entropy of its choices (nats)"), outcomes):
        agree([summary[row][i] for i in shown], [100 * p for p in expected] if "entropy" not in row else list(expected), row)
    if steps:
        evidence = so.condition_on_optimality(world, steps, eta, prior=UNIFORM).log_evidence
        bounds = [so.elbo(world, policies[i], steps, eta, prior=UNIFORM) for i in shown]
        agree(summary["evidence log p(O) (nats)"], [evidence] * len(names), "evidence")
        agree([summary["ELBO (nats)"][i] for i in shown], bounds, "ELBO")
        agree([summary["gap (nats)"][i] for i in shown], [evidence - bound for bound in bounds], "gap")
    first = [(plan.q, plan.v, plan.policy) if steps is None else (plan.q[0], plan.v[0], plan.policy[0]) for plan in plans]
    if more:  # the selected cell is no end
        row, column = (int(word) - 1 for word in more[0]["head"][0].replace("row ", "").replace("column ", "").split(", "))
        s = world.state(row, column)
        for a, name in enumerate(NAMES):
            expected = [x for q, _, policy in first for x in (q[s, a], policy[s, a])]
            loose = [i for i in range(len(expected)) if not (i % 2 and names[i // 2] == "hard")]
            agree([more[0][name][i] for i in loose], [expected[i] for i in loose], name)
        agree(more[0]["V"][::2], [v[s] for _, v, _ in first], "V")
    if explorer.show == "values":
        digits = 0 if len(world.rows[0]) > 8 else 1
        for (_, v, _), picture in zip(first, element.locator("svg[role=application]").all()):
            texts = picture.locator("text").all_text_contents()
            here = [texts[r * len(world.rows[0]) + c] for r, c in world.cells[~world.terminal]]
            agree(here, list(v[~world.terminal]), "values in the map", 0.01 * digits)
    if explorer.show == "dynamics" and more and (steps or 0) > 1:
        action, true = NAMES.index(more[1]["head"][0].split()[0]), world.dense_transition()[s]
        bent = so.condition_on_optimality(world, steps, eta, prior=UNIFORM).dynamics_at(0)[s]
        for name, landings in zip(names, more[1:]):
            for place, chances in list(landings.items())[1:]:
                row, column = (int(word) - 1 for word in place.replace("row ", "").replace("column ", "").split(", "))
                s2 = world.state(row, column)
                assert value(chances[0]) == pytest.approx(true[action, s2], abs=0.0006)
                assert value(chances[1]) == pytest.approx((bent if name == "optimistic" else true)[action, s2], abs=0.0006)


def outcome(world: so.worlds.Gridworld, policy: np.ndarray, steps: int | None) -> tuple[float, float, float]:
    """The chances to end at a goal and at a cliff, and the (discounted) sum of entropies."""
    logs = np.where(world.terminal[:, None], 0.0, np.log(np.where(policy > 0, policy, 1.0)))
    entropy = -float((so.occupancy(world, policy, steps) * logs).sum())
    if steps:
        ends = so.occupancy(world, np.concatenate([policy, policy[-1:]]), steps + 1)[-1].sum(axis=1)
        return float(ends[world.where("G")].sum()), float(ends[world.where("X")].sum()), entropy
    move = np.einsum("sa,sat->st", policy, world.dense_transition())
    going = ~world.terminal
    reach = np.linalg.solve(np.eye(going.sum()) - move[np.ix_(going, going)], move[going])
    first = world.initial[going] @ reach
    return float(first[world.where("G")].sum()), float(first[world.where("X")].sum()), entropy


def check_hmm(element: Locator, settings: dict[str, Any]) -> None:
    e, k, day, x = settings["noise"], settings["stickiness"], settings["day"], settings["observations"]
    model = so.HMM(np.array([0.5, 0.5]), np.array([[k, 1 - k], [1 - k, k]]), np.array([[1 - e, e], [e, 1 - e]]))
    try:
        smoothed = model.smooth(x)
    except ValueError:
        assert "so-error" in (element.locator(".so-status").get_attribute("class") or "")
        return
    days, boots, evidence = tables(element)
    agree(days[f"filtering: day {day}, given days 1 to {day}"], list(model.filter(x[:day])[-1]), "filtering")
    agree(days[f"smoothing: day {day}, given all {len(x)} days"], list(smoothed[day - 1]), "smoothing")
    agree(days[f"prediction: day {day + 1}, given days 1 to {day}"], list(model.predict(x[:day], 1)[0]), "prediction")
    agree(boots[f"prediction: boots on day {day + 1}"], list(model.predict_observations(x[:day], 1)[0]), "boots")
    agree(evidence[f"days 1 to {day}"], [model.log_evidence(x[:day])], "evidence")
    agree(evidence[f"all {len(x)} days"], [model.log_evidence(x)], "evidence")
    # In the picture: a bar for each day, as known that day, then as predicted; a dot for each day; the words of the most probable path.
    bars = element.locator("svg rect").evaluate_all("all => all.slice(1).map(bar => +bar.getAttribute('height') / 130)")
    ahead = model.predict(x[:day], len(x) - day)[:, 1] if day < len(x) else []
    np.testing.assert_allclose(bars, [*model.filter(x)[:day, 1], *ahead], atol=1e-9)
    dots = element.locator("svg circle").evaluate_all("all => all.map(dot => 1 - (dot.getAttribute('cy') - 8) / 130)")
    np.testing.assert_allclose(dots, smoothed[:, 1], atol=1e-9)
    words = [("dry", "wet").index(word) for word in element.locator("svg text").all_text_contents()]
    joint = np.log([0.5, *(model.transition[i, j] for i, j in pairwise(words)), *(model.emission[z, o] for z, o in zip(words, x))]).sum()
    assert joint == pytest.approx(model.decode(x).log_prob)  # there may be several such paths


def check_lottery(element: Locator, settings: dict[str, Any]) -> None:
    win, lose, p, sure, eta = (settings[name] for name in ("win", "lose", "probability", "sure", "temperature"))
    worth = lambda eta: float(so.backups.soft_v(np.array([[win, lose]]), eta, np.array([[p, 1 - p]]))[0])
    mean = p * win + (1 - p) * lose
    (shown,) = tables(element)
    agree(shown["expectation E V"][:1], [mean], "expectation")
    agree(shown["optimist η log E exp(V/η)"][:1], [worth(eta)], "optimist")
    agree(shown["gap"][:1], [worth(eta) - mean], "gap")
    turns = mean < sure < max([x for x, chance in ((win, p), (lose, 1 - p)) if chance > 0])
    if not turns:
        assert shown["changes its mind at η"][0] == "–"
    elif (worth(1e-3) - sure) * (worth(1e3) - sure) < 0:
        agree(shown["changes its mind at η"][:1], [brentq(lambda eta: worth(eta) - sure, 1e-3, 1e3, xtol=1e-10)], "threshold")
    for name, v in (("expectation E V", mean), ("optimist η log E exp(V/η)", worth(eta))):
        if abs(v - sure) > 1e-9:
            assert shown[name][1] == ("the gamble" if v > sure else "the sure door")


def check_backup(element: Locator, settings: dict[str, Any]) -> None:
    q, eta = np.array([settings["values"]]), settings["temperature"]
    policy, count = so.backups.boltzmann_policy(q, eta)[0], q.shape[1]
    (shown,) = tables(element)
    soft = float(so.backups.soft_v(q, eta)[0])
    expected = [q.max(), soft, q.max() + eta * np.log(count), soft - eta * np.log(count), q.max() - eta * np.log(count)]
    entropy = -float((policy * np.log(np.where(policy > 0, policy, 1.0))).sum())
    names = [name for name in shown if name != "head"]
    assert len(names) == 6
    for name, number in zip(names, [*expected, entropy]):
        agree(shown[name], [number], name)
    texts = element.locator("svg text").all_text_contents()
    agree(texts[5 : 5 + count], list(policy), "policy")  # after the five numbers of the scale
    tops = element.locator("svg line[stroke-linecap]").evaluate_all("all => all.map(line => (118 - line.getAttribute('y1')) / 38)")
    np.testing.assert_allclose(tops, q[0], atol=1e-9)


KIND_CHECKS = {"so-gridworld": check_gridworld, "so-hmm": check_hmm, "so-lottery": check_lottery, "so-backup": check_backup}


def picture(element: Locator) -> str:
    return element.locator(".so-picture").inner_html()


def move_every_control(page: Page, element: Locator) -> None:
    """Each slider and list by keyboard and by pointer; after each, picture and numbers are the library's."""
    check(element)
    for name in element.locator("label > span").all_text_contents():
        label = element.locator("label", has=page.locator(f"span:text-is('{name}')")).first
        if label.is_hidden() or name == "A click":
            continue
        if label.locator("select").count():
            move_list(page, element, label)
        else:
            move_slider(page, element, label)
    if element.locator(".so-days").count():
        flip_days(page, element)
    if element.locator(".so-hold").count():
        drag_bars(page, element)
    if element.locator("svg[role=application]").count():
        paint(page, element)


def move_slider(page: Page, element: Locator, label: Locator) -> None:
    slider = label.locator("input")
    start, seen = slider.input_value(), {picture(element)}
    for keys in (["End"], ["Home"], ["ArrowRight"] * 3):
        slider.focus()
        for key in keys:
            page.keyboard.press(key)
        settle(page)
        seen.add(picture(element))
        check(element)
    assert len(seen) > 1, f"{label.text_content()} by keyboard"
    before = picture(element)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2)
    settle(page)
    assert picture(element) != before, f"{label.text_content()} by pointer"
    check(element)
    slider.fill(start)
    settle(page)


def move_list(page: Page, element: Locator, label: Locator) -> None:
    choice = label.locator("select")
    start = choice.input_value()
    for option in choice.locator("option").evaluate_all("all => all.map(option => option.value)"):
        before, stood = picture(element), choice.input_value()
        choice.select_option(option)
        settle(page)
        assert stood == option or picture(element) != before, f"{label.text_content()}: {option}"
        check(element)
    choice.select_option(start)
    settle(page)
    choice.focus()
    page.keyboard.press("ArrowDown" if choice.evaluate("e => e.selectedIndex + 1 < e.length") else "ArrowUp")
    settle(page)
    assert choice.input_value() != start
    check(element)
    choice.select_option(start)
    settle(page)


def flip_days(page: Page, element: Locator) -> None:
    for t, by_keyboard in ((1, True), (4, False)):
        button = element.locator(".so-days button").nth(t)
        before = button.text_content()
        if by_keyboard:
            button.focus()
            page.keyboard.press("Space")
        else:
            button.click()
        settle(page)
        assert button.text_content() != before
        check(element)


def drag_bars(page: Page, element: Locator) -> None:
    hold = element.locator(".so-hold").first
    hold.scroll_into_view_if_needed()
    box = hold.bounding_box()
    assert box is not None
    before = settings_of(element)["values"]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 14)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40, steps=4)
    page.mouse.up()
    settle(page)
    after = settings_of(element)["values"]
    assert after[0] != before[0] and after[1:] == before[1:]
    check(element)


def paint(page: Page, element: Locator) -> None:
    """A wall, a cliff and a goal by keyboard and by pointer, then the map as it was."""
    original = list(settings_of(element)["rows"])
    rows, brush = list(original), element.locator("label", has_text="A click").locator("select")
    floor = [(r, c) for r, row in enumerate(original) for c, letter in enumerate(row) if letter == "."]
    board = element.locator("svg[role=application]").first
    for number, (letter, (r, c)) in enumerate(zip("#XG.#", [floor[0], floor[len(floor) // 2], floor[-1], floor[0], floor[1]])):
        brush.select_option(letter)
        board.scroll_into_view_if_needed()
        if number % 2:
            box = board.bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + box["width"] * (c + 0.5) / len(rows[0]), box["y"] + box["height"] * (r + 0.5) / len(rows))
        else:
            board.focus()
            for _ in range(len(rows)):
                page.keyboard.press("ArrowUp")
            for _ in range(len(rows[0])):
                page.keyboard.press("ArrowLeft")
            for key, times in (("ArrowDown", r), ("ArrowRight", c)):
                for _ in range(times):
                    page.keyboard.press(key)
            page.keyboard.press("Enter")
        settle(page)
        rows[r] = rows[r][:c] + letter + rows[r][c + 1 :]
        check(element, rows)
    brush.select_option("look")
    element.get_by_role("button", name="Reset map").click()
    settle(page)
    check(element, original)
