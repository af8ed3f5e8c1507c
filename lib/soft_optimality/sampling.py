"""Floor 4: where samples come from.  An MDP or a Gymnasium environment with discrete spaces behind the same two calls:

    state = world.reset()
    state, reward, terminated, truncated = world.step(action)

Plain Python numbers come out: on one sample at a time they are several times faster than NumPy's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp

from .mdp import MDP
from .numerics import as_count

if TYPE_CHECKING:
    import gymnasium

T = TypeVar("T")
Sampler: TypeAlias = "MDPSampler | EnvSampler"


class BadSample(ValueError):
    """An environment answered with what no learner can use.  `learned` is what had been learned before it, where a learner raised it."""

    learned: Any = None


def as_generator(rng: Any) -> np.random.Generator:
    """rng, where it is a numpy.random.Generator; ValueError otherwise."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng = {rng!r}: must be a numpy.random.Generator, such as np.random.default_rng(0)")
    return rng


def as_sampler(mdp_or_env: Any, rng: np.random.Generator) -> Sampler:
    """The source of samples of an MDP or a Gymnasium environment; ValueError for anything else."""
    if isinstance(mdp_or_env, MDP):
        return MDPSampler(mdp_or_env, as_generator(rng))
    import gymnasium  # only those who bring an environment wait for it

    if isinstance(mdp_or_env, gymnasium.Env):
        return EnvSampler(mdp_or_env, as_generator(rng))
    raise ValueError(f"mdp_or_env = {mdp_or_env!r}: must be an MDP or a gymnasium.Env")


def uniforms(rng: np.random.Generator, block: int = 1024) -> Iterator[float]:
    """Uniform numbers in [0, 1), one by one but drawn in blocks."""
    while True:
        yield from rng.random(block).tolist()


def draw(weights: Sequence[float], u: float) -> int:
    """The index i with probability weights[i] (they sum to 1), for u uniform in [0, 1); never one of weight 0."""
    last = 0
    for i, w in enumerate(weights):
        if w > 0:
            last = i
            if u < w:
                return i
            u -= w
    return last


class MDPSampler:
    """An MDP as a source of samples.  The first state is drawn from `initial`, among those that are not terminal.

    An MDP never truncates an episode.  A forbidden action (reward -inf) may be asked for, and pays -inf: the caller must not ask.
    """

    def __init__(self, mdp: MDP, rng: np.random.Generator):
        first = np.where(mdp.terminal, 0.0, mdp.initial)
        if first.sum() == 0:
            raise ValueError("initial: every first state is terminal, so there is nothing to learn from")
        self.n_states, self.n_actions = mdp.shape
        self.discount = mdp.discount
        self.allowed = np.isfinite(mdp.mean_reward)  # (S, A)
        self.state = 0
        self._mdp, self._terminal = mdp, mdp.terminal.tolist()
        self._first = (first / first.sum()).tolist()
        self._uniform = uniforms(rng)
        self._rows: dict[tuple[int, int], tuple[list[int], list[float], list[float]]] = {}

    def reset(self) -> int:
        self.state = draw(self._first, next(self._uniform))
        return self.state

    def step(self, action: int) -> tuple[int, float, bool, bool]:
        successors, cumulative, rewards = self._row(self.state, action)
        i = bisect_right(cumulative, next(self._uniform), 0, len(successors) - 1)
        self.state = successors[i]
        return self.state, rewards[i], self._terminal[self.state], False

    def _row(self, state: int, action: int) -> tuple[list[int], list[float], list[float]]:
        """Where a pair (s,a) leads, its cumulated p(s'|s,a), and what each landing pays; looked up once."""
        if (state, action) not in self._rows:
            operator, landing, row = self._mdp.operator, self._mdp.landing_reward, action * self.n_states + state
            if sp.issparse(operator):
                entries = slice(operator.indptr[row], operator.indptr[row + 1])
                successors, chance = operator.indices[entries], operator.data[entries]
                paid = None if landing is None else landing[entries]
            else:
                successors = np.flatnonzero(operator[row])
                chance = operator[row, successors]
                paid = None if landing is None else landing[row, successors]
            if paid is None:
                paid = np.full(len(successors), self._mdp.mean_reward[state, action])
            self._rows[state, action] = successors.tolist(), chance.cumsum().tolist(), paid.tolist()
        return self._rows[state, action]


class EnvSampler:
    """A Gymnasium environment with discrete states and actions as a source of samples; it is seeded once, from `rng`.

    ValueError for other spaces; BadSample for a state outside its space, and for a reward that is NaN or infinite: it goes no further.
    """

    discount = None

    def __init__(self, env: gymnasium.Env, rng: np.random.Generator):
        self.n_states, self._first_state = discrete("observation_space", env.observation_space)
        self.n_actions, self._first_action = discrete("action_space", env.action_space)
        self.allowed = np.ones((self.n_states, self.n_actions), dtype=bool)
        self.state = self._steps = 0
        self._env = env
        self._seed: int | None = int(rng.integers(2**31))

    def reset(self) -> int:
        observation = self._env.reset(seed=self._seed)[0]
        self._seed = None
        return self._seen(observation)

    def step(self, action: int) -> tuple[int, float, bool, bool]:
        observation, reward, terminated, truncated, _ = self._env.step(action + self._first_action)
        self._steps += 1
        paid = finite_reward(reward, self._steps)
        return self._seen(observation), paid, bool(terminated), bool(truncated)

    def _seen(self, observation: Any) -> int:
        self.state = int(observation) - self._first_state
        if not 0 <= self.state < self.n_states:
            raise BadSample(f"observation = {observation}: not in {self._env.observation_space}, from env at step {self._steps}")
        return self.state


def discrete(name: str, space: gymnasium.Space) -> tuple[int, int]:
    """How many values a Discrete space has, and the first of them; ValueError for another space."""
    from gymnasium.spaces import Discrete

    if not isinstance(space, Discrete):
        raise ValueError(f"env.{name} = {space}: must be Discrete")
    return int(space.n), int(space.start)


def finite_reward(reward: Any, step: int) -> float:
    """The reward as a float; BadSample where it is NaN or infinite."""
    number = float(reward)
    if not isfinite(number):
        raise BadSample(f"reward = {reward}: not a finite number, from env at step {step}")
    return number


class Step(NamedTuple):
    """One step as it was taken; `log_ratio` is log b(a|s)/ρ(a|s) of the behaviour b that took it, in nats."""

    state: int
    action: int
    reward: float
    log_ratio: float


class Path(NamedTuple):
    """One to n steps in a row, the state they lead to, and whether the episode has ended there."""

    steps: tuple[Step, ...]
    after: int
    ended: bool


class Replay(Generic[T]):
    """The last `capacity` things that were added, to be learned from again (Lin 1992)."""

    def __init__(self, capacity: int):
        self.capacity = as_count("capacity", capacity)
        self._stored: list[T] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, item: T) -> None:
        if len(self._stored) < self.capacity:
            self._stored.append(item)
        else:
            self._stored[self._next] = item
        self._next = (self._next + 1) % self.capacity

    def sample(self, batch: int, rng: np.random.Generator) -> list[T]:
        """`batch` of them, drawn uniformly with replacement.  ValueError where fewer than that are stored."""
        if not self._stored:
            raise ValueError(f"batch = {batch}: the replay is empty")
        if batch > len(self._stored):
            raise ValueError(f"batch = {batch}: only {len(self._stored)} are stored")
        return [self._stored[i] for i in rng.integers(len(self._stored), size=batch).tolist()]
