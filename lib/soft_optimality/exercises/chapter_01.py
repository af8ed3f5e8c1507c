"""Chapter 1: inference in a model that unrolls in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..hmm import HMM
from ..numerics import Floats, log
from ..worlds import footpath
from .worlds import rows

STATIONARY = 0.4  # the long-run share of wet days on the footpath


def _models(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def case(model: HMM, x: Any) -> dict[str, Any]:
        return {"initial": model.initial, "transition": model.transition, "emission": model.emission, "x": np.array(x)}

    path = footpath()
    yield case(path, [2])
    yield case(path, [1, 2, 0])
    yield case(HMM(np.array([1.0, 0.0]), np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([[0.9, 0.1], [0.2, 0.8]])), [0, 1, 1])
    for _ in range(15):
        k, m = int(rng.integers(2, 4)), int(rng.integers(2, 4))
        yield case(HMM(rows(rng, k), rows(rng, k, k), rows(rng, k, m)), rng.integers(m, size=int(rng.integers(2, 7))))
    yield case(path, path.sample(2000, rng).observations)  # unscaled, the messages are 0 after some 700 days


def _forward(initial: Floats, transition: Floats, emission: Floats, x: Any) -> Floats:
    return HMM(initial, transition, emission).filter(x)


def _smooth(initial: Floats, transition: Floats, emission: Floats, x: Any, *, shift: int = 1, back: bool = True, seen: bool = True) -> Floats:
    """Filter times backward message; `shift`, `back` and `seen` make the slips."""
    move = transition if back else transition.T
    messages = np.ones((len(x), len(initial)))
    for t in range(len(x) - 2, -1, -1):
        likelihood = emission[:, x[t + shift]] if seen else 1.0
        messages[t] = move @ (likelihood * messages[t + 1])
        messages[t] /= messages[t].sum()
    joint = _forward(initial, transition, emission, x) * messages
    return joint / joint.sum(axis=1, keepdims=True)


def _twice(initial: Floats, transition: Floats, emission: Floats, x: Any) -> Floats:
    joint = _smooth(initial, transition, emission, x) * emission[:, x].T
    return joint / joint.sum(axis=1, keepdims=True)


def _evidence(initial: Floats, transition: Floats, emission: Floats, x: Any, *, move_first: bool = False) -> float:
    return HMM(initial @ transition if move_first else initial, transition, emission).log_evidence(x)


def _best_path(initial: Floats, transition: Floats, emission: Floats, x: Any) -> float:
    return HMM(initial, transition, emission).decode(x).log_prob


def _forgets(k: int = 0) -> float:
    """The first k with |p(Z_{T+k} = wet | two muddy evenings) − 0.4| < 0.01; it halves each day."""
    model = footpath()
    ahead = model.predict([2, 2], 40)[:, 1]
    return float(np.flatnonzero(np.abs(ahead - STATIONARY) < 0.01)[0] + 1 + k)


ARGUMENTS = "(initial, transition, emission, x)"

EXERCISES = [
    Exercise(
        name="1.2",
        signature="smooth" + ARGUMENTS,
        cases=_models,
        reference=lambda initial, transition, emission, x: HMM(initial, transition, emission).smooth(x),
        slips=(
            (_forward, "That is the filter: each day's belief from its own past. What is seen later is not used yet."),
            (_twice, "What is seen at step t is counted twice. It is in the filter already, so the backward message starts with step t + 1."),
            (
                lambda initial, transition, emission, x: _smooth(initial, transition, emission, x, shift=0),
                "The backward message of step t conditions on x[t]. It must condition on x[t + 1], what the next state shows.",
            ),
            (
                lambda initial, transition, emission, x: _smooth(initial, transition, emission, x, back=False),
                "The backward message runs through the transition in the wrong direction: sum over the next state, not over the one before.",
            ),
            (
                lambda initial, transition, emission, x: HMM(initial @ transition, transition, emission).smooth(x),
                "The first state was moved before anything was seen. `initial` is the state of the first observation.",
            ),
        ),
    ),
    Exercise(
        name="1.3",
        signature="days",
        reference=_forgets,
        tolerance=1e-9,
        slips=(
            (lambda: _forgets(-1), "One day short. k = 1 is tomorrow: the belief after the last evening, moved once."),
            (lambda: _forgets(1), "One day too many. k = 1 is tomorrow: the belief after the last evening, moved once."),
        ),
    ),
    Exercise(
        name="1.4",
        signature="log_evidence" + ARGUMENTS,
        cases=_models,
        reference=_evidence,
        slips=(
            (_best_path, "That is what the given function says. Write out all paths of two steps: which of them does it count?"),
            (
                lambda initial, transition, emission, x: _evidence(initial, transition, emission, x, move_first=True),
                "The first state was moved before anything was seen. `initial` is the state of the first observation.",
            ),
            (
                lambda initial, transition, emission, x: _evidence(initial, transition, emission, x[:-1]) if len(x) > 1 else 0.0,
                "The last observation is missing.",
            ),
            (
                lambda initial, transition, emission, x: float(np.exp(_evidence(initial, transition, emission, x))),
                "That is the evidence itself. Its logarithm is asked for, since the evidence of a long sequence is no float.",
            ),
            (
                lambda initial, transition, emission, x: float(log(initial @ emission)[x].sum()),
                "Each observation was taken by itself, as if the hidden state never moved on from `initial`.",
            ),
        ),
    ),
]
