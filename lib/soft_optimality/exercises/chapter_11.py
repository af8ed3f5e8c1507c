"""Chapter 11: why soft."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log_sum_exp


def _pairs(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {"q1": np.array([[2.0, 0.0, 1.5]]), "q2": np.array([[0.0, 2.0, 1.5]]), "eta": 0.5}  # the third action is good for both
    for _ in range(20):
        shape = int(rng.integers(1, 4)), int(rng.integers(2, 4))
        yield {"q1": rng.normal(size=shape), "q2": rng.normal(size=shape), "eta": float(rng.uniform(0.2, 2))}
    yield {"q1": np.array([[3000.0, 2999.0]]), "q2": np.array([[-3000.0, -3000.0]]), "eta": 0.5}


def _boltzmann(q: Floats, eta: float) -> Floats:
    scores = q / eta
    return np.exp(scores - log_sum_exp(scores.T)[:, None])


def _records(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    yield {
        "rewards": np.array([[-1.0, 5.0, 9.0]]),
        "log_pi": np.log([[0.5, 0.25, 0.5]]),
        "done": np.array([[False, True, True]]),
        "eta": 1.0,
    }
    for _ in range(20):
        shape = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        done = np.maximum.accumulate(rng.random(shape) < 0.3, axis=1)
        log_pi = np.log(rng.uniform(0.05, 0.95, shape))
        yield {"rewards": rng.normal(size=shape), "log_pi": log_pi, "done": done, "eta": float(rng.uniform(0.2, 2))}


def _return(rewards: Floats, log_pi: Floats, done: Any, eta: float, *, price: float = 0.0, after: bool = False, last: bool = True) -> float:
    """Mean raw return; a step counts if the episode was not over before it."""
    over_before = np.hstack([np.zeros((len(done), 1), dtype=bool), done[:, :-1]])
    counts = np.ones_like(done) if after else ~(over_before if last else done)
    return float(np.where(counts, rewards - price * eta * log_pi, 0.0).sum(axis=1).mean())


EXERCISES = [
    Exercise(
        name="11.2",
        signature="compose(q1, q2, eta)",
        cases=_pairs,
        reference=lambda q1, q2, eta: _boltzmann((q1 + q2) / 2, eta),
        slips=(
            (
                lambda q1, q2, eta: (_boltzmann(q1, eta) + _boltzmann(q2, eta)) / 2,
                "That mixes the two policies: it does what one or the other likes, not what both can live with. Average the values.",
            ),
            (lambda q1, q2, eta: _boltzmann(q1 + q2, eta), "The values were added, not averaged: that is the same wish at half the temperature."),
            (lambda q1, q2, eta: _boltzmann(np.minimum(q1, q2), eta), "That is the cautious minimum. The new task pays the average of the rewards."),
            (lambda q1, q2, eta: _boltzmann(np.maximum(q1, q2), eta), "That pleases either task. The new one pays the average of both rewards."),
            (lambda q1, q2, eta: _boltzmann((q1 + q2) / 2, 1.0), "There is no temperature in this answer."),
            (
                lambda q1, q2, eta: np.eye(q1.shape[1])[(q1 + q2).argmax(axis=1)],
                "That is the greedy policy of the average. The soft one is asked for.",
            ),
        ),
    ),
    Exercise(
        name="11.3",
        signature="arrives",
        reference=lambda: float(1 / (1 + np.e)),
        tolerance=1e-3,
        slips=(
            (lambda: 0.0, "That is the greedy agent, which has forgotten the other way."),
            (lambda: 0.5, "Nearly equal is not equal: the difference of rewards is to be compared with the temperature."),
            (lambda: float(np.e / (1 + np.e)), "That is the chance to take the way that is now blocked."),
            (lambda: float(1 / (1 + np.exp(0.01))), "Multiplied by η where the difference of rewards is divided by it."),
        ),
    ),
    Exercise(
        name="11.4",
        signature="mean_return(rewards, log_pi, done, eta)",
        cases=_records,
        reference=_return,
        slips=(
            (
                lambda rewards, log_pi, done, eta: _return(rewards, log_pi, done, eta, price=1.0),
                "That is what the given function says. What would it report of an agent that earns nothing and acts at random?",
            ),
            (
                lambda rewards, log_pi, done, eta: _return(rewards, log_pi, done, eta, after=True),
                "Steps after the end of an episode were counted.",
            ),
            (
                lambda rewards, log_pi, done, eta: _return(rewards, log_pi, done, eta, last=False),
                "The reward of the step that ends an episode is lost. It still counts.",
            ),
            (
                lambda rewards, log_pi, done, eta: _return(rewards, log_pi, done, eta) * len(rewards),
                "The episodes were added up. Their mean is asked for.",
            ),
            (
                lambda rewards, log_pi, done, eta: _return(rewards, log_pi, done, eta) / rewards.shape[1],
                "That is a return per step of the record. A return is a sum over steps.",
            ),
        ),
    ),
]
