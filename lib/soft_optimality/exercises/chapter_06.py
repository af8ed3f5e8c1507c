"""Chapter 6: the variational fix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log, log_sum_exp
from .worlds import rows, swap, worlds


def _bounds(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    p, r = swap()
    yield {
        "p": p,
        "r": np.where([[True, False], [True, True]], r, -np.inf),  # changing over is forbidden in state 0, and the policy does it
        "rho": np.full((2, 2), 0.5),
        "initial": np.array([1.0, 0.0]),
        "policies": np.full((2, 2, 2), 0.5),
        "eta": 1.0,
    }

    def make(p: Floats, r: Floats, rng: np.random.Generator) -> dict[str, Any]:
        policies = rows(rng, int(rng.integers(1, 5)), *r.shape)
        return {"p": p, "r": r, "rho": rows(rng, *r.shape), "initial": rows(rng, len(p)), "policies": policies, "eta": float(rng.uniform(0.3, 2))}

    yield from worlds(rng, make)
    p, r = swap()
    sure = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 2)  # 0 log 0 = 0
    yield {"p": p, "r": r, "rho": np.full((2, 2), 0.5), "initial": np.array([0.5, 0.5]), "policies": sure, "eta": 1.0}


def _elbo(p: Floats, r: Floats, rho: Floats, initial: Floats, policies: Floats, eta: float, *, sign: float = 1.0) -> float:
    """In nats."""
    total, states = 0.0, initial
    for policy in policies:
        visits = states[:, None] * policy
        taken = visits > 0
        gain = r[taken] / eta - sign * (np.log(policy[taken]) - log(rho[taken]))
        total += float(visits[taken] @ gain)
        states = np.einsum("sa,sat->t", visits, p)
    return total


def _lucky_elbo(p: Floats, r: Floats, rho: Floats, initial: Floats, policies: Floats, eta: float) -> float:
    v = np.zeros(len(p))
    for policy in policies[::-1]:
        taken = policy > 0
        gain = r / eta + log(p @ np.exp(v)) - log(np.where(taken, policy, 1.0)) + log(rho)
        v = (policy * np.where(taken, gain, 0.0)).sum(axis=1)
    return float(initial[initial > 0] @ v[initial > 0])


def _tasks(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def make(p: Floats, r: Floats, rng: np.random.Generator) -> dict[str, Any]:
        return {"p": p, "r": r, "rho": rows(rng, *r.shape), "T": int(rng.integers(2, 5)), "eta": float(rng.uniform(0.4, 2))}

    return worlds(rng, make)


def _variational(
    p: Floats, r: Floats, rho: Floats, T: int, eta: float, *, weigh: float = 1.0, value: float = 1.0, lucky: bool = False, choice: str = "soft"
) -> Floats:
    """π_t(a|s), (T, S, A); the prior to the power `weigh` in the policy and to the power `value` in V."""
    v, found = np.zeros(len(p)), []
    for _ in range(T):
        q = r + (eta * np.log(p @ np.exp(v / eta)) if lucky else p @ v)
        scores = q / eta + weigh * log(rho)
        found.append(np.exp(scores - log_sum_exp(scores.T)[:, None]))
        v = {"soft": eta * log_sum_exp((q / eta + value * log(rho)).T), "mean": (found[-1] * q).sum(axis=1), "max": q.max(axis=1)}[choice]
    return np.array(found[::-1])


def _door_gap(units: float = 1.0) -> float:
    """log p(O) − max ELBO for the doors of 1 and of 2 with p = 0.3, η = 1/2, uniform prior."""
    evidence = np.logaddexp(np.log(0.5) + 2.0, np.log(0.5) + np.log(0.3 * np.exp(4.0) + 0.7))
    return float(units * (evidence - np.logaddexp(np.log(0.5) + 2.0, np.log(0.5) + 1.2)))


EXERCISES = [
    Exercise(
        name="6.2",
        signature="elbo(p, r, rho, initial, policies, eta)",
        cases=_bounds,
        reference=_elbo,
        slips=(
            (
                lambda p, r, rho, initial, policies, eta: _elbo(p, r, rho, initial, policies, eta, sign=-1.0),
                "The divergence from the prior has the wrong sign: leaving the prior costs, it does not pay.",
            ),
            (
                lambda p, r, rho, initial, policies, eta: _elbo(p, r, np.ones_like(rho), initial, policies, eta),
                "log ρ is missing: that is the bound under the counting measure.",
            ),
            (
                lambda p, r, rho, initial, policies, eta: _elbo(p, r, rho, initial, policies, eta, sign=0.0),
                "That is the expected reward over η. What the policy pays for leaving the prior is missing.",
            ),
            (
                lambda p, r, rho, initial, policies, eta: eta * _elbo(p, r, rho, initial, policies, eta),
                "That is in units of reward. The bound is on log p(O), in nats.",
            ),
            (lambda p, r, rho, initial, policies, eta: _elbo(p, r, rho, initial, policies, 1.0), "There is no temperature in this answer."),
            (
                _lucky_elbo,
                "There is luck in the look-ahead. The bound holds the dynamics at the truth: a plain expectation over s'.",
            ),
            (
                lambda p, r, rho, initial, policies, eta: _elbo(p, r, rho, initial, policies[::-1], eta),
                "The policies were applied in reverse order: policies[0] acts first, policies[-1] last.",
            ),
        ),
    ),
    Exercise(
        name="6.3",
        signature="gap",
        reference=_door_gap,
        tolerance=1e-4,
        slips=(
            (lambda: _door_gap(0.5), "That is in units of reward. Divide by η for nats."),
            (
                lambda: float(np.log(0.3 * np.exp(4.0) + 0.7) - 1.2),
                "That is the Jensen gap of the gamble's door. The bound may use the other door: its best policy mostly does.",
            ),
            (lambda: -_door_gap(), "The sign: the evidence is above the bound."),
        ),
    ),
    Exercise(
        name="6.4",
        signature="variational_policies(p, r, rho, T, eta)",
        cases=_tasks,
        reference=_variational,
        slips=(
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, value=2.0),
                "That is what the given function says. Take rewards of 0: what is it worth to follow the prior, and what does V say?",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, weigh=2.0, value=2.0),
                "That is what you get when the prior is counted twice, in V and in the policy.",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, weigh=0.0),
                "The prior is missing from the policy: π = ρ exp((Q − V)/η).",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, weigh=0.0, value=0.0),
                "The prior is left out: that is the solution under the counting measure.",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, lucky=True),
                "There is luck in the look-ahead: that is the posterior's policy. The fix averages V itself.",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, choice="max"),
                "There is a max where a soft max belongs, in V.",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta, choice="mean"),
                "V is the average of Q under the policy here. The price of leaving the prior is missing from it: −η log(π/ρ).",
            ),
            (
                lambda p, r, rho, T, eta: _variational(p, r, rho, T, eta)[::-1],
                "The steps are in reverse order: the first policy belongs to t = 1, with T steps to go.",
            ),
        ),
    ),
]
