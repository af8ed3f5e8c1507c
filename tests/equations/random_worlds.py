"""Random worlds and chains, and the slow way to every answer: all trajectories, all hidden paths, written out.

Nothing here comes from the library but the two constructors: a world keeps the arrays that it was drawn as, and enumeration reads those.
World i is the same world in each test and on each machine, so that the number of cases and a failing seed mean something; that is why these
are seeds and not Hypothesis, whose worlds change with its version and with the sources around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

import soft_optimality as so

SHARE = 1.0  # of the cases: `make mutants` first tries a few


def log(x: np.ndarray | float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(x)


def lse(x: np.ndarray, axis: int | None = None, keepdims: bool = False, b: np.ndarray | float = 1.0) -> np.ndarray:
    """log Σ b exp(x), shifted by the largest x that counts; -inf where nothing does."""
    if np.size(x) == 0:
        return np.float64(-np.inf)
    top = np.maximum(np.where(np.asarray(b) > 0, x, -np.inf).max(axis=axis, keepdims=True), np.finfo(float).min)
    total = log((b * np.exp(np.minimum(x - top, 0.0))).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else total.squeeze(axis=axis)[()]


@dataclass
class World:
    """A random decision problem: p (S,A,S), r (S,A,S), initial (S,), terminal (S,), prior (S,A) or None, η, T, and the same as an MDP."""

    seed: int
    kind: str
    p: np.ndarray
    r: np.ndarray
    initial: np.ndarray
    terminal: np.ndarray
    prior: np.ndarray | None
    eta: float
    horizon: int
    mdp: so.MDP
    rng: np.random.Generator
    every: Paths | None = None  # all trajectories, once they have been asked for

    def __repr__(self) -> str:
        return f"World(seed={self.seed}: {self.kind}, η = {self.eta:.3g}, T = {self.horizon})"

    @property
    def rho(self) -> np.ndarray:
        """The weight of each action: the prior's, or 1.  (S, A)"""
        return np.ones(self.p.shape[:2]) if self.prior is None else self.prior

    @property
    def live(self) -> np.ndarray:
        return ~self.terminal

    def policy(self, horizon: int | None = None) -> np.ndarray:
        """A random policy that does nothing forbidden and stays within the prior.  (T, S, A), or (S, A) for horizon 0."""
        steps = self.horizon if horizon is None else horizon
        shape = (steps, *self.p.shape[:2]) if steps else self.p.shape[:2]
        allowed = (self.rho > 0) & ~np.isneginf(mean_reward(self))
        policy = self.rng.gamma(1.0, size=shape) * np.where(allowed.any(axis=1, keepdims=True), allowed, 1) + 0.0
        policy[policy.sum(axis=-1) == 0] = 1.0
        return policy / policy.sum(axis=-1, keepdims=True)

    def with_mdp(self, **changes) -> so.MDP:
        parts = {"transition": self.p, "reward": self.r, "initial": self.initial, "discount": self.mdp.discount, "terminal": self.terminal}
        return so.MDP(**(parts | changes))


def mean_reward(world: World) -> np.ndarray:
    """E[r | s, a]; -inf where a landing that can occur is forbidden.  (S, A)"""
    return np.where(world.p > 0, world.p * np.where(world.p > 0, world.r, 0.0), 0.0).sum(axis=2)


