"""Chapter 7: soft value iteration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log, log_sum_exp
from .worlds import rows, worlds


def _rooms(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def make(p: Floats, r: Floats, rng: np.random.Generator) -> dict[str, Any]:
        return {"p": p, "r": r, "rho": rows(rng, *r.shape), "eta": float(rng.uniform(0.3, 2)), "gamma": float(rng.uniform(0.3, 0.95))}

    return worlds(rng, make)


def _rounds(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for case in _rooms(rng):
        yield {"p": case.pop("p"), "r": case.pop("r"), "policy": rows(rng, *case["rho"].shape), **case}


def _slow_rooms(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """γ near 1, and small rewards, so that an error of the tolerance is an error of the check's."""
    for case in islice(_rooms(rng), 10):
        yield {**case, "r": 0.02 * case["r"], "eta": 0.02 * case["eta"], "gamma": 0.97, "tolerance": 1e-4}


def _boltzmann(q: Floats, rho: Floats, eta: float) -> Floats:
    scores = q / eta + log(rho)
    return np.exp(scores - log_sum_exp(scores.T)[:, None])


def _improve(
    p: Floats, r: Floats, policy: Floats, rho: Floats, eta: float, gamma: float, *, price: float = 1.0, weigh: float = 1.0, sweeps: int | None = None
) -> Floats:
    """Evaluate, and take the Boltzmann policy of Q."""
    paid = (policy * (r - price * eta * (np.log(policy) - log(rho)))).sum(axis=1)
    moves = np.einsum("sa,sat->st", policy, p)
    v = np.zeros(len(p))
    if sweeps is None:
        v = np.linalg.solve(np.eye(len(p)) - gamma * moves, paid)
    for _ in range(sweeps or 0):
        v = paid + gamma * moves @ v
    return _boltzmann(r + gamma * p @ v, rho**weigh, eta)


def _plan(p: Floats, r: Floats, rho: Floats, eta: float, gamma: float, tolerance: float, *, choice: str = "soft", early: bool = False) -> Floats:
    """V within `tolerance`; `early`: stopped where the change is that small."""
    v, bound = np.zeros(len(p)), tolerance if early else 1e-10
    for _ in range(5000):
        q = r + gamma * p @ v
        pi = _boltzmann(q, rho, eta)
        after = {
            "soft": eta * log_sum_exp((q / eta + log(rho)).T),
            "max": q.max(axis=1),
            "average": (pi * q).sum(axis=1),
            "counting": eta * log_sum_exp((q / eta).T),
        }[choice]
        change, v = np.abs(after - v).max(), after
        if change < bound:
            break
    return v


def _within(**how: Any) -> Any:
    return lambda p, r, rho, eta, gamma, tolerance: _plan(p, r, rho, eta, gamma, tolerance, **how)


def _sweeps(scale: float = 10.0, off: int = 0) -> float:
    """The first k with scale · 0.9^k ≤ 10⁻⁶."""
    return float(np.ceil(np.log(scale / 1e-6) / np.log(1 / 0.9)) + off)


EXERCISES = [
    Exercise(
        name="7.2",
        signature="improve(p, r, policy, rho, eta, gamma)",
        cases=_rounds,
        reference=_improve,
        slips=(
            (
                lambda p, r, policy, rho, eta, gamma: _improve(p, r, policy, rho, eta, gamma, price=0.0),
                "The policy was evaluated by its return alone. What it pays for leaving the prior, −η log(π/ρ), belongs in V.",
            ),
            (
                lambda p, r, policy, rho, eta, gamma: _improve(p, r, policy, rho, eta, gamma, weigh=0.0),
                "The prior is missing from the improved policy.",
            ),
            (
                lambda p, r, policy, rho, eta, gamma: _improve(p, r, policy, rho, eta, gamma, weigh=2.0),
                "That is what you get when the prior is counted twice in the improved policy.",
            ),
            (
                lambda p, r, policy, rho, eta, gamma: _improve(p, r, policy, rho, eta, gamma, sweeps=1),
                "One sweep is not an evaluation. Solve V = r_π + γ P_π V, or sweep until it stands still.",
            ),
            (
                lambda p, r, policy, rho, eta, gamma: _improve(p, r, policy, rho, eta, gamma, price=-1.0),
                "The divergence from the prior has the wrong sign: leaving the prior costs.",
            ),
            (
                lambda p, r, policy, rho, eta, gamma: np.eye(r.shape[1])[
                    np.log(_improve(p, r, policy, rho, eta, gamma) / rho).argmax(axis=1)  # argmax Q
                ],
                "That is the greedy policy of Q. Soft policy iteration takes the Boltzmann policy.",
            ),
        ),
    ),
    Exercise(
        name="7.3",
        signature="sweeps",
        reference=_sweeps,
        tolerance=1e-9,
        slips=(
            (lambda: _sweeps(1.0), "The first error is not at most 1. V* collects a reward at every step, so it can be larger."),
            (lambda: _sweeps(off=-1), "One sweep short: round up."),
            (lambda: _sweeps(off=1), "One sweep too many: the first that is enough is asked for."),
            (lambda: _sweeps(100.0), "1/(1 − γ) was counted twice. It bounds V*, and the starting guess is V = 0."),
        ),
    ),
    Exercise(
        name="7.4",
        signature="plan(p, r, rho, eta, gamma, tolerance)",
        cases=_slow_rooms,
        reference=_plan,
        tolerance=1e-4,
        slips=(
            (
                _within(choice="max", early=True),
                "That is what the given function says. What is V made of, where is the temperature in it, and when does the loop end?",
            ),
            (_within(choice="max"), "There is still a max where a soft max belongs: V = η log Σ ρ exp(Q/η)."),
            (
                _within(choice="average"),
                "That is the average of Q under the Boltzmann policy. The soft max is larger: it holds −η log(π/ρ) as well.",
            ),
            (_within(choice="counting"), "The prior is left out: that is the soft max under the counting measure."),
            (
                _within(early=True),
                "It stops too early. When a sweep changes V by d, the error may still be d γ/(1 − γ): compare that with the tolerance.",
            ),
        ),
    ),
]
