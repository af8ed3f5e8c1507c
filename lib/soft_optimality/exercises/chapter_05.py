"""Chapter 5: maximum entropy, the deterministic case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import Exercise
from ..numerics import Floats, log
from .worlds import coin, rows, worlds


def _walks(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    p, _ = coin()
    sure = np.array([[[0.0, 1.0], [0.5, 0.5]]] * 3)  # a policy with a probability of 0 in it
    yield {"p": p, "initial": np.array([1.0, 0.0]), "policies": sure}
    for case in worlds(rng, lambda p, r, rng: {"p": p, "shape": r.shape}):
        states, actions = case["shape"]
        yield {"p": case["p"], "initial": rows(rng, states), "policies": rows(rng, int(rng.integers(1, 5)), states, actions)}


def _entropy(q: Floats) -> Floats:
    return -(q * np.where(q > 0, log(q), 0.0)).sum(axis=-1)


def _visits(p: Floats, initial: Floats, policies: Floats) -> Floats:
    """p(s_t), (T, S)."""
    states = [initial]
    for policy in policies[:-1]:
        states.append(np.einsum("s,sa,sat->t", states[-1], policy, p))
    return np.array(states)


def _policy_entropy(p: Floats, initial: Floats, policies: Floats) -> float:
    return float((_visits(p, initial, policies) * _entropy(policies)).sum())


def _nature(p: Floats, initial: Floats, policies: Floats) -> float:
    """The entropy of the transitions, up to the last state that is acted in."""
    visits = _visits(p, initial, policies)
    return float(sum((v[:, None] * policy * _entropy(p)).sum() for v, policy in zip(visits[:-1], policies[:-1], strict=True)))


def _discounted(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def make(p: Floats, r: Floats, rng: np.random.Generator) -> dict[str, Any]:
        return {"p": p, "r": r, "policy": rows(rng, *r.shape), "eta": float(rng.uniform(0.3, 2)), "gamma": float(rng.uniform(0.3, 0.95))}

    return worlds(rng, make)


def _q(p: Floats, r: Floats, policy: Floats, eta: float, gamma: float, *, own: bool = False, bonus: float = 1.0) -> Floats:
    """Q of a policy with entropy paid from the next action on; `own`: also for the action itself."""
    entropy = bonus * eta * _entropy(policy)
    v = np.linalg.solve(np.eye(len(p)) - gamma * np.einsum("sa,sat->st", policy, p), (policy * r).sum(axis=1) + entropy)
    return r + gamma * p @ v + (entropy[:, None] if own else 0.0)


EXERCISES = [
    Exercise(
        name="5.2",
        signature="policy_entropy(p, initial, policies)",
        cases=_walks,
        reference=_policy_entropy,
        slips=(
            (
                lambda p, initial, policies: _policy_entropy(p, initial, policies) + _nature(p, initial, policies),
                "The entropy of the dynamics is in it. Nature's dice are no choice of the policy, and pay nothing.",
            ),
            (
                lambda p, initial, policies: _policy_entropy(p, initial, policies) + _entropy(initial),
                "The entropy of the first state is in it. Only choices count.",
            ),
            (
                lambda p, initial, policies: _policy_entropy(p, initial, policies) + _entropy(initial) + _nature(p, initial, policies),
                "That is the entropy of whole trajectories: first state, transitions and all. Only choices count.",
            ),
            (
                lambda p, initial, policies: float(_entropy(policies).mean(axis=1).sum()),
                "Each state counts the same here. A state counts as often as the policy gets there.",
            ),
            (lambda p, initial, policies: _policy_entropy(p, initial, policies) / np.log(2), "These are bits. This book counts in nats."),
            (
                lambda p, initial, policies: float((initial * _entropy(policies)).sum()),
                "The states never move here: after the first step they are no longer distributed as `initial`.",
            ),
            (
                lambda p, initial, policies: float(_entropy(np.einsum("ts,tsa->ta", _visits(p, initial, policies), policies)).sum()),
                "That is the entropy of the action when nobody looks at the state. Average the entropies of the rows, not the rows.",
            ),
        ),
    ),
    Exercise(
        name="5.3",
        signature="edge_path",
        reference=lambda: 1 / 6,
        tolerance=1e-6,
        slips=(
            (lambda: 1 / 4, "That is what a policy does that tosses a fair coin wherever it has a choice. Look at all paths at once."),
            (lambda: 1 / 16, "That is four coin tosses, with bumps into the wall among them. Here those moves are forbidden."),
            (lambda: 1 / 2, "That is the chance of the first move alone, or of either edge under the coin."),
            (lambda: 1 / 3, "That is both edges together."),
        ),
    ),
    Exercise(
        name="5.4",
        signature="soft_q(p, r, policy, eta, gamma)",
        cases=_discounted,
        reference=_q,
        slips=(
            (
                lambda p, r, policy, eta, gamma: _q(p, r, policy, eta, gamma, own=True),
                "That is what the given function says. Take γ = 0: what should Q(s,a) be, and what is it?",
            ),
            (
                lambda p, r, policy, eta, gamma: _q(p, r, policy, eta, gamma, bonus=0.0),
                "There is no entropy in this answer: later choices are paid for, discounted.",
            ),
            (
                lambda p, r, policy, eta, gamma: _q(p, r, policy, eta, gamma, bonus=-1.0),
                "The entropy has the wrong sign: −η log π is at least 0.",
            ),
            (lambda p, r, policy, eta, gamma: _q(p, r, policy, 1.0, gamma), "There is no temperature in this answer."),
            (
                lambda p, r, policy, eta, gamma: _q(p, r, policy, eta, gamma, bonus=1 / gamma),
                "The next action's entropy escaped the discount: it is earned one step later, so γ multiplies it.",
            ),
            (lambda p, r, policy, eta, gamma: r + eta * _entropy(policy)[:, None], "That is one step's pay. What comes after is missing."),
        ),
    ),
]
