"""Floor 4: soft Q-learning where states are too many for a table: Q linear in features of the state, on any Gymnasium environment with
discrete actions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from .numerics import Floats, as_count, as_floats, as_number
from .q_learning import BAR_DELAY, soft_choice, soft_max
from .sampling import BadSample, as_generator, discrete, draw, finite_reward, uniforms

Features: TypeAlias = Callable[[Any], ArrayLike]


class TileFeatures:
    """Tile coding (Sutton & Barto 2018, 9.5.4): `tilings` grids over a box, each shifted a little; φ_i = 1 in the tile one is in.

    low, high  (d,) the box; what lies outside is moved to its edge.  tiles: how many along each dimension.
    Call it on an observation (d,): φ (n,) with `tilings` ones, n = tilings · (tiles + 1)^d.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike, *, tilings: int = 8, tiles: int = 8):
        self.low, self.width = _box(low, high)
        self.tilings, self.tiles = as_count("tilings", tilings), as_count("tiles", tiles)
        d = len(self.low)
        # shifts by odd multiples, so that the grids do not line up on a diagonal
        self._shift = np.arange(self.tilings)[:, None] * (2 * np.arange(d) + 1) % self.tilings / self.tilings
        self._stride = (self.tiles + 1) ** np.arange(d)
        self._offset = np.arange(self.tilings) * (self.tiles + 1) ** d
        self.size = self.tilings * (self.tiles + 1) ** d

    def __call__(self, observation: ArrayLike) -> Floats:
        place = np.minimum(np.maximum((np.asarray(observation) - self.low) / self.width, 0.0), 1.0 - 1e-12) * self.tiles
        features = np.zeros(self.size)
        features[(place + self._shift).astype(int) @ self._stride + self._offset] = 1.0
        return features


