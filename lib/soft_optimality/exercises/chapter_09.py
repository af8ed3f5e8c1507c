"""Chapter 9: soft policy gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats
from .worlds import rows


def _bandits(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"theta": np.zeros(2), "r": np.array([1.0, 0.0]), "eta": 1.0}
    yield {"theta": np.array([1.0, 0.0]), "r": np.zeros(2), "eta": 0.5}
    for _ in range(20):
        n = int(rng.integers(2, 5))
        yield {"theta": rng.normal(size=n), "r": rng.normal(size=n), "eta": float(rng.uniform(0.2, 2))}


def _policy(theta: Floats) -> Floats:
    weights = np.exp(theta - theta.max())
    return weights / weights.sum()


def _gradient(theta: Floats, r: Floats, eta: float, *, price: float = 1.0) -> Floats:
    """π (f − Σ π f) with f = r − η log π."""
    pi = _policy(theta)
    f = r - price * eta * np.log(pi)
    return pi * (f - pi @ f)


def _episodes(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"r": np.array([0.0, 1.0]), "log_pi": np.log([0.5, 0.25]), "eta": 1.0}
    for _ in range(20):
        n = int(rng.integers(1, 6))
        yield {"r": rng.normal(size=n), "log_pi": np.log(rows(rng, n, 3)[:, 0]), "eta": float(rng.uniform(0.2, 2))}


def _to_go(r: Floats, log_pi: Floats, eta: float) -> Floats:
    return np.cumsum((r - eta * log_pi)[::-1])[::-1]


EXERCISES = [
    Exercise(
        name="9.2",
        signature="gradient(theta, r, eta)",
        cases=_bandits,
        reference=_gradient,
        slips=(
            (lambda theta, r, eta: _gradient(theta, r, eta, price=0.0), "That is the gradient of the reward alone. The entropy is missing."),
            (lambda theta, r, eta: -_gradient(theta, r, eta), "That is the direction of descent. J is maximized."),
            (lambda theta, r, eta: _gradient(theta, r, eta, price=-1.0), "The entropy is paid, not charged: f = r − η log π."),
            (
                lambda theta, r, eta: _policy(theta) * (r - eta * np.log(_policy(theta))),
                "The average of f is not subtracted: ∇ log π of a softmax has a second term, and its entries sum to 0.",
            ),
            (lambda theta, r, eta: _gradient(theta, r, 1.0), "There is no temperature in this answer."),
            (
                lambda theta, r, eta: _gradient(theta, r, eta) / _policy(theta),
                "That is the advantage f − E f. The gradient weighs it by the policy: an action that is rarely taken moves little.",
            ),
        ),
    ),
    Exercise(
        name="9.3",
        signature="best",
        reference=lambda: float(1 / (1 + np.exp(-2.0))),
        tolerance=1e-3,
        slips=(
            (lambda: 1.0, "That is the optimum without entropy. At η = 0.5 leaving one action out costs more than it gains."),
            (lambda: float(1 / (1 + np.exp(-0.5))), "Multiplied by η where the difference of rewards is divided by it."),
            (lambda: float(1 / (1 + np.exp(-1.0))), "There is no temperature in this answer."),
            (lambda: 0.5, "That is where the ascent starts."),
        ),
    ),
    Exercise(
        name="9.4",
        signature="reward_to_go(r, log_pi, eta)",
        cases=_episodes,
        reference=_to_go,
        slips=(
            (
                lambda r, log_pi, eta: np.cumsum(r[::-1])[::-1] - eta * log_pi,
                "That is what the given function says. In its first entry, which choices are paid for? In the objective, which are?",
            ),
            (lambda r, log_pi, eta: np.cumsum(r[::-1])[::-1], "There is no entropy in this answer."),
            (
                lambda r, log_pi, eta: np.full(len(r), (r - eta * log_pi).sum()),
                "What lies before step t cannot be changed by the action at t: sum from t on.",
            ),
            (lambda r, log_pi, eta: np.cumsum(r - eta * log_pi), "That is the sum up to t. The action at t acts on what comes from t on."),
            (lambda r, log_pi, eta: _to_go(r, -log_pi, eta), "The entropy is paid, not charged: r − η log π."),
            (lambda r, log_pi, eta: _to_go(r, log_pi, 1.0), "There is no temperature in this answer."),
        ),
    ),
]