def draw(seed: int, *, discount: float | None = None, temperatures=(-3.0, 3.0), landing=True, terminals=True, forbid=True, support=None, sizes=((3, 2, 3), (2, 3, 3), (2, 2, 4), (3, 3, 2), (1, 2, 3)), separate=False) -> World:  # fmt: skip  # noqa: E501
    rng = np.random.default_rng([seed, 20])
    states, actions, top = sizes[seed % len(sizes)]
    support = support or ("full", "some", "one")[rng.integers(3)]
    p = rng.dirichlet(np.ones(states), (states, actions))
    if support == "some":
        p = p * (rng.random(p.shape) < 0.6) + np.eye(states)[rng.integers(states, size=(states, actions))] * 0.1
        p /= p.sum(axis=-1, keepdims=True)
    elif support == "one":
        p = np.eye(states)[rng.integers(states, size=(states, actions))]
    lands = landing and bool(rng.integers(2))
    r = rng.normal(size=(states, actions, states if lands else 1))
    forbidden = forbid and bool(rng.integers(2))
    if forbidden:
        r[rng.random(r.shape) < 0.25] = -np.inf
        r[:, 0] = np.where(np.isfinite(r[:, 0]), r[:, 0], 0.5)  # some action stays allowed
    terminal = np.arange(states) >= states - (int(rng.integers(2)) if terminals and states > 1 else 0)
    initial = rng.dirichlet(np.ones(states)) if rng.integers(3) else np.eye(states)[0]
    prior, given = None, None
    which = ("none", "uniform", "by state", "with zeros")[rng.integers(4)]
    if which == "uniform":
        given = np.full(actions, 1 / actions)
        prior = np.tile(given, (states, 1))
    elif which != "none":
        prior = rng.dirichlet(np.ones(actions), states)
        if which == "with zeros" and actions > 1:
            prior[np.arange(states), rng.integers(1, actions, size=states)] = 0.0
            prior /= prior.sum(axis=1, keepdims=True)
        given = prior
    sparse = bool(rng.integers(2))
    gamma = 1.0 if discount is None else discount if discount > 0 else float(rng.choice([0.0, 0.3, 0.7, 0.9, 1.0]))
    full = np.broadcast_to(r, p.shape)
    transition, reward = p, full if lands else r[:, :, 0]
    if sparse:
        transition = sp.csr_array(p.reshape(-1, states))
        if lands:
            rows = np.repeat(np.arange(transition.shape[0]), np.diff(transition.indptr))
            reward = sp.csr_array((full.reshape(-1, states)[rows, transition.indices], transition.indices, transition.indptr), transition.shape)
    kind = ", ".join(["sparse" if sparse else "dense", f"support {support}", f"prior {which}", "reward on landing" * lands, "forbidden" * forbidden])
    eta, horizon = 10 ** rng.uniform(*temperatures), int(rng.integers(1, top + 1))
    mdp = so.MDP(transition, reward, initial, gamma, terminal)
    return World(seed, kind, p, full, initial, terminal, prior, eta, horizon, mdp, rng)


def worlds(count: int, *, possible: bool = True, **kwargs) -> Iterator[World]:
    """`count` worlds; with `possible`, those where O can be kept up at all."""
    found = seed = 0
    while found < count * SHARE:
        world = draw(seed, **kwargs)
        seed += 1
        if not possible or log_evidence(world) > -np.inf:
            found += 1
            yield world


# -- every trajectory ---------------------------------------------------------------------------------------------------------------


@dataclass
class Paths:
    """All feasible trajectories: states (T+1, N), actions (T, N), live (T, N), and for each the logarithms of its factors."""

    states: np.ndarray
    actions: np.ndarray
    live: np.ndarray
    log_start: np.ndarray  # log p(s_1)
    log_moves: np.ndarray  # Σ log p(s_{t+1} | s_t, a_t), the last landing s_{T+1} included
    log_prior: np.ndarray  # (T, N) log ρ(a_t | s_t)
    rewards: np.ndarray  # (T, N)

    def __len__(self) -> int:
        return self.states.shape[1]

    def log_weight(self, eta: float) -> np.ndarray:
        """log p(τ, O)"""
        return self.log_start + self.log_moves + self.log_prior.sum(axis=0) + self.rewards.sum(axis=0) / eta

    def log_policy(self, policy: np.ndarray) -> np.ndarray:
        """log π_t(a_t | s_t), 0 once the episode is over; policy (T, S, A).  (T, N)"""
        steps = np.arange(len(self.actions))[:, None]
        return np.where(self.live, log(policy[steps, self.states[:-1], self.actions]), 0.0)

    def log_chance(self, policy: np.ndarray) -> np.ndarray:
        """log q(τ): true dynamics, this policy."""
        return self.log_start + self.log_moves + self.log_policy(policy).sum(axis=0)


def paths(world: World, horizon: int | None = None, initial: np.ndarray | None = None) -> Paths:
    """All trajectories of so many steps (the world's horizon) from the states that `initial` (the world's) gives a chance."""
    if horizon is None and initial is None:
        world.every = world.every or paths(world, world.horizon)
        return world.every
    steps = world.horizon if horizon is None else horizon
    initial = world.initial if initial is None else initial
    (n_states, n_actions), terminal = world.p.shape[:2], world.terminal
    grid = np.indices((n_states, *(n_actions, n_states) * steps)).reshape(2 * steps + 1, -1)
    states, actions = grid[0::2], grid[1::2]
    over = terminal[states[:-1]]
    stays = (actions == 0) & (states[1:] == states[:-1])
    chance = np.where(over, stays, world.p[states[:-1], actions, states[1:]])
    keep = (initial[states[0]] > 0) & (chance > 0).all(axis=0)
    states, actions, over, chance = states[:, keep], actions[:, keep], over[:, keep], chance[:, keep]
    return Paths(
        states=states,
        actions=actions,
        live=~over,
        log_start=np.log(initial[states[0]]),
        log_moves=np.log(chance).sum(axis=0),
        log_prior=np.where(over, 0.0, log(world.rho[states[:-1], actions])),
        rewards=np.where(over, 0.0, world.r[states[:-1], actions, states[1:]]),
    )


