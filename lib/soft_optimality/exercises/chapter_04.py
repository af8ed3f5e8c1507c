"""Chapter 4: the optimism problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log
from .worlds import rows, worlds


def _landing(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    p, r = np.array([[[0.0, 0.7, 0.3], [0.0, 1.0, 0.0]]] * 3), np.zeros((3, 2, 3))
    r[:, :, 2] = 2.0
    yield {"p": p, "r": r, "v": np.zeros(3), "eta": 0.5, "gamma": 1.0}
    yield {"p": p, "r": np.zeros((3, 2, 3)), "v": np.array([0.0, 0.0, 2.0]), "eta": 0.5, "gamma": 0.5}
    yield {"p": p, "r": 1000 * r, "v": np.zeros(3), "eta": 0.5, "gamma": 1.0}  # exp(4000) is too large for a float
    yield {"p": p, "r": r - 2000.0, "v": np.array([0.0, -np.inf, 0.0]), "eta": 0.5, "gamma": 1.0}
    for i in range(20):
        s, a = int(rng.integers(2, 5)), int(rng.integers(1, 4))
        yield {
            "p": rows(rng, s, a, s, sparse=i % 2 == 1),
            "r": rng.normal(size=(s, a, s)),
            "v": rng.normal(size=s),
            "eta": float(rng.uniform(0.2, 2)),
            "gamma": float(rng.uniform(0.5, 1)),
        }


def _log_mean_exp(x: Floats, p: Floats) -> Floats:
    top = np.where(p > 0, x, -np.inf).max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return log((p * np.exp(np.where(p > 0, x, -np.inf) - top)).sum(axis=-1)) + top[..., 0]


def _optimistic_q(p: Floats, r: Floats, v: Floats, eta: float, gamma: float) -> Floats:
    return eta * _log_mean_exp((r + gamma * v) / eta, p)


def _mean(x: Floats, p: Floats) -> Floats:
    return np.where(p > 0, p * np.where(p > 0, x, 0.0), 0.0).sum(axis=-1)


def _evaluations(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def make(p: Floats, r: Floats, rng: np.random.Generator) -> dict[str, Any]:
        return {"p": p, "r": r, "policy": rows(rng, *r.shape), "T": int(rng.integers(2, 6)), "eta": float(rng.uniform(0.3, 2))}

    return worlds(rng, make)


def _sweeps(p: Floats, r: Floats, policy: Floats, T: int, eta: float, *, lucky: bool = False, choice: str = "mean") -> Floats:
    v = np.zeros(len(p))
    for _ in range(T):
        q = r + (eta * _log_mean_exp(np.broadcast_to(v / eta, p.shape), p) if lucky else p @ v)
        v = {"mean": (policy * q).sum(axis=1), "soft": eta * _log_mean_exp(q / eta, policy), "max": q.max(axis=1)}[choice]
    return v


def _indifferent() -> float:
    """Where 0.2 exp(10/η) + 0.8 = exp(3/η), by bisection."""
    low, high = 0.5, 50.0
    for _ in range(100):
        eta = (low + high) / 2
        low, high = (eta, high) if np.logaddexp(np.log(0.2) + 10 / eta, np.log(0.8)) > 3 / eta else (low, eta)
    return low


EXERCISES = [
    Exercise(
        name="4.2",
        signature="optimistic_q(p, r, v, eta, gamma)",
        cases=_landing,
        reference=_optimistic_q,
        slips=(
            (
                lambda p, r, v, eta, gamma: _mean(r + gamma * v, p),
                "That is the expectation, the look-ahead of planning. The posterior averages exponentials.",
            ),
            (
                lambda p, r, v, eta, gamma: _mean(r, p) + eta * _log_mean_exp(np.broadcast_to(gamma * v / eta, p.shape), p),
                "The reward was averaged before the exponential. It depends on where you land, so it belongs inside with V: that is luck, too.",
            ),
            (
                lambda p, r, v, eta, gamma: gamma * eta * _log_mean_exp((r / gamma + v) / eta, p),
                "γ stands outside the logarithm: risk first, discount after. This book discounts first (the convention box on nested risk).",
            ),
            (
                lambda p, r, v, eta, gamma: eta * _log_mean_exp((r + gamma * v) / eta, np.where(p > 0, 1.0, 0.0)),
                "The next states were added up without their probabilities, as if you could choose where to land.",
            ),
            (lambda p, r, v, eta, gamma: _log_mean_exp((r + gamma * v) / eta, p), "These are nats. A factor η brings Q back to units of reward."),
            (lambda p, r, v, eta, gamma: _log_mean_exp(r + gamma * v, p), "There is no temperature in this answer."),
            (lambda p, r, v, eta, gamma: np.where(p > 0, r + gamma * v, -np.inf).max(axis=-1), "That is the best case, the limit η → 0."),
            (lambda p, r, v, eta, gamma: eta * _log_mean_exp((r + v) / eta, p), "The discount is missing."),
        ),
    ),
    Exercise(
        name="4.3",
        signature="eta_even",
        reference=_indifferent,
        tolerance=5e-3,
        slips=(
            (
                lambda: 3 / np.log(4),
                "The formula c / log((1 − p)/p) was derived for a gamble that pays 2c. This one pays 10 against 3. Go back one step.",
            ),
            (lambda: 7 / np.log(5), "That leaves out the 0.8 for losing. It is small beside the win when it is cold, but here it is not."),
            (lambda: 1 / _indifferent(), "That is 1/η: the temperature itself is asked for."),
        ),
    ),
    Exercise(
        name="4.4",
        signature="evaluate(p, r, policy, T, eta)",
        cases=_evaluations,
        reference=_sweeps,
        slips=(
            (
                lambda p, r, policy, T, eta: _sweeps(p, r, policy, T, eta, lucky=True),
                "That is what the given function says. Do its second step by hand in this world, where the coin is tossed.",
            ),
            (
                lambda p, r, policy, T, eta: _sweeps(p, r, policy, T, eta, choice="soft"),
                "The actions are averaged as η log E exp(Q/η). The policy is given, so its Q is averaged plainly.",
            ),
            (lambda p, r, policy, T, eta: _sweeps(p, r, policy, T, eta, lucky=True, choice="soft"), "Both averages are still soft."),
            (lambda p, r, policy, T, eta: _sweeps(p, r, policy, T - 1, eta), "One step is missing: V is 0 after step T, not at step T."),
            (lambda p, r, policy, T, eta: _sweeps(p, r, policy, T + 1, eta), "One step too many: V is 0 after step T."),
            (
                lambda p, r, policy, T, eta: _sweeps(p, r, policy, T, eta, choice="max"),
                "The best action was taken. The policy that was given is to be evaluated.",
            ),
            (lambda p, r, policy, T, eta: _sweeps(p, r, policy, T, eta) / T, "That is the reward of an average step."),
        ),
    ),
]
