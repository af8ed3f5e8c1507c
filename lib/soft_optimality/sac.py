"""Floor 4: continuous soft actor–critic (Haarnoja et al. 2018a, 2018b) in NumPy, each gradient by hand.

From transitions (s, a, r, s') kept in a replay, each update moves three things, in this order:

    critics      two networks Q_φ(s, a), towards  y = r + γ (min_i Q_φ̄i(s', a') − η log π(a'|s'))  with a' ~ π(·|s')
    policy       π_θ, down the gradient of  E[η log π(a|s) − min_i Q_φi(s, a)]  with a = c tanh(μ + σε) a function of θ
    temperature  η, down the gradient of  −log η (E[log π] + H̄): up while the policy's entropy is below its target H̄

and φ̄, the target averages, a little towards φ.  As everywhere in the book Q(s, a) leaves out the entropy of the action a itself, and
V(s) contains it.  Densities are those of the environment's own actions (eq. tanh-jacobian): per dimension an action is
middle + c tanh(u), and log π carries −log c.  Entropies are in nats, Q and η in units of reward (a nat).

The functions come first, each one an equation with its gradient beside it; they take float32 and float64 alike.  `SAC` learns in
float32, which halves the time of a matrix product and keeps more digits than its stochastic gradients have.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from math import log, sqrt
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from .numerics import Floats, as_count, as_number, as_temperature

Array: TypeAlias = NDArray[Any]  # float32 in SAC, float64 where the tests check a gradient
Layers: TypeAlias = list[Array]

FLOAT = np.float32
LOG_STD = (-20.0, 2.0)  # log σ is held between these, as in the authors' code
HALF_LOG_2PI = 0.5 * log(2 * np.pi)
NARROWEST = LOG_STD[0] + HALF_LOG_2PI + 0.5  # entropy of one dimension of u at the smallest σ
FORMAT = 1  # of saved files
BAR_DELAY = 3.0  # seconds before a progress bar shows


# -- networks: `count` of one shape side by side, so that a layer of all of them is one stacked product ------------------------------
#
# A bias is the weight of an input that is always 1: each layer takes x̃ = (1, x), and its bias is row 0 of its weights.


def layers(parameters: Array, sizes: Sequence[int], count: int) -> Layers:
    """The flat vector `parameters` seen as the weights (count, 1 + n_l, n_{l+1}) of each layer: views, no copies."""
    views, start = [], 0
    for n, m in pairwise(sizes):
        end = start + count * (1 + n) * m
        views.append(parameters[start:end].reshape(count, 1 + n, m))
        start = end
    return views


def initial_parameters(sizes: Sequence[int], count: int, rng: np.random.Generator, dtype: type = FLOAT) -> Array:
    """Weights and biases uniform within ±1/√n_l, the usual start, in one flat vector."""
    fans = [(1 / sqrt(n), count * (1 + n) * m) for n, m in pairwise(sizes)]
    return np.concatenate([rng.uniform(-bound, bound, size) for bound, size in fans]).astype(dtype)


def with_one(x: Array) -> Array:
    """x̃ = (1, x).  (batch, n) -> (batch, 1 + n)"""
    return np.concatenate([np.ones((len(x), 1), x.dtype), x], axis=1)


class Workspace:
    """Room for what networks compute on one batch, kept from update to update: fresh arrays of this size cost as much as filling them.

    Each hidden layer's output keeps its leading 1, so that it is the next layer's x̃ as it stands.
    """

    def __init__(self, sizes: Sequence[int], count: int, batch: int, dtype: type = FLOAT):
        self.hidden: list[Array] = [np.ones((count, batch, 1 + m), dtype) for m in sizes[1:-1]]
        self.output: Array = np.empty((count, batch, sizes[-1]), dtype)
        self.zeros = [np.zeros_like(x) for x in self.hidden]  # NumPy takes the larger of two arrays five times faster than of an array and 0
        self.active = [np.empty(x.shape, bool) for x in self.hidden]
        self.deltas: list[Array] = [np.empty((count, batch, m), dtype) for m in sizes[1:]]  # dL/d(what a layer puts out before its ReLU)

    def rows(self, n: int) -> Workspace:
        """The first n rows of the batch, sharing memory."""
        part = Workspace.__new__(Workspace)
        for name, arrays in vars(self).items():
            setattr(part, name, arrays[:, :n] if name == "output" else [array[:, :n] for array in arrays])
        return part


def forward(network: Layers, x: Array, work: Workspace) -> Array:
    """x̃ W, ReLU, ..., x̃ W.  x̃ (batch, 1 + n_0) -> (count, batch, n_L)"""
    for weight, hidden, zeros in zip(network[:-1], work.hidden, work.zeros, strict=True):
        np.matmul(x, weight, out=hidden[..., 1:])
        x = np.maximum(hidden, zeros, out=hidden)
    return np.matmul(x, network[-1], out=work.output)


def back_propagate(network: Layers, d_output: Array, work: Workspace) -> None:
    """δ_l = dL/d(layer l before its ReLU), into `work.deltas`: δ_L = `d_output`, δ_l = (δ_{l+1} W_{l+1}ᵀ) · [layer l > 0].  After `forward`."""
    np.copyto(work.deltas[-1], d_output)
    for level in reversed(range(len(work.hidden))):
        above, weight, delta = work.deltas[level + 1], network[level + 1][:, 1:].mT, work.deltas[level]
        # with one output the product is a column times a row, which BLAS is slow at
        (np.multiply if above.shape[-1] == 1 else np.matmul)(above, weight, out=delta)
        delta *= np.greater(work.hidden[level], 0, out=work.active[level])[..., 1:]


def parameter_gradient(x: Array, work: Workspace, out: Layers) -> None:
    """dL/dW_l = x̃_lᵀ δ_l, written to `out`.  After `back_propagate`."""
    for below, delta, gradient in zip([x, *work.hidden], work.deltas, out, strict=True):
        np.matmul(below.mT, delta, out=gradient)


def input_gradient(network: Layers, work: Workspace, columns: slice) -> Array:
    """dL/dx̃ = δ_0 W_0ᵀ for some of its columns.  (count, batch, columns).  After `back_propagate`."""
    return work.deltas[0] @ network[0][:, columns].mT


# -- the policy: a Gaussian squashed by tanh -----------------------------------------------------------------------------------------


def log_slope(u: Array) -> Array:
    """log(d tanh u/du) = log(1 − tanh² u), without the cancellation: 2 (log 2 − |u| − log(1 + exp(−2|u|)))."""
    size = np.abs(u)
    return 2 * (log(2) - size - np.log1p(np.exp(-2 * size)))


class Draw(NamedTuple):
    """Actions drawn from the policy: head (batch, 2d) holds μ and log σ (before it is held within LOG_STD), action (batch, d) is
    a in [−1, 1], log_density (batch,) is log π of the environment's action, spread (batch, d) is σε."""

    head: Array
    action: Array
    log_density: Array
    spread: Array


