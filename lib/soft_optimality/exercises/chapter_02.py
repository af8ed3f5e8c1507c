"""Chapter 2: the optimality variable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats
from .worlds import rows, worlds


def _tasks(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def make(p: Floats, r: Floats, rng: np.random.Generator) -> dict[str, Any]:
        return {"p": p, "r": r, "rho": rows(rng, *r.shape), "T": int(rng.integers(2, 5)), "eta": float(rng.uniform(0.4, 2))}

    return worlds(rng, make)


def _starts(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for case in _tasks(rng):
        yield {"initial": rows(rng, len(case["p"])), **case}


def _messages(p: Floats, r: Floats, rho: Floats, T: int, eta: float) -> Floats:
    """β_t(s), (T, S)."""
    beta, found = np.ones(len(p)), []
    for _ in range(T):
        beta = (rho * np.exp(r / eta) * (p @ beta)).sum(axis=1)
        found.append(beta)
    return np.array(found[::-1])


def _mean_reward_messages(p: Floats, r: Floats, rho: Floats, T: int, eta: float) -> Floats:
    v, found = np.zeros(len(p)), []
    for _ in range(T):
        v = (rho * (r / eta + p @ v)).sum(axis=1)
        found.append(np.exp(v))
    return np.array(found[::-1])


def _marginals(initial: Floats, p: Floats, r: Floats, rho: Floats, T: int, eta: float, *, own: bool = False, back: bool = True) -> Floats:
    """p(s_t | O), (T, S); `own`: the forward message contains its own step's potential."""
    weights = rho * np.exp(r / eta)
    alpha, states = initial, []
    beta = _messages(p, r, rho, T, eta) if back else np.ones((T, len(p)))
    for t in range(T):
        states.append(alpha * beta[t] * (weights.sum(axis=1) if own else 1.0))
        alpha = np.einsum("s,sa,sat->t", alpha, weights, p)
    return np.array(states) / np.sum(states, axis=1, keepdims=True)


def _prior_states(initial: Floats, p: Floats, r: Floats, rho: Floats, T: int, eta: float) -> Floats:
    return _marginals(initial, p, np.zeros_like(r), rho, T, eta)


EXERCISES = [
    Exercise(
        name="2.2",
        signature="messages(p, r, rho, T, eta)",
        cases=_tasks,
        reference=_messages,
        slips=(
            (
                lambda p, r, rho, T, eta: _messages(p, r, np.ones_like(rho), T, eta),
                "The prior is left out: each action was given the weight 1. An average over actions weighs them by ρ.",
            ),
            (
                lambda p, r, rho, T, eta: _messages(p, r, rho**2, T, eta),
                "That is what you get when the prior is counted twice: once in β(s,a), once more in β(s). It belongs in the average over actions.",
            ),
            (lambda p, r, rho, T, eta: _messages(p, r, rho, T, eta)[::-1], "The steps are in reverse order: the first row belongs to t = 1."),
            (
                lambda p, r, rho, T, eta: np.vstack([_messages(p, r, rho, T - 1, eta), np.ones(len(p))]),
                "The last row is 1, as if step T paid nothing. β is 1 after the last step: β_{T+1} = 1, and β_T holds one reward.",
            ),
            (
                lambda p, r, rho, T, eta: _messages(p, r, rho, T + 1, eta)[:-1],
                "One step too many: β_T holds the potential of step T alone, since β_{T+1} = 1.",
            ),
            (_mean_reward_messages, "Rewards were averaged before the exponential. In the message e^{r/η} stands inside the sums."),
            (lambda p, r, rho, T, eta: _messages(p, r, rho, T, 1.0), "There is no temperature in this answer."),
            (lambda p, r, rho, T, eta: np.log(_messages(p, r, rho, T, eta)), "These are the logarithms of the messages."),
        ),
    ),
    Exercise(
        name="2.3",
        signature="change",
        reference=lambda: 10.0,
        tolerance=1e-6,
        slips=(
            (lambda: 5.0, "The constant was paid at each of the five steps, but its price in nats is c/η a step."),
            (lambda: 2.0, "That is the change at one step. The constant is paid at each."),
            (lambda: 2.5, "Multiplied by η where it should be divided."),
            (lambda: float(np.exp(10.0)), "That is the factor by which p(O) grows. Its logarithm is asked for."),
        ),
    ),
    Exercise(
        name="2.4",
        signature="state_marginals(initial, p, r, rho, T, eta)",
        cases=_starts,
        reference=_marginals,
        slips=(
            (
                lambda initial, p, r, rho, T, eta: _marginals(initial, p, r, rho, T, eta, own=True),
                "That is what the given function says. Take T = 1: what should the answer be, and how often does e^{r/η} occur in it?",
            ),
            (
                lambda initial, p, r, rho, T, eta: _marginals(initial, p, r, rho, T, eta, back=False),
                "That is the forward message alone: where a past that went well leads. The future that went well is missing.",
            ),
            (_prior_states, "That is where the prior goes. No reward is in it."),
            (
                lambda initial, p, r, rho, T, eta: _marginals(initial, p, r, np.ones_like(rho), T, eta),
                "The prior is left out: each action was given the weight 1.",
            ),
            (
                lambda initial, p, r, rho, T, eta: _marginals(np.full(len(p), 1 / len(p)), p, r, rho, T, eta),
                "The first state's distribution is left out.",
            ),
        ),
    ),
]
