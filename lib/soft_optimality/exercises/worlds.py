"""Small worlds that more than one chapter's exercises are tried on: first those that a person can work out, then random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..numerics import Floats

WORLDS = 25


def rows(rng: np.random.Generator, *shape: int, sparse: bool = False) -> Floats:
    """Random distributions over the last axis; where `sparse`, with exact zeros in them."""
    p = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    if sparse and shape[-1] > 1:
        p[..., 0] = 0.0
        p /= p.sum(axis=-1, keepdims=True)
    return p


def coin() -> tuple[Floats, Floats]:
    """Two states, two actions: action 0 stays, action 1 flips a coin.  It pays 1 to be in state 1."""
    p = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])
    return p, np.array([[0.0, 0.0], [1.0, 1.0]])


def swap() -> tuple[Floats, Floats]:
    """Two states, two actions, no chance: action 0 stays, action 1 changes over and costs 1."""
    return np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]), np.array([[0.0, -1.0], [0.5, -1.0]])


def worlds(rng: np.random.Generator, make: Callable[[Floats, Floats, np.random.Generator], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """make(p, r, rng) for `coin`, `swap` and random worlds of up to 4 states and 3 actions."""
    for p, r in (coin(), swap()):
        yield make(p, r, rng)
    for i in range(WORLDS):
        states, actions = int(rng.integers(1, 5)), int(rng.integers(2, 4))
        yield make(rows(rng, states, actions, states, sparse=i % 3 == 2), rng.normal(size=(states, actions)), rng)