def squashed_gaussian(head: Array, noise: Array, log_scale: float) -> Draw:
    """a = tanh u with u = μ + σε, and the log-density of the action middle + c a, eq. tanh-jacobian.

    log π = Σ_d [−ε²/2 − log σ − ½ log 2π − log(1 − a²)] − Σ_d log c, for noise ε (batch, d) and log_scale = Σ_d log c.
    """
    d = noise.shape[1]
    log_std = np.clip(head[:, d:], *LOG_STD)
    spread = np.exp(log_std) * noise
    u = head[:, :d] + spread
    log_density = -(0.5 * noise * noise + log_std + log_slope(u)).sum(axis=1) - (d * HALF_LOG_2PI + log_scale)
    return Draw(head, np.tanh(u), log_density, spread)


def squashed_gaussian_gradient(draw: Draw, d_action: Array, d_log_density: float) -> Array:
    """dL/d(μ, log σ) at fixed noise ε, from dL/da (batch, d) and dL/d log π (the same number for the whole batch).  (batch, 2d)

    da/du = 1 − a²,  d log π/du = 2a,  du/dμ = 1,  du/d log σ = σε,  and log σ also enters log π by itself, as −log σ.
    """
    head, action, _, spread = draw
    d = action.shape[1]
    d_u = d_action * (1 - action * action) + 2 * d_log_density * action
    d_head = np.empty_like(head)
    d_head[:, :d] = d_u
    d_head[:, d:] = d_u * spread - d_log_density
    d_head[:, d:] *= (head[:, d:] >= LOG_STD[0]) & (head[:, d:] <= LOG_STD[1])
    return d_head


# -- the three losses, each with its gradient ----------------------------------------------------------------------------------------


def soft_target(reward: Array, goes_on: Array, q_next: Array, log_density: Array, temperature: float, discount: float) -> Array:
    """y = r + γ V(s'), V(s') = min_i Q_i(s', a') − η log π(a'|s'), and V = 0 after a terminal state.  q_next (2, batch, 1) -> (batch,)"""
    v = q_next[..., 0].min(axis=0) - temperature * log_density
    return reward + discount * goes_on * v


def critic_loss(q: Array, target: Array) -> float:
    """Σ_i mean ½ (Q_i − y)².  q (2, batch, 1), target (batch,)"""
    return float(0.5 * np.square(q[..., 0] - target).mean(axis=1).sum())


def critic_loss_gradient(q: Array, target: Array) -> Array:
    """dL/dQ_i = (Q_i − y)/batch.  (2, batch, 1)"""
    return (q - target[:, None]) / target.shape[0]


