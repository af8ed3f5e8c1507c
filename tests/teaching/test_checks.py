"""so.check accepts each reference, rejects what is wrong, says where, and outlives whatever it is given."""

import inspect
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import soft_optimality as so
from soft_optimality import checks

EXERCISES = checks.exercises()
FUNCTIONS = [exercise for exercise in EXERCISES.values() if exercise.is_function]
VALUES = [exercise for exercise in EXERCISES.values() if not exercise.is_function]
each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
each_function = pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
each_value = pytest.mark.parametrize("exercise", VALUES, ids=lambda exercise: exercise.name)
SLIPS = [(exercise, i) for exercise in EXERCISES.values() for i in range(len(exercise.slips))]
each_slip = pytest.mark.parametrize("exercise, i", SLIPS, ids=lambda x: x.name if isinstance(x, checks.Exercise) else str(x))


def answer_of(exercise: checks.Exercise, variant: Callable[..., Any]) -> Any:
    """The variant as a student hands it in: a function, or for an exercise about a number that number."""
    return variant if exercise.is_function else variant()


def wrong_variants(exercise: checks.Exercise) -> dict[str, Callable[..., Any]]:
    """Answers that are wrong in other ways than the listed slips."""
    right, first = exercise.reference, exercise.reference(**next(iter(exercise.cases(np.random.default_rng(0)))))
    spoil = lambda result, how: tuple(how(x) for x in result) if isinstance(result, tuple) else how(result)
    return {
        "None": lambda *args: None,
        "a list in a list": lambda *args: spoil(right(*args), lambda x: [[x]]),
        "NaN": lambda *args: spoil(right(*args), lambda x: x * np.nan),
        "a hundredth too large": lambda *args: spoil(right(*args), lambda x: x * 1.01 + 0.01),
        "minus": lambda *args: spoil(right(*args), lambda x: -x),
        "a thousandth off": lambda *args: spoil(right(*args), lambda x: x + 1e-3),
        "the first world's answer": lambda *args: first,
        "raises": lambda *args: 1 / 0,
        "text": lambda *args: "done",
    }


@each
def test_the_reference_passes_on_the_usual_worlds_and_on_others(exercise: checks.Exercise) -> None:
    for rng in (None, np.random.default_rng(99)):
        report = so.check(exercise.name, answer_of(exercise, exercise.reference), rng=rng)
        assert report and report.passed, report


@each_slip
def test_each_slip_is_recognised_by_name(exercise: checks.Exercise, i: int) -> None:
    variant, hint = exercise.slips[i]
    report = so.check(exercise.name, answer_of(exercise, variant))
    assert not report
    # Two slips may agree on one small world, and NaN needs no name.
    hints = [hint for other, hint in exercise.slips]
    assert report.hint in hints or "NaN" in report.problem, report
    assert len(hint) > 20 and hint[-1] in ".?"


@each_function
def test_at_least_five_wrong_variants_are_rejected_with_words_to_act_on(exercise: checks.Exercise) -> None:
    assert len(exercise.slips) >= 3
    variants = wrong_variants(exercise)
    for name, variant in variants.items():
        report = so.check(exercise.name, variant)
        assert not report, name
        assert len(report.problem) > 15, name
        assert report.hint or report.details or "return" in report.problem, name
    assert len(variants) + len(exercise.slips) >= 10


@each_value
def test_a_wrong_number_is_rejected_and_the_right_one_not_told(exercise: checks.Exercise) -> None:
    right = exercise.reference()
    for wrong in (right * 1.5 + 0.1, -right - 1, right * np.nan, "a lot", None, np.sum):
        report = so.check(exercise.name, wrong)
        assert not report
        assert f"{np.ravel(right)[0]:.3g}" not in repr(report) and "expected =" not in repr(report)


@each_function
def test_the_signature_is_that_of_the_reference_and_of_the_cases(exercise: checks.Exercise) -> None:
    names = exercise.signature[exercise.signature.index("(") + 1 : -1].split(", ")
    assert list(inspect.signature(exercise.reference).parameters)[: len(names)] == names
    for case in itertools.islice(exercise.cases(np.random.default_rng(1)), 3):
        assert list(case) == names