def log_evidence(world: World) -> float:
    return float(lse(paths(world).log_weight(world.eta)))


def log_marginal(logs: np.ndarray, *places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """log Σ exp(logs) over the paths that pass through each place.  (N,), indices (N,) each -> shape"""
    index = np.ravel_multi_index(places, shape)
    top, total = np.full(np.prod(shape), np.finfo(float).min), np.zeros(np.prod(shape))
    np.maximum.at(top, index, logs)
    np.add.at(total, index, np.exp(logs - top[index]))
    return (log(total) + top).reshape(shape)


def conditional(joint: np.ndarray) -> np.ndarray:
    """exp of logs, normalised over the last axis; NaN where there is nothing to condition on."""
    with np.errstate(invalid="ignore"):
        return np.exp(joint - lse(joint, axis=-1, keepdims=True))


def messages(world: World) -> tuple[np.ndarray, np.ndarray]:
    """log β_t(s,a) (T,S,A) and log β_t(s) (T,S), each the sum over all ways to go on from there."""
    shape, steps = world.p.shape[:2], world.horizon
    sa, s = np.empty((steps, *shape)), np.empty((steps, shape[0]))
    for t in range(steps):
        ahead = paths(world, steps - t, np.ones(shape[0]))
        logs = ahead.log_weight(world.eta)
        s[t] = log_marginal(logs, ahead.states[0], shape=shape[:1])
        after = ahead.log_moves + ahead.log_prior[1:].sum(axis=0) + ahead.rewards.sum(axis=0) / world.eta  # the first action is given
        sa[t] = log_marginal(after, ahead.states[0], ahead.actions[0], shape=shape)
        sa[t, world.terminal] = 0.0
    return sa, s


def kl(log_q: np.ndarray, log_p: np.ndarray) -> float:
    """Σ q (log q − log p), where 0 log 0 = 0."""
    some = log_q > -np.inf
    return float(np.exp(log_q[some]) @ (log_q[some] - log_p[some]))


# -- hidden Markov models -----------------------------------------------------------------------------------------------------------


@dataclass
class Chain:
    """A random HMM and a sequence that it can emit."""

    seed: int
    initial: np.ndarray
    transition: np.ndarray
    emission: np.ndarray
    x: np.ndarray
    model: so.HMM
    rng: np.random.Generator

    def __repr__(self) -> str:
        return f"Chain(seed={self.seed}: {len(self.initial)} states, x = {self.x.tolist()})"


def _rows(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "extreme":  # probabilities down to the smallest float
        logs = rng.normal(size=shape) * 200
        weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    else:
        weights = rng.gamma(1.0, size=shape)
        if kind == "zeros":
            weights *= rng.random(shape) < 0.6
            weights[weights.sum(axis=-1) == 0] = 1.0
    return weights / weights.sum(axis=-1, keepdims=True)


def chains(count: int, *, longest: int = 6) -> Iterator[Chain]:
    for seed in range(math.ceil(count * SHARE)):
        rng = np.random.default_rng([seed, 10])
        hidden, symbols = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        kinds = rng.choice(["plain", "zeros", "extreme"], 3)
        parts = [_rows(rng, shape, kind) for shape, kind in zip([(hidden,), (hidden, hidden), (hidden, symbols)], kinds)]
        z, x = rng.choice(hidden, p=parts[0]), []
        for _ in range(rng.integers(1, longest + 1)):
            # any letter that the state can emit, however rarely: unlikely sequences are where precision is lost
            possible = parts[2][z] > 0
            x.append(rng.choice(symbols, p=possible / possible.sum()))
            z = rng.choice(hidden, p=parts[1][z])
        yield Chain(seed, *parts, np.array(x), so.HMM(*parts), rng)


def hidden_paths(chain: Chain, steps: int, seen: int) -> tuple[np.ndarray, np.ndarray]:
    """All hidden paths of `steps` steps (steps, N), and log p(Z, X_1..seen) of each."""
    z = np.indices((len(chain.initial),) * steps).reshape(steps, -1)
    logs = log(chain.initial)[z[0]] + log(chain.transition)[z[:-1], z[1:]].sum(axis=0)
    return z, logs + log(chain.emission)[z[:seen], chain.x[:seen, None]].sum(axis=0)