def critic_gradient(critics: Layers, x: Array, target: Array, work: Workspace, out: Layers) -> None:
    """d critic_loss/dφ of both critics, written to `out`, for x̃ = (1, s, a) (batch, 1 + n + d)."""
    q = forward(critics, x, work)
    back_propagate(critics, critic_loss_gradient(q, target), work)
    parameter_gradient(x, work, out)


def policy_loss(q: Array, log_density: Array, temperature: float) -> float:
    """mean (η log π(a|s) − min_i Q_i(s, a)): the KL to exp(Q/η)/Z, times η, up to a constant.  q (2, batch, 1), log_density (batch,)"""
    return float((temperature * log_density - q[..., 0].min(axis=0)).mean())


def policy_loss_gradient(q: Array) -> Array:
    """dL/dQ_i = −1/batch for the critic that is the smaller one, 0 for the other.  (2, batch, 1).  And dL/d log π = η/batch."""
    gradient = np.empty_like(q)
    np.less_equal(q[0], q[1], out=gradient[0])
    np.subtract(1, gradient[0], out=gradient[1])
    gradient /= -q.shape[1]
    return gradient


def policy_gradient(
    policy: Layers, critics: Layers, x: Array, draw: Draw, temperature: float, work: tuple[Workspace, Workspace], out: Layers
) -> None:
    """d policy_loss/dθ at fixed noise, written to `out`: back through the critics to the action, and through the action to θ.

    x̃ = (1, s, a) with the a of `draw`; work: the policy's, as `forward` left it at these s, and the critics'.
    """
    here, above = work
    d = draw.action.shape[1]
    q = forward(critics, x, above)
    back_propagate(critics, policy_loss_gradient(q), above)
    d_action = input_gradient(critics, above, slice(-d, None)).sum(axis=0)
    back_propagate(policy, squashed_gaussian_gradient(draw, d_action, temperature / len(x)), here)
    parameter_gradient(x[:, :-d], here, out)


def temperature_gradient(log_density: Array, target_entropy: float) -> float:
    """d/d log η of −log η · mean(log π + H̄), eq. temperature-dual: below 0, so that η rises, while the entropy −mean log π is below H̄."""
    return -(float(log_density.sum()) / len(log_density) + target_entropy)


# -- descent -------------------------------------------------------------------------------------------------------------------------


class Adam:
    """Adam (Kingma & Ba 2015) on one flat vector, in place."""

    def __init__(self, size: int, learning_rate: float, dtype: type = FLOAT):
        self.learning_rate, self.steps = learning_rate, 0
        self.first: Array = np.zeros(size, dtype)
        self.second: Array = np.zeros(size, dtype)
        self._room: Array = np.empty(size, dtype)

    def descend(self, parameters: Array, gradient: Array, decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> None:
        """parameters −= rate · m̂/(√v̂ + ε), with m, v the averages of the gradient and of its square, m̂ and v̂ made unbiased."""
        self.steps += 1
        room, (b1, b2) = self._room, decay
        np.subtract(gradient, self.first, out=room)
        room *= 1 - b1
        self.first += room
        np.multiply(gradient, gradient, out=room)
        room -= self.second
        room *= 1 - b2
        self.second += room
        unbias = sqrt(1 - b2**self.steps)
        np.sqrt(self.second, out=room)
        room += epsilon * unbias
        np.divide(self.first, room, out=room)
        room *= self.learning_rate * unbias / (1 - b1**self.steps)
        parameters -= room


class Replay:
    """The last `capacity` transitions, one row each: 1, s, a in [−1, 1]; s'; r; and 1 where it went on or 0 where s' is terminal.

    The leading 1 makes the first columns of a batch x̃ = (1, s) for the policy and x̃ = (1, s, a) for the critics.
    """

    def __init__(self, capacity: int, n: int, d: int):
        self.rows = np.empty((capacity, 1 + n + d + n + 2), FLOAT)  # memory is taken only as it fills
        self.action, self.after = slice(1 + n, 1 + n + d), slice(1 + n + d, 1 + n + d + n)
        self.size = self.next = 0

    def add(self, observation: Array, action: Array, after: Array, reward: float, goes_on: bool) -> None:
        row = self.rows[self.next]
        row[0], row[1 : 1 + len(observation)], row[self.action], row[self.after], row[-2], row[-1] = 1, observation, action, after, reward, goes_on
        self.next = (self.next + 1) % len(self.rows)
        self.size = min(self.size + 1, len(self.rows))

    def sample(self, rng: np.random.Generator, out: Array) -> None:
        """len(out) rows, drawn uniformly with replacement.  ValueError where fewer than that are stored."""
        if self.size == 0:
            raise ValueError(f"batch = {len(out)}: the replay is empty")
        if self.size < len(out):
            raise ValueError(f"batch = {len(out)}: only {self.size} transitions are stored")
        np.take(self.rows, rng.integers(self.size, size=len(out)), axis=0, out=out, mode="clip")

    def latest_actions(self, n: int) -> Array:
        """The n actions that were added last, oldest first.  (n, d)"""
        return self.rows[np.arange(self.next - n, self.next) % len(self.rows), self.action]


# -- at the door ---------------------------------------------------------------------------------------------------------------------


def _spaces(env: gymnasium.Env) -> tuple[int, Array, Array]:
    """How many observations, and the lower and upper bounds of the actions; ValueError where SAC cannot work with them."""
    if not isinstance(env, gymnasium.Env):
        raise ValueError(f"env = {env!r}: must be a gymnasium.Env, such as gymnasium.make makes")
    box, observations = env.action_space, env.observation_space
    if not isinstance(box, gymnasium.spaces.Box) or len(box.shape) != 1 or box.shape[0] == 0 or not np.issubdtype(box.dtype, np.floating):
        raise ValueError(f"env.action_space = {box}: must be a Box of real numbers of shape (d,)")
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    wrong = ~(np.isfinite(low) & np.isfinite(high) & (low < high))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"env.action_space: action {i} lies between {low[i]} and {high[i]}; its bounds must be finite, the upper one higher")
    if not isinstance(observations, gymnasium.spaces.Box) or len(observations.shape) != 1 or observations.shape[0] == 0:
        raise ValueError(f"env.observation_space = {observations}: must be a Box of shape (n,); gymnasium.wrappers.FlattenObservation makes one")
    return observations.shape[0], low, high


