"""Floor 5: feedback on exercises.  `so.check("4.2", answer)` tries an answer on small worlds and shows the first on which it is wrong.

An exercise is declared, not programmed: a generator of cases, a reference, a tolerance, and the slips that people make, each as a wrong
variant that is computed beside the reference (the lists are in `exercises/`, one file a chapter).  A check says what was expected in
ONE world; for an exercise whose answer is a number, where that would be the solution, it does not even say that.
"""

from __future__ import annotations

import copy
import html
import io
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from types import FrameType
from typing import Any

import numpy as np

SECONDS = 10.0  # for all calls of one check together
SEED = 5
CHAPTERS = range(1, 12)

Cases = Callable[[np.random.Generator], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Exercise:
    """What `check` knows of an exercise.

    name       "4.2": the second of chapter 4
    signature  what the student hands in, as they write it: "f(p, eta)"; without brackets it is a number
    cases      cases(rng) yields the arguments of one call after the other, in the order of the signature; special cases first
    reference  the right answer for a case
    slips      (wrong variant, hint): recognised when the answer equals the variant where the variant is wrong
    tolerance  relative to the largest entry expected, and absolute below 1; it leaves room for other orders of summation, not for slips
    """

    name: str
    signature: str
    reference: Callable[..., Any]
    cases: Cases = field(default=lambda rng: iter([{}]))
    slips: tuple[tuple[Callable[..., Any], str], ...] = ()
    tolerance: float = 1e-7

    @property
    def is_function(self) -> bool:
        return "(" in self.signature


@dataclass(frozen=True, repr=False)
class Report:
    """What `check` found: true where nothing is wrong.

    exercise  its name
    passed    whether the answer was right on every world
    problem   what is wrong, in a sentence
    details   (name, value) of the inputs, of what came and of what was expected
    hint      the likely slip, or an empty text
    """

    exercise: str
    passed: bool
    problem: str = ""
    details: tuple[tuple[str, str], ...] = ()
    hint: str = ""

    def __bool__(self) -> bool:
        return self.passed

    @property
    def title(self) -> str:
        return f"✔ {self.exercise}: right on every world tried." if self.passed else f"✘ {self.exercise}: {self.problem}"

    @property
    def _world(self) -> str:
        return "\n".join(f"  {name} = " + value.replace("\n", "\n" + " " * (len(name) + 5)) for name, value in self.details)

    def __repr__(self) -> str:
        return "\n".join(part for part in (self.title, self._world, f"  Hint: {self.hint}" if self.hint else "") if part)

    def _repr_html_(self) -> str:
        color = "#2a8a4a" if self.passed else "#c4501b"  # a bar at the side: text keeps the page's own color, light or dark
        world = f'<pre style="margin: 0.4em 0">{html.escape(self._world)}</pre>' if self.details else ""
        hint = f"<div><strong>Hint.</strong> {html.escape(self.hint)}</div>" if self.hint else ""
        style = f"border-inline-start: 4px solid {color}; padding: 0.2em 1em; overflow-x: auto"
        return f'<div role="status" style="{style}"><strong>{html.escape(self.title)}</strong>{world}{hint}</div>'


def check(name: str, answer: Any, *, rng: np.random.Generator | None = None) -> Report:
    """Try an answer to an exercise: a function where it asks for one, else a number or an array.

    The worlds are drawn from `rng`, by default the same ones each time.  An answer may raise, print, hang or return nonsense: the report
    says so.  ValueError for a name that is no exercise's.
    """
    exercise = find(name)
    draw = np.random.default_rng(SEED) if rng is None else rng
    if exercise.is_function != callable(answer):
        wanted = f"a function {exercise.signature}" if exercise.is_function else f"the value of {exercise.signature}, not a function"
        return Report(name, False, f"expected {wanted}; what came is {_kind(answer)}.")
    deadline = time.monotonic() + SECONDS
    for case in exercise.cases(draw):
        report = _try(exercise, answer, case, deadline)
        if report is not None:
            return report
    return Report(name, True)


def find(name: str) -> Exercise:
    """The exercise of this name.  ValueError, listing all names, where there is none."""
    known = exercises()
    if name not in known:
        raise ValueError(f"exercise {name!r}: unknown to so.check, which knows {', '.join(known)} (others are read by a person)")
    return known[name]


def exercises() -> dict[str, Exercise]:
    """Every exercise that can be checked, by name."""
    lists = (import_module(f".exercises.chapter_{chapter:02d}", __package__).EXERCISES for chapter in CHAPTERS)
    return {exercise.name: exercise for chapter in lists for exercise in chapter}


def _try(exercise: Exercise, answer: Any, case: dict[str, Any], deadline: float) -> Report | None:
    """A report where the answer is wrong on this case, else None."""
    shown = [(name, _text(value)) for name, value in case.items()]

    def wrong(problem: str, *more: tuple[str, str], hint: str = "") -> Report:
        return Report(exercise.name, False, problem, (*shown, *more), hint)

    expected = exercise.reference(**copy.deepcopy(case))
    if not exercise.is_function:
        got = answer
    else:
        given = copy.deepcopy(case)
        try:
            got = _call(answer, list(given.values()), deadline)
        except _TooSlow:
            return wrong(f"no answer after {SECONDS:g} seconds.", hint="A loop that does not end? Every loop needs a bound on its number of turns.")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return wrong(f"it raised {type(error).__name__}: {error}{_line(error, answer)}")
        changed = [key for key in case if not _same(case[key], given[key])]
        if changed:
            return wrong(
                f"the function changed its argument {changed[0]!r}.", hint="Whoever calls you still needs it: work on a copy, or make a new array."
            )
    problem = _nonsense(got, expected)
    if problem:
        return wrong(problem, *([("your answer", _text(got))] if got is not None else []))
    if _close(got, expected, exercise.tolerance):
        return None
    hint = _recognise(exercise, case, got, expected)
    if not exercise.is_function:
        return wrong("that is not it.", ("your answer", _text(got)), hint=hint)
    return wrong("wrong in this world.", ("your answer", _text(got)), ("expected", _text(expected)), hint=hint)


# -- running somebody else's function -----------------------------------------------------------------------------------------------


class _TooSlow(BaseException):
    """Not an Exception: an answer's own `except Exception` must not swallow it."""


def _call(function: Callable[..., Any], arguments: list[Any], deadline: float) -> Any:
    """Its result; what it prints and warns is dropped.  _TooSlow at the deadline."""
    hush = io.StringIO()
    with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(hush), redirect_stderr(hush), _time_limit(deadline):
        warnings.simplefilter("ignore")
        return function(*arguments)


@contextmanager
def _time_limit(deadline: float) -> Iterator[None]:
    """Raise _TooSlow inside at the deadline: by an alarm where there is one, else (in the browser, on Windows) at the next line of Python."""
    left = max(deadline - time.monotonic(), 1e-3)
    if hasattr(signal, "setitimer") and sys.platform != "emscripten" and threading.current_thread() is threading.main_thread():

        def ring(number: int, frame: FrameType | None) -> None:
            raise _TooSlow

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, left, 0.05)  # again and again: a bare `except:` may swallow the first
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > deadline:
            raise _TooSlow
        return watch

    tracer = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(tracer)


