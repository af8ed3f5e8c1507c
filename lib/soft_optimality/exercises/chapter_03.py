"""Chapter 3: messages are value iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log, log_sum_exp
from .worlds import rows


def _choices(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"q": np.array([[1.0, 0.0]]), "rho": np.array([[0.25, 0.75]]), "eta": 0.5}
    yield {"q": np.array([[0.0, 0.0, 0.0], [-1.0, 2.0, 0.5]]), "rho": np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), "eta": 1.0}
    for i in range(20):
        shape = int(rng.integers(1, 4)), int(rng.integers(2, 4))
        yield {"q": rng.normal(size=shape), "rho": rows(rng, *shape, sparse=i % 3 == 2), "eta": float(rng.uniform(0.2, 3))}
    yield {"q": np.array([[-9000.0, -9001.0], [9000.0, 8999.0]]), "rho": np.array([[0.5, 0.5], [0.1, 0.9]]), "eta": 1.0}
    yield {"q": np.array([[-np.inf, 1.0], [2.0, -np.inf]]), "rho": np.array([[0.5, 0.5], [0.1, 0.9]]), "eta": 1.0}


def _soft_max(q: Floats, rho: Floats, eta: float) -> Floats:
    return eta * log_sum_exp((q / eta + log(rho)).T)


def _boltzmann(q: Floats, rho: Floats, eta: float) -> Floats:
    logs = q / eta + log(rho)
    return np.exp(logs - log_sum_exp(logs.T)[:, None])


def _average(q: Floats, rho: Floats, eta: float) -> Floats:
    pi = _boltzmann(q, rho, eta)
    return (pi * np.where(pi > 0, q, 0.0)).sum(axis=1)


def _stay() -> float:
    """p = (1 − p)^{1 − γ} at γ = 1/2: p² + p = 1."""
    return float((np.sqrt(5) - 1) / 2)


EXERCISES = [
    Exercise(
        name="3.2",
        signature="soft_max(q, rho, eta)",
        cases=_choices,
        reference=_soft_max,
        slips=(
            (
                lambda q, rho, eta: _soft_max(q, rho**2, eta),
                "That is what you get when the prior is counted twice: averaged over ρ, and log ρ added to Q/η as well. One of the two.",
            ),
            (lambda q, rho, eta: _soft_max(q, np.ones_like(rho), eta), "The prior is left out: this is the counting measure, every action weighs 1."),
            (lambda q, rho, eta: np.where(rho > 0, q, -np.inf).max(axis=1), "That is the hard max, the limit η → 0."),
            (_average, "That is the average of Q under the Boltzmann policy. The soft max lies above it, by what the entropy is worth."),
            (lambda q, rho, eta: (rho * np.where(rho > 0, q, 0.0)).sum(axis=1), "That is the average of Q under the prior: nothing was chosen."),
            (lambda q, rho, eta: _soft_max(q, rho, eta) / eta, "These are nats. A factor η brings V back to units of reward."),
            (
                lambda q, rho, eta: log_sum_exp((q / eta + log(rho)).T) if eta == 1 else eta * log_sum_exp((q + log(rho)).T),
                "Q is not divided by η inside the exponential.",
            ),
            (
                lambda q, rho, eta: eta * log_sum_exp(((q + log(rho)) / eta).T),
                "log ρ was divided by η along with Q. The prior is a probability, not a reward: ρ exp(Q/η).",
            ),
        ),
    ),
    Exercise(
        name="3.3",
        signature="stay",
        reference=_stay,
        tolerance=1e-3,
        slips=(
            (lambda: 0.5, "That is the answer under a uniform prior. Here every open option is paid for: counting measure."),
            (lambda: 1 - _stay(), "That is the chance to end."),
            (
                lambda: float(np.sqrt(2) / (1 + np.sqrt(2))),
                "That is the policy two steps before the end. With a longer horizon staying is worth more: go on to the fixed point.",
            ),
            (lambda: 0.8350, "That is the chapter's room, at γ = 0.9. Here γ = 0.5."),
            (lambda: 2 / 3, "That would be γ = 1 with two steps to go. Each look ahead is discounted."),
        ),
    ),
    Exercise(
        name="3.4",
        signature="policy(q, rho, eta)",
        cases=_choices,
        reference=_boltzmann,
        slips=(
            (
                lambda q, rho, eta: _boltzmann(q, np.ones_like(rho), eta),
                "That is what the given function says. Take Q = 0 for all actions: which policy should that give?",
            ),
            (lambda q, rho, eta: _boltzmann(q, rho**2, eta), "That is what you get when the prior is counted twice."),
            (
                lambda q, rho, eta: _boltzmann(q + eta * log(rho), rho, eta),
                "That is what you get when the prior is counted twice: η log ρ in Q is the same prior again.",
            ),
            (lambda q, rho, eta: _boltzmann(q, rho, 1.0), "There is no temperature in this answer."),
            (
                lambda q, rho, eta: np.eye(q.shape[1])[np.where(rho > 0, q, -np.inf).argmax(axis=1)],
                "That is the greedy policy, the limit η → 0.",
            ),
            (
                lambda q, rho, eta: _boltzmann(q, rho, eta) / np.maximum(_boltzmann(q, rho, eta).sum(axis=0), 1e-300),
                "The columns were scaled to 1. Each state's row is a distribution over actions.",
            ),
        ),
    ),
]
