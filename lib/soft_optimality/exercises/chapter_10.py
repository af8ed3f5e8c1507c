"""Chapter 10: soft actor–critic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log_sum_exp
from .worlds import rows


def _squashed(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"u": np.zeros((1, 1)), "mean": np.zeros((1, 1)), "log_std": np.zeros((1, 1)), "scale": 1.0}
    yield {"u": np.zeros((1, 1)), "mean": np.zeros((1, 1)), "log_std": np.zeros((1, 1)), "scale": 2.0}
    for _ in range(20):
        shape = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        yield {"u": rng.normal(size=shape), "mean": rng.normal(size=shape), "log_std": rng.uniform(-1, 1, shape), "scale": float(rng.uniform(0.5, 3))}
    far = np.array([[30.0, -30.0]])  # tanh is 1 to the last bit, and 1 − tanh² is 0
    yield {"u": far, "mean": far, "log_std": np.zeros((1, 2)), "scale": 2.0}


def _normal(u: Floats, mean: Floats, log_std: Floats) -> Floats:
    return -0.5 * ((u - mean) * np.exp(-log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)


def _log_slope(u: Floats) -> Floats:
    """log(1 − tanh² u) = 2 (log 2 − u − log(1 + e^{−2u}))."""
    return 2 * (np.log(2) - u - np.logaddexp(0, -2 * u))


def _log_prob(u: Floats, mean: Floats, log_std: Floats, scale: float) -> Floats:
    return (_normal(u, mean, log_std) - _log_slope(u) - np.log(scale)).sum(axis=1)


def _even(scale: float = 2.0) -> float:
    """The largest entropy of an action in (−scale, scale): log of its length."""
    return float(np.log(2 * scale))


def _states(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"policy": np.array([[0.5, 0.5]]), "log_eta": 0.0, "target": 0.5, "rate": 0.1}  # entropy above the target: cool down
    yield {"policy": np.array([[0.99, 0.01]]), "log_eta": 0.0, "target": 0.5, "rate": 0.1}
    for _ in range(20):
        policy = rows(rng, int(rng.integers(1, 4)), int(rng.integers(2, 4)))
        yield {"policy": policy, "log_eta": float(rng.normal()), "target": float(rng.uniform(0.1, 1)), "rate": float(rng.uniform(0.01, 0.5))}


def _entropy(policy: Floats) -> float:
    return float(-(policy * np.log(policy)).sum(axis=1).mean())


def _update(policy: Floats, log_eta: float, target: float, rate: float) -> float:
    """One step of descent on η (H − target) in log η: hotter when the entropy is below its target."""
    return float(log_eta - rate * np.exp(log_eta) * (_entropy(policy) - target))


def _q_pairs(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for _ in range(20):
        n, a = int(rng.integers(1, 4)), int(rng.integers(2, 4))
        yield {"q1": rng.normal(size=(n, a)), "q2": rng.normal(size=(n, a)), "policy": rows(rng, n, a), "eta": float(rng.uniform(0.2, 2))}


def _next_value(q1: Floats, q2: Floats, policy: Floats, eta: float) -> Floats:
    return (policy * (np.minimum(q1, q2) - eta * np.log(policy))).sum(axis=1)


EXERCISES = [
    Exercise(
        name="10.2",
        signature="log_prob(u, mean, log_std, scale)",
        cases=_squashed,
        reference=_log_prob,
        slips=(
            (
                lambda u, mean, log_std, scale: _normal(u, mean, log_std).sum(axis=1),
                "That is the density of u. The action is scale · tanh(u), and squeezing changes the density.",
            ),
            (
                lambda u, mean, log_std, scale: (_normal(u, mean, log_std) - _log_slope(u)).sum(axis=1),
                "The scale is missing: stretching an action by c thins its density by c, −log c per dimension.",
            ),
            (
                lambda u, mean, log_std, scale: (_normal(u, mean, log_std) - _log_slope(u)).sum(axis=1) - np.log(scale),
                "The scale was counted once. Each dimension of the action is stretched.",
            ),
            (
                lambda u, mean, log_std, scale: (_normal(u, mean, log_std) + _log_slope(u) + np.log(scale)).sum(axis=1),
                "The correction has the wrong sign: where the map is flat, actions crowd together and the density is higher.",
            ),
            (
                lambda u, mean, log_std, scale: _log_prob(u, mean, log_std, scale) + 0.5 * np.log(2 * np.pi) * u.shape[1],
                "The constant ½ log 2π of the normal density is missing.",
            ),
            (
                lambda u, mean, log_std, scale: (_normal(u, mean, 2 * log_std) - _log_slope(u) - np.log(scale)).sum(axis=1),
                "The standard deviation e^{log_std} was taken twice, as if log_std were half of what it is.",
            ),
        ),
    ),
    Exercise(
        name="10.3",
        signature="largest",
        reference=_even,
        tolerance=2e-3,
        slips=(
            (lambda: _even(1.0), "That is for actions in (−1, 1). Pendulum's torque reaches from −2 to 2."),
            (lambda: float(0.5 * np.log(2 * np.pi * np.e)), "That is the entropy of u before it is squeezed."),
            (lambda: 2.0, "That is the length's base-2 logarithm. Entropies here are in nats."),
            (lambda: -1.0, "That is the usual *target* entropy for one dimension. The largest possible is asked for."),
        ),
    ),
    Exercise(
        name="10.4",
        signature="update(policy, log_eta, target, rate)",
        cases=_states,
        reference=_update,
        slips=(
            (
                lambda policy, log_eta, target, rate: _update(policy, log_eta, 2 * _entropy(policy) - target, rate),
                "That is what the given function says. Take an entropy below its target: should the temperature rise or fall?",
            ),
            (
                lambda policy, log_eta, target, rate: float(log_eta - rate * (_entropy(policy) - target)),
                "The derivative is taken in η. The step is in log η, and the chain rule adds a factor η.",
            ),
            (
                lambda policy, log_eta, target, rate: float(np.exp(_update(policy, log_eta, target, rate))),
                "That is the temperature. Its logarithm is asked for.",
            ),
            (lambda policy, log_eta, target, rate: _update(policy, log_eta, 0.0, rate), "The target is not used."),
            (
                lambda policy, log_eta, target, rate: float(log_eta - rate * np.exp(log_eta) * (_entropy(policy) * len(policy) - target)),
                "The entropies of the states were added up. The target is for a state on average.",
            ),
        ),
    ),
    Exercise(
        name="10.5",
        signature="next_value(q1, q2, policy, eta)",
        cases=_q_pairs,
        reference=_next_value,
        slips=(
            (lambda q1, q2, policy, eta: (policy * np.minimum(q1, q2)).sum(axis=1), "The entropy is missing: V = E[Q − η log π]."),
            (
                lambda q1, q2, policy, eta: np.minimum(
                    (policy * (q1 - eta * np.log(policy))).sum(axis=1), (policy * (q2 - eta * np.log(policy))).sum(axis=1)
                ),
                "The smaller of two averages was taken. The minimum belongs inside: for each action the smaller of the two.",
            ),
            (
                lambda q1, q2, policy, eta: (policy * ((q1 + q2) / 2 - eta * np.log(policy))).sum(axis=1),
                "The two critics were averaged. The smaller one guards against overestimation.",
            ),
            (
                lambda q1, q2, policy, eta: (policy * (np.maximum(q1, q2) - eta * np.log(policy))).sum(axis=1),
                "The larger critic was taken: that doubles the overestimation in place of curbing it.",
            ),
            (
                lambda q1, q2, policy, eta: (policy * (np.minimum(q1, q2) + eta * np.log(policy))).sum(axis=1),
                "The sign of the entropy: −η log π is at least 0 and is added.",
            ),
            (
                lambda q1, q2, policy, eta: eta * log_sum_exp(np.minimum(q1, q2).T / eta),
                "That is the soft max: the value of the *best* policy for this Q. The actor's policy is to be evaluated.",
            ),
        ),
    ),
]