def _hidden(sizes: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(sizes, Sequence) or len(sizes) == 0:
        raise ValueError(f"hidden = {sizes!r}: must be the sizes of one or more layers, as in (64, 64)")
    return tuple(as_count(f"hidden[{i}]", size) for i, size in enumerate(sizes))


def _check_gradient(name: str, gradient: Array) -> None:
    """A NaN, an infinity or a square beyond float32 anywhere in the gradient shows in its square norm."""
    norm = gradient @ gradient
    if not np.isfinite(norm):
        raise ValueError(f"the gradient of the {name} has the square norm {norm}: rewards or observations are too large for float32; scale them")


def _one_thread() -> AbstractContextManager[Any]:
    """Matrix products of this size only lose by a second thread (4 times slower on two busy cores, and a thread more changes the rounding).

    NumPy cannot say so itself.  Without threadpoolctl the environment variable OMP_NUM_THREADS=1 does it, set before NumPy is imported.
    """
    try:
        return import_module("threadpoolctl").threadpool_limits(1, user_api="blas")
    except ImportError:
        return nullcontext()


class _Patience:
    """While inside, Ctrl-C waits until the step under way is complete; a second one does not wait."""

    def __init__(self) -> None:
        self.asked = self._listening = False

    def __enter__(self) -> Self:
        # elsewhere, and where someone else listens, KeyboardInterrupt or whatever they do comes as it always does
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)
            self._listening = True
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *error: object) -> None:
        if self._listening:
            signal.signal(signal.SIGINT, signal.default_int_handler)


