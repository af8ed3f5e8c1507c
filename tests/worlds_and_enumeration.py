"""Random worlds, and the slow way to every answer: write out all trajectories."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import inf, log

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

import soft_optimality as so


@dataclass
class Case:
    """A random world with the rest of a question: prior, temperature, horizon."""

    mdp: so.MDP
    prior: np.ndarray | None
    temperature: float
    horizon: int
    rng: np.random.Generator

    def policy(self, *, steps: bool = True) -> np.ndarray:
        shape = (self.horizon, *self.mdp.shape) if steps else self.mdp.shape
        return self.rng.dirichlet(np.ones(self.mdp.n_actions), shape[:-1])


def random_world(rng: np.random.Generator, *, states=3, actions=2, discount=1.0, sparse=False, support="full", terminals=0, landing=False,
                 forbid=0.0) -> so.MDP:  # fmt: skip
    """A world drawn at random.  support: full, some (zeros among the successors) or one (deterministic)."""
    p = rng.dirichlet(np.ones(states), (states, actions))
    if support == "some":
        p = p * (rng.random(p.shape) < 0.6) + np.eye(states)[rng.integers(states, size=(states, actions))] * 0.1
        p /= p.sum(axis=-1, keepdims=True)
    elif support == "one":
        p = np.eye(states)[rng.integers(states, size=(states, actions))]
    r = rng.normal(size=(states, actions, states) if landing else (states, actions))
    r[rng.random(r.shape) < forbid] = -np.inf
    r[:, 0] = np.where(np.isfinite(r[:, 0]), r[:, 0], 0.5)  # some action stays allowed
    terminal = np.arange(states) >= states - terminals
    if sparse:
        p = sp.csr_array(p.reshape(-1, states))
        r = _on_pattern(r, p) if landing else r
    return so.MDP(p, r, rng.dirichlet(np.ones(states)), discount, terminal)


def _on_pattern(r: np.ndarray, p: sp.csr_array) -> sp.csr_array:
    rows = np.repeat(np.arange(p.shape[0]), np.diff(p.indptr))
    return sp.csr_array((r.reshape(p.shape)[rows, p.indices], p.indices, p.indptr), shape=p.shape)


@st.composite
def cases(draw, *, forbid=True, temperatures=(0.05, 0.3, 1.0, 4.0, 50.0), max_horizon=3) -> Case:
    """Dense and sparse, stochastic and deterministic, with terminals, forbidden actions, landing rewards, and every kind of prior."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mdp = random_world(
        rng,
        states=draw(st.integers(2, 3)),
        actions=draw(st.integers(1, 3)),
        sparse=draw(st.booleans()),
        support=draw(st.sampled_from(["full", "some", "one"])),
        terminals=draw(st.integers(0, 1)),
        landing=draw(st.booleans()),
        forbid=draw(st.sampled_from([0.0, 0.3])) if forbid else 0.0,
    )
    prior = {
        "none": None,
        "uniform": np.full(mdp.n_actions, 1 / mdp.n_actions),
        "by state": rng.dirichlet(np.ones(mdp.n_actions), mdp.n_states),
    }[draw(st.sampled_from(["none", "uniform", "by state"]))]
    return Case(mdp, prior, draw(st.sampled_from(temperatures)), draw(st.integers(1, max_horizon)), rng)


# -- enumeration: plain Python over the definition, sharing nothing with the library ---------------------------------------------


@dataclass
class Trajectory:
    states: tuple[int, ...]  # s_1 .. s_{T+1}
    actions: tuple[int | None, ...]  # a_1 .. a_T, None once the episode is over
    chance: float  # p(s_1) ∏ p(s_{t+1} | s_t, a_t)
    rewards: tuple[float, ...]


def trajectories(mdp: so.MDP, horizon: int) -> list[Trajectory]:
    p, r = mdp.dense_transition(), mdp.dense_reward()
    found = [Trajectory((s,), (), float(mdp.initial[s]), ()) for s in range(mdp.n_states) if mdp.initial[s] > 0]
    for _ in range(horizon):
        longer = []
        for old in found:
            s = old.states[-1]
            if mdp.terminal[s]:
                longer.append(Trajectory((*old.states, s), (*old.actions, None), old.chance, (*old.rewards, 0.0)))
                continue
            for a, s2 in itertools.product(range(mdp.n_actions), range(mdp.n_states)):
                if p[s, a, s2] > 0:
                    longer.append(Trajectory((*old.states, s2), (*old.actions, a), old.chance * p[s, a, s2], (*old.rewards, float(r[s, a, s2]))))
        found = longer
    return found


def prior_weight(prior: np.ndarray | None, s: int, a: int | None) -> float:
    if prior is None or a is None:
        return 1.0
    return float(prior[a] if prior.ndim == 1 else prior[s, a])


def log_prior_and_reward(case: Case, path: Trajectory) -> float:
    """Σ_t r/η + log ρ; -inf where something forbidden is done."""
    total = 0.0
    for s, a, r in zip(path.states, path.actions, path.rewards, strict=False):
        rho = prior_weight(case.prior, s, a)
        if r == -inf or rho == 0:
            return -inf
        total += r / case.temperature + log(rho)
    return total


def policy_chance(policy: np.ndarray, path: Trajectory) -> float:
    """∏ π(a_t | s_t), policy (T, S, A)."""
    chance = 1.0
    for t, (s, a) in enumerate(zip(path.states, path.actions, strict=False)):
        chance *= 1.0 if a is None else float(policy[t, s, a])
    return chance