class FourierFeatures:
    """The Fourier basis (Konidaris, Osentoski & Thomas 2011): φ_c = cos(π c·x), x the place in the box scaled to [0, 1]^d.

    low, high  (d,) the box; what lies outside is moved to its edge.  c runs through all of {0, …, order}^d: φ (n,), n = (order + 1)^d.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike, *, order: int = 3):
        self.low, self.width = _box(low, high)
        grid = np.indices((as_count("order", order) + 1,) * len(self.low))
        self.frequencies: Floats = grid.reshape(len(self.low), -1).T.astype(float)
        self.size = len(self.frequencies)

    def __call__(self, observation: ArrayLike) -> Floats:
        place = np.minimum(np.maximum((np.asarray(observation) - self.low) / self.width, 0.0), 1.0)
        return np.cos(np.pi * (self.frequencies @ place))


def _box(low: ArrayLike, high: ArrayLike) -> tuple[Floats, Floats]:
    bottom = as_floats("low", low, (None,))
    width = as_floats("high", high, bottom.shape) - bottom
    wrong = np.flatnonzero(~(np.isfinite(width) & (width > 0)))
    if len(wrong):
        i = int(wrong[0])
        raise ValueError(f"low[{i}] = {bottom[i]}, high[{i}] = {bottom[i] + width[i]}: must be finite, the upper one higher")
    return bottom, width


@dataclass(frozen=True)
class LinearLearned:
    """What `linear_soft_q_learning` found: weights (n, A), Q(s,a) = φ(s)·w_a, and the episodes on the way (as in `Learned`)."""

    weights: Floats
    features: Features
    temperature: float
    episode_ends: NDArray[np.int64]
    returns: Floats
    steps: int
    interrupted: bool

    def q(self, observation: Any) -> Floats:
        """Q(s, ·), in units of reward.  (A,)"""
        return np.asarray(self.features(observation)) @ self.weights

    def policy(self, observation: Any) -> Floats:
        """π(·|s), soft in Q; at temperature 0 uniform on the best.  (A,)"""
        return np.array(soft_choice(self.q(observation).tolist(), self.temperature))


def linear_soft_q_learning(
    env: gymnasium.Env,
    features: Features,
    temperature: float = 1.0,
    *,
    steps: int,
    rng: np.random.Generator,
    discount: float = 0.99,
    epsilon: float = 0.0,
    step_size: float = 0.1,
    start: ArrayLike | None = None,
    episode_steps: int = 10_000,
    progress: bool = True,
) -> LinearLearned:
    """Soft Q-learning with Q_w(s,a) = φ(s)·w_a, eq. sql-update: w_a ← w_a + α (r + γ V(s') − Q_w(s,a)) φ(s)/‖φ(s)‖².

    Divided by ‖φ‖², α moves Q_w(s,a) itself by α(y − Q), as in a table; with one feature for each state it is the table.  V is that of
    the counting measure, max at temperature 0.

    env        Gymnasium environment with Discrete actions; `features` takes its observations
    features   φ: observation -> (n,) finite numbers, not all 0, such as TileFeatures or FourierFeatures
    epsilon    chance of a uniform action; otherwise the soft policy of the present Q acts
    start      (n, A) weights at the start; default 0
    The rest as in `soft_q_learning`.  BadSample (a ValueError) for a reward or a feature that is not finite.  Off-policy
    bootstrapping from features has no proof of convergence: where it diverges, ValueError.
    """
    eta, rate = as_number("temperature", temperature, 0.0), as_number("step_size", step_size, 0.0, 1.0, open_low=True)
    gamma, chance = as_number("discount", discount, 0.0, 1.0), as_number("epsilon", epsilon, 0.0, 1.0)
    steps, limit = as_count("steps", steps), as_count("episode_steps", episode_steps)
    if not isinstance(env, gymnasium.Env):
        raise ValueError(f"env = {env!r}: must be a gymnasium.Env")
    actions, first = discrete("action_space", env.action_space)
    here = _features(features, env.reset(seed=int(as_generator(rng).integers(2**31)))[0], None)
    shape = len(here), actions
    weights = np.zeros(shape[::-1]) if start is None else as_floats("start", start, shape).T.copy()  # (A, n)
    random, over, length, total, taken = uniforms(rng), False, 0, 0.0, 0
    ends: list[int] = []
    returns: list[float] = []

    def finish() -> LinearLearned:
        episodes = np.array(ends, dtype=np.int64), np.array(returns, dtype=np.float64)
        return LinearLearned(weights.T.copy(), features, eta, *episodes, taken, taken < steps)

    try:
        for t in tqdm(range(1, steps + 1), disable=not progress, delay=BAR_DELAY, unit="step", leave=False):
            if over:
                here, length, total = _features(features, env.reset()[0], shape[0]), 0, 0.0
            q = weights @ here
            policy = soft_choice(q.tolist(), eta)
            action = draw([(1 - chance) * p + chance / actions for p in policy], next(random))
            observation, reward, terminated, truncated, _ = env.step(action + first)
            after, paid = _features(features, observation, shape[0]), finite_reward(reward, t)
            ahead = 0.0 if terminated else soft_max((weights @ after).tolist(), eta)
            change = rate * (paid + gamma * ahead - float(q[action]))
            if not isfinite(change):
                raise ValueError(f"Q(s, {action}) would change by {change} at step {t}: it diverges; try a smaller step_size")
            weights[action] += change / float(here @ here) * here
            here, length, total, taken = after, length + 1, total + paid, t
            over = terminated or truncated or length >= limit
            if over:
                ends.append(t)
                returns.append(total)
    except KeyboardInterrupt:
        warnings.warn(f"interrupted after {taken} of {steps} steps; what was learned is returned", stacklevel=2)
    except BadSample as error:
        error.learned = finish()
        raise
    return finish()


def _features(features: Features, observation: Any, size: int | None) -> Floats:
    """φ(s) (n,); BadSample where it cannot be."""
    phi = np.asarray(features(observation), dtype=np.float64)
    square = float(phi @ phi) if phi.ndim == 1 else 0.0
    if not 0 < square < inf or (size is not None and len(phi) != size):
        raise BadSample(f"features({observation}): must be ({size or 'n'},) finite numbers, not all 0")
    return phi


def play(
    env: gymnasium.Env, policy: ArrayLike | Callable[[Any], ArrayLike], episodes: int = 100, *, rng: np.random.Generator, episode_steps: int = 10_000
) -> Floats:
    """Undiscounted returns of whole episodes in a real environment, learning nothing.  (episodes,)

    policy: (S, A) for discrete observations, or a function from an observation to probabilities (A,).
    """
    rows = policy if callable(policy) else np.asarray(policy, dtype=np.float64)
    returns, random = np.zeros(as_count("episodes", episodes)), uniforms(as_generator(rng))
    limit = as_count("episode_steps", episode_steps)
    for i in range(len(returns)):
        observation = env.reset(seed=int(rng.integers(2**31)))[0]
        for _ in range(limit):
            weights = np.asarray(rows(observation) if callable(rows) else rows[observation]).tolist()
            observation, reward, terminated, truncated, _ = env.step(draw(weights, next(random)))
            returns[i] += float(reward)
            if terminated or truncated:
                break
    return returns