def test_the_first_wrong_world_is_shown_with_what_came_and_what_was_expected() -> None:
    report = so.check("4.4", lambda p, r, policy, T, eta: np.zeros(len(p)))
    assert {"p", "r", "policy", "T", "eta", "your answer", "expected"} == {name for name, _ in report.details}
    assert "wrong in this world" in repr(report) and "your answer = [0. 0.]" in repr(report)


def test_the_report_is_read_in_a_terminal_and_in_a_notebook() -> None:
    passed, failed = so.check("4.4", EXERCISES["4.4"].reference), so.check("4.4", lambda *args: "<script>")
    assert repr(passed).startswith("✔") and repr(failed).startswith("✘")
    assert "<script>" not in failed._repr_html_() and "&lt;script&gt;" in failed._repr_html_()
    for page in (passed._repr_html_(), failed._repr_html_()):
        assert 'role="status"' in page and "background" not in page  # the page's own colors, light or dark


# -- answers that misbehave ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SECONDS", 0.5)


def endless(*args: Any) -> None:
    while True:
        pass


def stubborn(*args: Any) -> None:
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


@pytest.mark.parametrize("answer", [endless, stubborn])
def test_an_answer_that_hangs_is_stopped(quick: None, answer: Callable[..., Any]) -> None:
    started = time.monotonic()
    report = so.check("4.4", answer)
    assert not report and "no answer after" in report.problem
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("answer", [endless, stubborn])
def test_it_is_stopped_also_where_there_are_no_alarms(quick: None, answer: Callable[..., Any]) -> None:
    reports = []
    thread = threading.Thread(target=lambda: reports.append(so.check("4.4", answer)), daemon=True)  # alarms belong to the main thread
    thread.start()
    thread.join(10)
    assert reports and "no answer after" in reports[0].problem


def test_the_browser_has_no_alarms_either(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(checks.signal, "setitimer")
    assert "no answer after" in so.check("4.4", endless).problem
    assert so.check("4.4", EXERCISES["4.4"].reference)
    assert sys.gettrace() is None or sys.gettrace().__module__ != checks.__name__


def test_what_it_prints_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(*args: Any) -> Any:
        print("noise" * 1000)
        print("noise", file=sys.stderr)
        return EXERCISES["4.4"].reference(*args)

    assert so.check("4.4", loud)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_arguments_must_stay_as_they_were() -> None:
    def overwrites(p: Any, r: Any, policy: Any, T: int, eta: float) -> Any:
        result = EXERCISES["4.4"].reference(p, r, policy, T, eta)
        r += 1
        return result

    report = so.check("4.4", overwrites)
    assert not report and "'r'" in report.problem and "copy" in report.hint


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), RecursionError(), AssertionError()])
def test_an_answer_that_raises_is_told_what_and_where(error: BaseException) -> None:
    def breaks(*args: Any) -> None:
        raise error

    report = so.check("4.4", breaks)
    assert not report and type(error).__name__ in report.problem and "raise error" in report.problem


def test_an_interrupt_by_the_reader_is_not_swallowed() -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        so.check("4.4", interrupted)


class Nasty:
    def __repr__(self) -> str:
        raise RuntimeError

    def __array__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError


@pytest.mark.parametrize("result", [Nasty(), object(), np.array([1 + 2j, 0]), np.array(["a", "b"]), {}, [[1], [1, 2]], (1.0, 2.0, 3.0), lambda: 0])
def test_nonsense_is_refused_in_words(result: Any) -> None:
    report = so.check("4.4", lambda *args: result)
    assert not report and "expected" in report.problem
    repr(report), report._repr_html_()


def test_a_function_where_a_number_belongs_and_the_other_way_round() -> None:
    assert "a function evaluate(" in so.check("4.4", 3.0).problem
    assert "not a function" in so.check("4.3", lambda: 3.0).problem


def test_the_state_of_the_world_outside_is_kept() -> None:
    before = np.geterr(), sys.gettrace()
    so.check("4.4", lambda *args: np.seterr(all="raise"))
    assert (np.geterr(), sys.gettrace()) == before


def test_an_unknown_exercise_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"'4.99': unknown.*4\.2.*4\.3"):
        so.check("4.99", 1.0)


def test_the_library_does_not_load_the_exercises_before_they_are_asked_for() -> None:
    code = "import sys, soft_optimality; print(any('soft_optimality.exercises' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