def _line(error: BaseException, answer: Any) -> str:
    """Where in the answer's own file it happened."""
    mine = getattr(getattr(answer, "__code__", None), "co_filename", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == mine]
    return f"\n  in: {frames[-1].line}" if frames and frames[-1].line else ""


# -- comparing ----------------------------------------------------------------------------------------------------------------------


def _parts(value: Any) -> list[np.ndarray]:
    return [np.asarray(part, dtype=float) for part in (value if isinstance(value, tuple) else (value,))]


def _same(before: Any, after: Any) -> bool:
    return np.array_equal(before, after, equal_nan=True) if isinstance(before, np.ndarray) else bool(before == after)


def _nonsense(got: Any, expected: Any) -> str:
    """What is wrong with the answer before its numbers are looked at, or an empty text."""
    if got is None:
        return "it returned None. Does the function end with `return`?" if not isinstance(expected, float) else "it is None. Did the cell run?"
    if isinstance(expected, tuple) and not (isinstance(got, tuple) and len(got) == len(expected)):
        return f"expected a tuple of {len(expected)} results; what came is {_kind(got)}."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a complex number must not lose its half quietly
            parts = _parts(got)
    except Exception:
        return f"expected numbers; what came is {_kind(got)}."
    for part, want in zip(parts, _parts(expected), strict=True):
        if part.shape != want.shape:
            wanted = "one number" if want.ndim == 0 else f"an array of shape {want.shape}"
            return f"expected {wanted}; what came is {'one number' if part.ndim == 0 else f'an array of shape {part.shape}'}."
        if np.isnan(part).any():
            where = f" at index {tuple(int(i) for i in np.argwhere(np.isnan(part))[0])}" if part.ndim else ""
            return f"NaN{where}: look for 0/0, inf − inf, 0 · inf or log of a negative number."
    return ""


def _close(got: Any, expected: Any, tolerance: float) -> bool:
    """Equal up to rounding: errors are measured against the largest finite entry, infinities must agree exactly."""
    for part, want in zip(_parts(got), _parts(expected), strict=True):
        if part.shape != want.shape:
            return False
        finite = np.isfinite(want)
        scale = max(1.0, np.abs(want[finite]).max(initial=0.0))
        error = np.abs(np.where(finite, part, 0.0) - np.where(finite, want, 0.0))
        if not ((error <= tolerance * scale) & (finite | (part == want))).all():
            return False
    return True


def _recognise(exercise: Exercise, case: dict[str, Any], got: Any, expected: Any) -> str:
    """The hint of the slip that gives this answer, or of a general one."""
    with np.errstate(all="ignore"):
        for variant, hint in exercise.slips:
            guess = variant(**copy.deepcopy(case))
            if _close(got, guess, exercise.tolerance) and not _close(guess, expected, exercise.tolerance):
                return hint
    mine, right = (np.concatenate([np.atleast_1d(part).ravel() for part in _parts(value)]) for value in (got, expected))
    usual = np.isfinite(mine) & np.isfinite(right)
    if (np.isinf(mine) & ~np.isinf(right)).any():
        return "An infinity where a number belongs: shift by the maximum before you exponentiate, and keep log 0 apart."
    mine, right = mine[usual], right[usual]
    if not exercise.is_function or len(mine) < 2:
        return ""
    if np.allclose(mine, -right):
        return "The sign is wrong everywhere."
    if np.allclose(mine - right, (mine - right)[0]):
        return "Every entry is off by the same amount: a constant is missing, or one too many."
    ratios = mine[right != 0] / right[right != 0]
    if len(ratios) > 1 and np.allclose(ratios, ratios[0]):
        return "Every entry is off by the same factor: look for a missing normalization or temperature."
    return ""


# -- showing ------------------------------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return "a function" if callable(value) else f"of type {type(value).__name__}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "\n".join(_text(part) for part in value)
    try:
        if isinstance(value, np.ndarray):
            return np.array2string(value, precision=4, suppress_small=False, threshold=60, max_line_width=90)
        return f"{value:.6g}" if isinstance(value, float) else repr(value)[:500]
    except Exception:
        return f"({_kind(value)})"
