"""Chapter 8: soft Q-learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log_sum_exp
from .worlds import rows


def _batches(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"r": np.array([1.0]), "q_next": np.array([[0.0, 0.0]]), "done": np.array([False]), "eta": 1.0, "gamma": 0.5}
    yield {"r": np.array([1.0, -1.0]), "q_next": np.array([[0.0, 2.0], [5.0, 5.0]]), "done": np.array([False, True]), "eta": 0.5, "gamma": 0.9}
    for _ in range(20):
        n, a = int(rng.integers(1, 5)), int(rng.integers(2, 4))
        yield {
            "r": rng.normal(size=n),
            "q_next": rng.normal(size=(n, a)),
            "done": rng.random(n) < 0.4,
            "eta": float(rng.uniform(0.2, 2)),
            "gamma": float(rng.uniform(0.5, 1)),
        }
    yield {"r": np.zeros(2), "q_next": np.array([[4000.0, 3999.0], [-4000.0, -4000.0]]), "done": np.zeros(2, dtype=bool), "eta": 0.5, "gamma": 1.0}


def _soft(q: Floats, eta: float) -> Floats:
    return eta * log_sum_exp(q.T / eta)


def _boltzmann(q: Floats, eta: float) -> Floats:
    return np.exp((q - _soft(q, eta)[..., None]) / eta)


def _targets(r: Floats, q_next: Floats, done: Floats, eta: float, gamma: float) -> Floats:
    return r + gamma * np.where(done, 0.0, _soft(q_next, eta))


def _paths(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"r": np.array([0.0, 0.0]), "log_pi": np.log([0.5, 0.5]), "v": 0.0, "eta": 1.0, "gamma": 1.0}
    for _ in range(20):
        n = int(rng.integers(1, 6))
        yield {
            "r": rng.normal(size=n),
            "log_pi": np.log(rows(rng, n, 3)[:, 0]),
            "v": float(rng.normal()),
            "eta": float(rng.uniform(0.2, 2)),
            "gamma": float(rng.uniform(0.5, 1)),
        }


def _n_step(r: Floats, log_pi: Floats, v: float, eta: float, gamma: float, *, first: bool = False, price: float = 1.0, late: int = 0) -> float:
    """r_0 + Σ_{i≥1} γ^i (r_i − η log π_i) + γ^n v; `first`: the entropy of the first action, too."""
    weights = gamma ** np.arange(len(r))
    paid = np.where((np.arange(len(r)) == 0) & (not first), 0.0, -price * eta * log_pi)
    return float(weights @ (r + paid) + gamma ** (len(r) - late) * v)


def _excess() -> float:
    """E[max] of two independent standard normal numbers: 1/√π."""
    return float(1 / np.sqrt(np.pi))


EXERCISES = [
    Exercise(
        name="8.2",
        signature="targets(r, q_next, done, eta, gamma)",
        cases=_batches,
        reference=_targets,
        slips=(
            (
                lambda r, q_next, done, eta, gamma: r + gamma * np.where(done, 0.0, q_next.max(axis=1)),
                "There is a max where a soft max belongs: that is hard Q-learning's target.",
            ),
            (lambda r, q_next, done, eta, gamma: r + gamma * _soft(q_next, eta), "After an episode's end there is no value: `done` is not used."),
            (
                lambda r, q_next, done, eta, gamma: np.where(done, 0.0, r + gamma * _soft(q_next, eta)),
                "The reward of the last step is lost. Only the value after the end is 0.",
            ),
            (
                lambda r, q_next, done, eta, gamma: r + gamma * np.where(done, 0.0, (_boltzmann(q_next, eta) * q_next).sum(axis=1)),
                "The average of Q under the Boltzmann policy lacks what the entropy is worth: −η log π.",
            ),
            (lambda r, q_next, done, eta, gamma: _targets(r, q_next, done, eta, 1.0), "The discount is missing."),
            (lambda r, q_next, done, eta, gamma: _targets(r, q_next, done, 1.0, gamma), "There is no temperature in this answer."),
            (
                lambda r, q_next, done, eta, gamma: r + gamma * np.where(done, 0.0, _soft(q_next, eta) - eta * np.log(q_next.shape[1])),
                "That is the soft max under a uniform prior. Here each action weighs 1: counting measure.",
            ),
        ),
    ),
    Exercise(
        name="8.3",
        signature="excess",
        reference=_excess,
        tolerance=0.01,
        slips=(
            (lambda: 0.0, "The larger of two noisy numbers is not zero on average: it is the one whose noise happened to be high."),
            (lambda: float(np.sqrt(2 / np.pi)), "That is E|x| of one error. The larger of two lies half their mean distance above the middle."),
            (lambda: 2 * _excess(), "That is the mean distance between the two. The larger lies half of it above the middle."),
            (lambda: float(np.log(2)), "That is what a soft max without any noise would add at η = 1. Here it is the max, and noise."),
        ),
    ),
    Exercise(
        name="8.4",
        signature="n_step(r, log_pi, v, eta, gamma)",
        cases=_paths,
        reference=_n_step,
        slips=(
            (
                lambda r, log_pi, v, eta, gamma: _n_step(r, log_pi, v, eta, gamma, price=0.0),
                "That is what the given function says. Take rewards of 0 and a path of two steps: what was earned on the way, in a soft world?",
            ),
            (
                lambda r, log_pi, v, eta, gamma: _n_step(r, log_pi, v, eta, gamma, first=True),
                "The first action's own −η log π is in it. Q(s, a) holds entropy from the next action on.",
            ),
            (
                lambda r, log_pi, v, eta, gamma: _n_step(r, log_pi, v, eta, gamma, price=-1.0),
                "The sign of the entropy: −η log π is at least 0 and is added.",
            ),
            (
                lambda r, log_pi, v, eta, gamma: _n_step(r, log_pi, v, eta, gamma, late=1),
                "V stands after n steps, so it is discounted n times.",
            ),
            (
                lambda r, log_pi, v, eta, gamma: _n_step(r, log_pi / eta, v, eta, gamma),
                "The entropy is paid in units of reward: η times the nats.",
            ),
        ),
    ),
]