# -- the agent -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """What `SAC.learn` saw: `steps` (E,), the agent's total steps when each episode ended, `returns` (E,), each one's undiscounted
    return while exploring, and whether the run was `interrupted`."""

    steps: NDArray[np.int64]
    returns: Floats
    interrupted: bool


@dataclass
class _Episode:
    """A training episode under way.  Its seed and its actions (in the replay) are all that is needed to bring it back."""

    seed: int
    observation: Array
    length: int = 0
    rewards: float = 0.0


@dataclass(frozen=True)
class _Options:
    hidden: tuple[int, ...]
    discount: float
    batch: int
    learning_rate: float
    averaging: float
    target_entropy: float | None
    temperature: float | None
    warm_up: int
    capacity: int
    episode_steps: int


@dataclass
class _Room:
    """The arrays of one update: sampled rows, (1, s, a) with the policy's own a at their s (pairs[0]) and at their s' (pairs[1]), and room.

    `policy` computes at s and s' together, `here` is its half at s; `one` is for acting.
    """

    rows: Array
    pairs: Array
    noise: Array
    critic: Workspace
    policy: Workspace
    here: Workspace
    one: Workspace


class SAC:
    """Continuous soft actor–critic with twin critics, target averages and a learned temperature (Haarnoja et al. 2018a, 2018b).

        agent = so.SAC(gymnasium.make("Pendulum-v1"), rng=np.random.default_rng(0))
        agent.learn(10_000)
        agent.evaluate(20).mean()

    env             Gymnasium environment: flat observations (a Box of shape (n,)), actions in a Box of shape (d,) with finite bounds.
                    The agent resets it with seeds that it draws from `rng`; nobody else should step it while an episode is under way
    rng             numpy.random.Generator: the only source of randomness, of the environment's resets too
    hidden          sizes of the hidden layers (ReLU) of the policy and of each critic
    discount        γ in [0, 1]
    batch           transitions in one update
    learning_rate   of Adam, for critics, policy and log η
    averaging       how far the target averages move at each update, in (0, 1].  The authors' 0.005 goes with their learning rate, 3e-4
    target_entropy  H̄ in nats, of the policy's density over the environment's actions; below Σ log(high − low), the uniform density's.
                    Default Σ (log c − 1) with c = (high − low)/2: Haarnoja's −d for actions in [−1, 1], carried to these units
    temperature     None: η is learned, from 1.  A number: η > 0 is fixed, and there is no target_entropy
    warm_up         steps with uniform random actions before the first update; default `batch`, and not less
    capacity        transitions that the replay holds
    episode_steps   an episode that has not ended after so many steps is cut off (a truncation: the value goes on).  This is the limit
                    for an environment that never ends; Pendulum's own is 200

    ValueError for arguments out of range, for other spaces, and where the environment hands out a NaN, an infinity or a number too large
    for float32: it never enters the replay or the weights.  `temperature`, `steps`, `updates`, `episode_ends` and `episode_returns` can
    be read at any time.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        rng: np.random.Generator,
        hidden: Sequence[int] = (64, 64),
        discount: float = 0.99,
        batch: int = 256,
        learning_rate: float = 1e-3,
        averaging: float = 0.01,
        target_entropy: float | None = None,
        temperature: float | None = None,
        warm_up: int | None = None,
        capacity: int = 100_000,
        episode_steps: int = 10_000,
    ):
        if not isinstance(rng, np.random.Generator):
            raise ValueError(f"rng = {rng!r}: must be a numpy.random.Generator")
        self.env, self.rng = env, rng
        self.n_observations, self._low, self._high = _spaces(env)
        self.n_actions = len(self._low)
        self._middle, self._scale = (self._high + self._low) / 2, (self._high - self._low) / 2
        self._log_scale = float(np.log(self._scale).sum())
        entropy = self._target_entropy(target_entropy, temperature)
        batch, capacity = as_count("batch", batch), as_count("capacity", capacity)
        warm_up = batch if warm_up is None else as_count("warm_up", warm_up)
        if not batch <= warm_up <= capacity:
            raise ValueError(f"warm_up = {warm_up}: must lie between batch = {batch} and capacity = {capacity}")
        self.options = _Options(
            hidden=_hidden(hidden),
            discount=as_number("discount", discount, 0.0, 1.0),
            batch=batch,
            learning_rate=as_number("learning_rate", learning_rate, 0.0, open_low=True),
            averaging=as_number("averaging", averaging, 0.0, 1.0, open_low=True),
            target_entropy=entropy,
            temperature=None if temperature is None else as_temperature(temperature),
            warm_up=warm_up,
            capacity=capacity,
            episode_steps=as_count("episode_steps", episode_steps),
        )
        self.steps = self.updates = 0
        self.episode_ends: list[int] = []
        self.episode_returns: list[float] = []
        self._episode: _Episode | None = None
        self._env_is_elsewhere = False  # its state is not the one that the episode under way left it in
        self._build()

    def _target_entropy(self, target: float | None, temperature: float | None) -> float | None:
        if temperature is not None:
            if target is not None:
                raise ValueError(f"target_entropy = {target!r}: there is none where temperature = {temperature!r} is fixed")
            return None
        if target is None:
            return self._log_scale - self.n_actions
        low, high = self._log_scale + self.n_actions * NARROWEST, self._log_scale + self.n_actions * log(2)
        number = as_number("target_entropy", target, low, open_low=True)
        if number >= high:
            raise ValueError(f"target_entropy = {target!r}: must be below {high:.6g} nats, the entropy of uniform actions")
        return number

    def _build(self) -> None:
        """Parameters, each group one flat vector, and the views and the room that updates use."""
        n, d, batch, hidden = self.n_observations, self.n_actions, self.options.batch, self.options.hidden
        policy_sizes, critic_sizes = (n, *hidden, 2 * d), (n + d, *hidden, 1)
        # log η is the last entry of the policy's vector: the two descend together
        self._policy = np.append(initial_parameters(policy_sizes, 1, self.rng), FLOAT(log(self.options.temperature or 1.0)))
        self._critics = initial_parameters(critic_sizes, 2, self.rng)
        self._averages = self._critics.copy()
        self._policy_gradient, self._critics_gradient = np.zeros_like(self._policy), np.zeros_like(self._critics)
        self._policy_adam = Adam(self._policy.size, self.options.learning_rate)
        self._critics_adam = Adam(self._critics.size, self.options.learning_rate)
        self._policy_layers, self._policy_gradients = (layers(x[:-1], policy_sizes, 1) for x in (self._policy, self._policy_gradient))
        self._critic_layers, self._average_layers, self._critic_gradients = (
            layers(x, critic_sizes, 2) for x in (self._critics, self._averages, self._critics_gradient)
        )
        self._replay = Replay(self.options.capacity, n, d)
        policy_room = Workspace(policy_sizes, 1, 2 * batch)
        self._room = _Room(
            rows=np.empty((batch, self._replay.rows.shape[1]), FLOAT),
            pairs=np.ones((2, batch, 1 + n + d), FLOAT),
            noise=np.empty((2 * batch, d), FLOAT),
            critic=Workspace(critic_sizes, 2, batch),
            policy=policy_room,
            here=policy_room.rows(batch),
            one=Workspace(policy_sizes, 1, 1),
        )

    def __repr__(self) -> str:
        return f"SAC({self.steps} steps, {self.updates} updates, {len(self.episode_returns)} episodes, temperature {self.temperature:.4g})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        # a copy's layers would no longer be views of its parameters, and it would quietly stop learning
        raise TypeError("SAC cannot be copied or pickled; use save and load")

    @property
    def temperature(self) -> float:
        """η, in units of reward."""
        return float(np.exp(self._policy[-1])) if self.options.temperature is None else self.options.temperature

    # -- learning

    def learn(self, steps: int, progress: bool = True) -> Training:
        """Take `steps` steps in the environment, with one update after each once the replay holds `warm_up` transitions.

        Goes on where the last call stopped, in the middle of an episode too.  Ctrl-C (KeyboardInterrupt) ends it after the step under way:
        nothing that was learned is lost, a warning says how far it came, and `learn` can be called again.
        """
        steps, episodes, done, interrupted = as_count("steps", steps), len(self.episode_returns), 0, False
        self._resume()
        with _one_thread(), _Patience() as patience, tqdm(total=steps, disable=not progress, delay=BAR_DELAY, unit="step") as bar:
            try:
                while done < steps and not patience.asked:
                    ended = self._step()
                    if self._replay.size >= self.options.warm_up:
                        self.update()
                    done += 1
                    bar.update()
                    if ended:
                        bar.set_postfix_str(f"return {self.episode_returns[-1]:.0f}, temperature {self.temperature:.3g}", refresh=False)
                interrupted = patience.asked
            except KeyboardInterrupt:
                if patience.asked:  # a second Ctrl-C: whoever pressed it wants out
                    raise
                interrupted = True
        if interrupted:
            warnings.warn(f"interrupted after {done} of {steps} steps; what was learned is kept", stacklevel=2)
        ends, returns = self.episode_ends[episodes:], self.episode_returns[episodes:]
        return Training(np.array(ends, dtype=np.int64), np.array(returns, dtype=np.float64), interrupted)

    def update(self) -> None:
        """One gradient step of the critics, then of the policy and the temperature; then the target averages.  No step in the environment.

        ValueError where the replay holds fewer than `batch` transitions, or where a gradient is not finite (the weights then stay).
        """
        with np.errstate(over="ignore", invalid="ignore"):
            self._update()
        self.updates += 1

    def _update(self) -> None:
        options, room, replay, eta = self.options, self._room, self._replay, self.temperature
        size, states, actions = options.batch, slice(0, 1 + self.n_observations), replay.action
        replay.sample(self.rng, room.rows)
        taken, after, reward, goes_on = room.rows[:, : actions.stop], room.rows[:, replay.after], room.rows[:, -2], room.rows[:, -1]

        # What the policy would do now, at s and at s', in one pass.
        room.pairs[0, :, states], room.pairs[1, :, 1 : states.stop] = taken[:, states], after
        both = room.pairs.reshape(2 * size, -1)
        self.rng.standard_normal(dtype=FLOAT, out=room.noise)
        draw = squashed_gaussian(forward(self._policy_layers, both[:, states], room.policy)[0], room.noise, self._log_scale)
        both[:, actions] = draw.action
        now = Draw(*(x[:size] for x in draw))

        q_after = forward(self._average_layers, room.pairs[1], room.critic)
        target = soft_target(reward, goes_on, q_after, draw.log_density[size:], eta, options.discount)
        critic_gradient(self._critic_layers, taken, target, room.critic, self._critic_gradients)
        _check_gradient("critics", self._critics_gradient)
        self._critics_adam.descend(self._critics, self._critics_gradient)

        policy_gradient(self._policy_layers, self._critic_layers, room.pairs[0], now, eta, (room.here, room.critic), self._policy_gradients)
        if options.target_entropy is not None:
            self._policy_gradient[-1] = temperature_gradient(now.log_density, options.target_entropy)
        _check_gradient("policy", self._policy_gradient)
        self._policy_adam.descend(self._policy, self._policy_gradient)

        self._averages += FLOAT(options.averaging) * (self._critics - self._averages)

    def _step(self) -> bool:
        """One step in the environment, into the replay.  True where it ended an episode."""
        if self._episode is None:
            seed = int(self.rng.integers(2**31))
            self._episode = _Episode(seed, self._observed(self.env.reset(seed=seed)[0]))
        episode = self._episode
        if self.steps < self.options.warm_up:
            action = self.rng.uniform(-1, 1, self.n_actions).astype(FLOAT)
        else:
            action = self._choose(episode.observation[None], mean=False)[0]
        try:
            after, reward, terminated, truncated, _ = self.env.step(self._to_env(action))
            after, reward = self._observed(after), self._rewarded(reward)
        except BaseException:
            self._episode = None  # whatever state the environment is in, the next step starts afresh
            raise
        self._replay.add(episode.observation, action, after, reward, not terminated)
        self.steps += 1
        episode.observation, episode.length, episode.rewards = after, episode.length + 1, episode.rewards + reward
        if not (terminated or truncated or episode.length >= self.options.episode_steps):
            return False
        self.episode_ends.append(self.steps)
        self.episode_returns.append(episode.rewards)
        self._episode = None
        return True

    def _resume(self) -> None:
        """Bring the environment back to the episode under way, by its seed and its actions: after `load` and after `evaluate`."""
        episode = self._episode
        if episode is None or not self._env_is_elsewhere:
            self._env_is_elsewhere = False
            return
        self._episode, self._env_is_elsewhere = None, False
        if episode.length <= self._replay.size:
            seen = self._observed(self.env.reset(seed=episode.seed)[0])
            for action in self._replay.latest_actions(episode.length):
                after, _, terminated, truncated, _ = self.env.step(self._to_env(action))
                seen = self._observed(after)
                if terminated or truncated:
                    break
            else:
                if np.array_equal(seen, episode.observation):
                    self._episode = episode
        if self._episode is None:
            warnings.warn("env does not repeat the episode under way from its seed and its actions: a new episode begins", stacklevel=3)

    # -- acting

    def act(self, observation: ArrayLike, mean: bool = True) -> Array:
        """The environment's action middle + c tanh(μ), or with mean=False one drawn from π (by the agent's rng).  (n,) -> (d,) or (B, n) -> (B, d)"""
        x = np.asarray(observation, FLOAT)
        if x.ndim not in (1, 2) or x.shape[-1] != self.n_observations:
            raise ValueError(f"observation has shape {x.shape}, expected ({self.n_observations},) or (any, {self.n_observations})")
        if not np.isfinite(x).all():
            raise ValueError(f"observation = {x[~np.isfinite(x)][0]}: not a finite number")
        actions = self._to_env(self._choose(x.reshape(-1, self.n_observations), mean))
        return actions.reshape(*x.shape[:-1], self.n_actions)

    def q(self, observations: ArrayLike, actions: ArrayLike) -> Array:
        """min_i Q_i(s, a) for actions in the environment's units.  (B, n), (B, d) -> (B,)"""
        s, a = np.asarray(observations, FLOAT), np.asarray(actions, FLOAT)
        if s.ndim != 2 or s.shape[1] != self.n_observations or a.shape != (len(s), self.n_actions):
            wanted = f"(any, {self.n_observations}) and (any, {self.n_actions})"
            raise ValueError(f"observations and actions have shapes {s.shape} and {a.shape}, expected {wanted}")
        x = np.hstack([s, ((a - self._middle) / self._scale).astype(FLOAT)])
        work = Workspace((x.shape[1], *self.options.hidden, 1), 2, len(x))
        return forward(self._critic_layers, with_one(x), work)[..., 0].min(axis=0)

    def evaluate(self, episodes: int = 20, *, seed: int = 0) -> Floats:
        """Undiscounted returns of whole episodes with the mean action, learning nothing.  (episodes,)

        Episode i starts from env.reset(seed=seed + i): the same starts at every call, and the agent's rng is not touched.
        """
        episodes, seed = as_count("episodes", episodes), as_count("seed", seed, 0)
        self._env_is_elsewhere = True
        returns = np.zeros(episodes)
        for i in range(episodes):
            observation = self._observed(self.env.reset(seed=seed + i)[0])
            for _ in range(self.options.episode_steps):
                observation, reward, terminated, truncated, _ = self.env.step(self._to_env(self._choose(observation[None], mean=True)[0]))
                observation = self._observed(observation)
                returns[i] += self._rewarded(reward)
                if terminated or truncated:
                    break
        return returns

    def _choose(self, observations: Array, mean: bool) -> Array:
        """Actions in [−1, 1].  (B, n) -> (B, d)"""
        d, n = self.n_actions, len(observations)
        work = self._room.one if n == 1 else Workspace((self.n_observations, *self.options.hidden, 2 * d), 1, n)
        head = forward(self._policy_layers, with_one(observations), work)[0]
        if mean:
            return np.tanh(head[:, :d])
        return np.tanh(head[:, :d] + np.exp(np.clip(head[:, d:], *LOG_STD)) * self.rng.standard_normal((n, d), dtype=FLOAT))

    def _to_env(self, action: Array) -> Array:
        return np.clip(self._middle + self._scale * action, self._low, self._high).astype(self.env.action_space.dtype)

    def _observed(self, observation: Any) -> Array:
        with np.errstate(over="ignore"):
            x = np.array(observation, FLOAT)  # a copy: an environment may hand out the same array at every step
        if x.shape != (self.n_observations,):
            raise ValueError(f"observation has shape {x.shape}, expected ({self.n_observations},): from env at step {self.steps}")
        if not np.isfinite(x).all():
            i = int(np.flatnonzero(~np.isfinite(x))[0])
            raise ValueError(f"observation[{i}] = {observation[i]}: not a finite float32, from env at step {self.steps}")
        return x

    def _rewarded(self, reward: Any) -> float:
        with np.errstate(over="ignore"):
            if not np.isfinite(FLOAT(reward)):
                raise ValueError(f"reward = {reward}: not a finite float32, from env at step {self.steps}")
        return float(reward)

    # -- keeping

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of the agent to one file (npz, no pickle): weights, averages, Adam's moments, replay, rng and the episode under way.

        Of the environment nothing is stored but the seed of the episode under way; its actions are in the replay.  So `load` and
        `learn` go on bit for bit (on the same kind of machine, with the same NumPy) where the environment repeats an episode from its
        seed and its actions, as Gymnasium's do; where it does not, a warning says so and a new episode begins.
        """
        episode = self._episode
        about = {
            "format": FORMAT,
            "options": vars(self.options),
            "observations": self.n_observations,
            "low": self._low.tolist(),
            "high": self._high.tolist(),
            "steps": self.steps,
            "updates": self.updates,
            "adam_steps": [self._policy_adam.steps, self._critics_adam.steps],
            "episode": None if episode is None else [episode.seed, episode.length, episode.rewards],
            "replay_next": self._replay.next,
            "rng": self.rng.bit_generator.state,
        }
        part = Path(f"{os.fspath(path)}.part")
        with open(part, "wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about, default=lambda array: array.tolist())),
                replay=self._replay.rows[: self._replay.size],
                observation=np.zeros(0, FLOAT) if episode is None else episode.observation,
                episode_ends=np.array(self.episode_ends, np.int64),
                episode_returns=np.array(self.episode_returns, np.float64),
                allow_pickle=False,
                **self._arrays(),
            )
        os.replace(part, path)  # an interrupted save leaves the last one whole

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: gymnasium.Env) -> Self:
        """The agent that `save` wrote, to go on in `env`, which must have the same spaces.  ValueError for another file or environment."""
        try:
            with np.load(path, allow_pickle=False) as file:
                stored = dict(file)
            about = json.loads(str(stored["about"]))
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}")
            options, state = about["options"], about["rng"]
            rng = np.random.Generator(getattr(np.random, state["bit_generator"])())
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"path = {os.fspath(path)!r}: not a file that SAC.save wrote ({error})") from None
        agent = cls(env, rng=rng, **options)
        agent._restore(path, about, stored)
        rng.bit_generator.state = state
        return agent

    def _arrays(self) -> dict[str, Array]:
        return {
            "policy": self._policy,
            "critics": self._critics,
            "averages": self._averages,
            "policy_first": self._policy_adam.first,
            "policy_second": self._policy_adam.second,
            "critics_first": self._critics_adam.first,
            "critics_second": self._critics_adam.second,
        }

    def _restore(self, path: str | os.PathLike[str], about: dict[str, Any], stored: dict[str, Array]) -> None:
        theirs = (about["observations"], about["low"], about["high"])
        if theirs != (self.n_observations, self._low.tolist(), self._high.tolist()):
            raise ValueError("env: the agent in {!r} had {} observations and actions from {} to {}".format(os.fspath(path), *theirs))
        for name, array in self._arrays().items():
            array[:] = stored[name]
        self._policy_adam.steps, self._critics_adam.steps = about["adam_steps"]
        self._replay.size, self._replay.next = len(stored["replay"]), about["replay_next"]
        self._replay.rows[: self._replay.size] = stored["replay"]
        self.steps, self.updates = about["steps"], about["updates"]
        self.episode_ends, self.episode_returns = stored["episode_ends"].tolist(), stored["episode_returns"].tolist()
        if about["episode"] is not None:
            seed, length, rewards = about["episode"]
            self._episode, self._env_is_elsewhere = _Episode(seed, stored["observation"], length, rewards), True
