"""Floor 4: soft actor–critic with tables (Haarnoja et al. 2018a, 2018b): exactly, with the model, and from samples.

    critic       Q towards   y = r + γ Σ_a' π(a'|s') (min_i Q̄_i(s',a') − η log(π/ρ)(a'|s'))        soft policy evaluation
    actor        π towards   argmin KL(π ‖ ρ exp(Q/η)/Z) = ρ exp((Q − V)/η)                         soft policy improvement
    temperature  log η down the gradient H(π) − H̄ of the dual, eq. temperature-dual

With the model, and each of the first two steps taken to its end, this is soft policy iteration.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from .backups import boltzmann_policy
from .mdp import MDP, as_policy, as_prior, default_policy
from .numerics import Floats, NotConverged, as_count, as_distributions, as_floats, as_number, as_temperature, log_sum_exp, reject
from .numerics import log as log_array
from .planning import Plan, evaluate_policy
from .sampling import BadSample, as_generator, as_sampler, draw, uniforms

StepSize: TypeAlias = float | Callable[[Floats], Floats]
BAR_DELAY = 3.0  # seconds before a progress bar shows
LOG_TEMPERATURE = (-20.0, 20.0)  # the learned log η is held between these
FLOOR = -700.0  # log π(a|s) of an allowed action is not below this, so that one bad estimate can be taken back


def soft_policy_iteration(
    mdp: MDP,
    temperature: float = 1.0,
    *,
    prior: ArrayLike | None = None,
    policy: ArrayLike | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
) -> list[Plan]:
    """Evaluate, improve, and again: the evaluations of all policies in turn; the last has ‖V − V*‖∞ ≤ tolerance (γ < 1).

    policy (S, A) is the first; default the prior's, or uniform.  V never falls from one to the next, eq. soft-policy-improvement, and
    ‖V_k+1 − V*‖ ≤ γ ‖V_k − V*‖ gives the bound γ/(1 − γ) ‖V_k+1 − V_k‖ at which it stops; for γ = 1 it stops where V_k+1 − V_k is within
    the tolerance, and the policies must all end for certain.  NotConverged after `max_iterations`.
    """
    eta, rho = as_temperature(temperature), as_prior(mdp, prior)
    small = as_number("tolerance", tolerance, 0.0, open_low=True)
    limit = as_count("max_iterations", max_iterations)
    pi = _first_policy(mdp, rho) if policy is None else as_policy(mdp, policy, None)
    factor = mdp.discount / (1 - mdp.discount) if mdp.discount < 1 else 1.0
    plans, change = [evaluate_policy(mdp, pi, eta, prior=prior)], np.inf
    while len(plans) < limit:
        last = plans[-1]
        plans.append(evaluate_policy(mdp, boltzmann_policy(last.q, eta, rho), eta, prior=prior))
        same = plans[-1].v == last.v  # -inf stays -inf
        change = float(np.where(same, 0.0, np.abs(plans[-1].v - np.where(same, 0.0, last.v))).max())
        if factor * change <= small:
            return plans
    raise NotConverged(f"soft policy iteration: V still changes by {change:.3g} after {limit} policies", residual=change, iterations=limit)


def _first_policy(mdp: MDP, rho: Floats | None) -> Floats:
    """The prior, or uniform, over what is allowed."""
    pi = boltzmann_policy(np.where(np.isfinite(mdp.mean_reward), 0.0, -np.inf), 1.0, rho)
    return np.where(pi.sum(axis=1, keepdims=True) > 0, pi, default_policy(mdp, rho))


def policy_step(log_policy: Floats, log_target: Floats, share: float) -> Floats:
    """log π' of π' ∝ π^(1 − share) π*^share: a natural-gradient step down KL(π ‖ π*); at share 1 the projection.  (S, A) -> (S, A)

    Forbidden actions, -inf in `log_target`, stay forbidden.
    """
    allowed = np.isfinite(log_target)
    mixed = np.where(allowed, (1 - share) * np.where(allowed, log_policy, 0.0) + share * np.where(allowed, log_target, 0.0), -np.inf)
    mixed -= log_sum_exp(mixed.T)[:, None]
    return np.where(allowed, np.maximum(mixed, FLOOR), -np.inf)


def entropies(log_policy: Floats, log_prior: Floats) -> Floats:
    """−Σ_a π log(π/ρ) in nats: the entropy where ρ = 1, minus the KL from the prior otherwise.  (S, A) -> (S,)"""
    taken = np.isfinite(log_policy)
    ratio = np.where(taken, log_policy, 0.0) - np.where(taken, log_prior, 0.0)
    return -(np.where(taken, np.exp(log_policy), 0.0) * ratio).sum(axis=1)


def decaying(counts: Floats) -> Floats:
    """α = (1 + n/20)^−0.8 at the n-th update of a pair (s,a): Σα = ∞ and Σα² < ∞."""
    return (1 + counts / 20) ** -0.8


@dataclass(frozen=True)
class Learned:
    """What `soft_actor_critic` learned: critics (2, S, A), q their minimum (S, A), policy (S, A) and the temperature η.

    temperatures (U,) and mean_entropies (U,): at each update, the latter over the batch's states.  returns (E,) of the training episodes,
    which ended after episode_ends (E,) steps.  interrupted: fewer `steps` than were asked for.
    """

    critics: Floats
    q: Floats
    policy: Floats
    temperature: float
    temperatures: Floats
    mean_entropies: Floats
    episode_ends: NDArray[np.int64]
    returns: Floats
    steps: int
    interrupted: bool


def soft_actor_critic(
    mdp_or_env: Any,
    *,
    steps: int,
    rng: np.random.Generator,
    temperature: float | None = None,
    target_entropy: float | None = None,
    prior: ArrayLike | None = None,
    discount: float | None = None,
    behavior: float = 0.0,
    step_size: StepSize = decaying,
    policy_step_size: float = 0.1,
    temperature_step_size: float = 0.01,
    averaging: float = 0.1,
    batch: int = 64,
    update_every: int = 4,
    capacity: int = 100_000,
    warm_up: int = 1000,
    start: ArrayLike | None = None,
    episode_steps: int = 10_000,
    progress: bool = True,
) -> Learned:
    """Tabular soft actor–critic from samples, with twin critics, target averages and a learned temperature.

    mdp_or_env       an MDP, of which only samples are used, or a Gymnasium environment with discrete spaces
    rng              numpy.random.Generator: the only source of randomness, of the environment's too
    temperature      None: η is learned, from 1.  A number above 0: fixed, and there is no target_entropy
    target_entropy   H̄: the mean over replayed states of −Σ π log(π/ρ), in nats.  Without a prior this is the entropy, between 0 and log A,
                     default half of log A.  With a prior it is minus the KL from it, at most 0, and must be given
    prior            ρ: None is the counting measure; (A,) or (S, A) rows that sum to 1
    discount         γ, for an environment; an MDP has its own
    behavior         ε: acts by π, but with probability ε uniformly over the allowed actions (so do the `warm_up` first steps)
    step_size        α of the critics: a constant in (0, 1], or a function of how often each pair has been updated (an array)
    policy_step_size, temperature_step_size, averaging    how far π, log η and the target averages move at each update
    batch            transitions for each critic at each update, drawn anew for each: tables that start alike differ by what they see
    update_every     steps in the world between two updates
    capacity         transitions that the replay holds
    start            Q at the start (S, A); default 0
    episode_steps    an episode that has not ended after so many steps is cut off, and V(s') still counts: for worlds that never end
    progress         a progress bar, which shows after 3 seconds

    Ctrl-C returns what was learned, with a warning.  ValueError for arguments out of range.  BadSample (a ValueError) for a reward that is
    not finite: it never enters the tables, and what was learned before it is the error's `learned`.
    """
    world = as_sampler(mdp_or_env, as_generator(rng))
    steps, batch, capacity = as_count("steps", steps), as_count("batch", batch), as_count("capacity", capacity)
    update_every, episode_steps = as_count("update_every", update_every), as_count("episode_steps", episode_steps)
    warm_up = as_count("warm_up", warm_up, 0)
    if batch > capacity:
        raise ValueError(f"batch = {batch}: a replay of capacity {capacity} never stores so many")
    learner = _Learner(world.allowed, prior, _discount(discount, mdp_or_env), start, rng)
    learner.aim(temperature, target_entropy, prior is not None)
    learner.step_size = step_size if callable(step_size) else _constant(as_number("step_size", step_size, 0.0, 1.0, open_low=True))
    learner.policy_step_size = as_number("policy_step_size", policy_step_size, 0.0, 1.0, open_low=True)
    learner.temperature_step_size = as_number("temperature_step_size", temperature_step_size, 0.0, open_low=True)
    learner.averaging = as_number("averaging", averaging, 0.0, 1.0, open_low=True)
    epsilon = as_number("behavior", behavior, 0.0, 1.0)

    ends: list[int] = []
    returns: list[float] = []
    replay = np.zeros((3, min(capacity, steps)), dtype=np.intp)  # pair s*A + a, s', goes on
    rewards = np.zeros(replay.shape[1])
    uniform, even = uniforms(rng), (world.allowed / world.allowed.sum(axis=1, keepdims=True)).tolist()
    taken, state, length, total = 0, world.reset(), 0, 0.0

    def finish() -> Learned:
        return Learned(
            critics=learner.critics.copy(),
            q=learner.critics.min(axis=0),
            policy=learner.policy(),
            temperature=exp(learner.log_temperature),
            temperatures=np.array(learner.temperatures),
            mean_entropies=np.array(learner.mean_entropies),
            episode_ends=np.array(ends, dtype=np.int64),
            returns=np.array(returns, dtype=np.float64),
            steps=taken,
            interrupted=taken < steps,
        )

    try:
        rows = learner.policy().tolist()
        for t in tqdm(range(1, steps + 1), disable=not progress, delay=BAR_DELAY, unit="step", leave=False):
            explores = t <= warm_up or (epsilon > 0 and next(uniform) < epsilon)
            action = draw((even if explores else rows)[state], next(uniform))
            after, reward, terminated, truncated = world.step(action)
            if not isfinite(reward):
                raise BadSample(f"reward = {reward}: not a finite number, at step {t}")
            i = (t - 1) % replay.shape[1]
            replay[:, i], rewards[i] = (state * world.n_actions + action, after, not terminated), reward
            state, length, total, taken = after, length + 1, total + reward, t
            if terminated or truncated or length >= episode_steps:
                ends.append(t)
                returns.append(total)
                state, length, total = world.reset(), 0, 0.0
            stored = min(t, replay.shape[1])
            if t % update_every == 0 and stored >= batch:
                learner.update(replay, rewards, rng.integers(stored, size=(2, batch)))
                rows = learner.policy().tolist()
    except KeyboardInterrupt:
        warnings.warn(f"interrupted after {taken} of {steps} steps; what was learned is returned", stacklevel=2)
    except BadSample as error:
        error.learned = finish()
        raise
    return finish()


class _Learner:
    """The tables and how they move."""

    step_size: Callable[[Floats], Floats]
    policy_step_size: float
    temperature_step_size: float
    averaging: float
    log_temperature: float
    target_entropy: float | None

    def __init__(self, allowed: NDArray[np.bool_], prior: ArrayLike | None, discount: float, start: ArrayLike | None, rng: np.random.Generator):
        self.log_prior = np.zeros(allowed.shape)
        if prior is not None:
            rho = as_distributions("prior", prior, allowed.shape[1:] if np.ndim(prior) == 1 else allowed.shape)
            self.log_prior = log_array(np.broadcast_to(rho, allowed.shape))
        self.allowed, self.discount = allowed & np.isfinite(self.log_prior), discount
        stuck = np.flatnonzero(~self.allowed.any(axis=1))
        if len(stuck):
            raise ValueError(f"state {stuck[0]}: every action is forbidden, by a reward of -inf or a prior of 0")
        first = np.zeros(allowed.shape) if start is None else as_floats("start", start, allowed.shape)
        wrong = np.argwhere(self.allowed & ~np.isfinite(first))
        if len(wrong):
            reject("start", wrong[0], first[tuple(wrong[0])], "must be finite where the action is allowed")
        self.critics = np.stack([np.where(self.allowed, first, -np.inf)] * 2)
        self.averages, self.counts = self.critics.copy(), np.zeros(self.critics.shape)
        unnormalised = np.where(self.allowed, self.log_prior, -np.inf)
        self.log_policy = unnormalised - log_sum_exp(unnormalised.T)[:, None]
        self.temperatures: list[float] = []
        self.mean_entropies: list[float] = []

    def aim(self, temperature: float | None, target: float | None, has_prior: bool) -> None:
        """Take a fixed temperature, or the entropy at which a learned one aims."""
        if temperature is not None:
            if target is not None:
                raise ValueError(f"target_entropy = {target!r}: there is none where temperature = {temperature!r} is fixed")
            self.log_temperature, self.target_entropy = log(as_temperature(temperature)), None
            return
        low = float(np.where(self.allowed, self.log_prior, 0.0).min())
        high = 0.0 if has_prior else log(int(self.allowed.sum(axis=1).max()))
        if target is None and has_prior:
            raise ValueError("target_entropy = None: with a prior it is minus the KL from it, and must be given")
        number = as_number("target_entropy", high / 2 if target is None else target, -np.inf)
        if not low < number < high:
            raise ValueError(f"target_entropy = {number!r}: must lie between {low:.6g} and {high:.6g} nats")
        self.log_temperature, self.target_entropy = 0.0, number

    def policy(self) -> Floats:
        weights = np.exp(self.log_policy)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def update(self, replay: NDArray[np.intp], rewards: Floats, chosen: NDArray[np.intp]) -> None:
        """Critics, policy, temperature, target averages.  `chosen` (2, batch): a batch for each critic."""
        eta, pi, h = exp(self.log_temperature), self.policy(), entropies(self.log_policy, self.log_prior)
        q = np.where(self.allowed, self.averages.min(axis=0), 0.0)
        v = (pi * q).sum(axis=1) + eta * h  # Σ π (Q − η log(π/ρ))
        for critic, counts, index in zip(self.critics, self.counts, chosen, strict=True):
            pair, after, goes_on = replay[:, index]
            self._move(critic.reshape(-1), counts.reshape(-1), pair, rewards[index] + self.discount * goes_on * v[after])
        log_target = np.where(self.allowed, self.log_prior + self.critics.min(axis=0) / eta, -np.inf)
        self.log_policy = policy_step(self.log_policy, log_target, self.policy_step_size)
        mean_entropy = float(h[replay[0, chosen[0]] // self.allowed.shape[1]].mean())
        if self.target_entropy is not None:
            moved = self.log_temperature - self.temperature_step_size * (mean_entropy - self.target_entropy)
            self.log_temperature = min(max(moved, LOG_TEMPERATURE[0]), LOG_TEMPERATURE[1])
        gap = np.where(self.allowed, self.critics, 0.0) - np.where(self.allowed, self.averages, 0.0)
        self.averages += self.averaging * gap
        self.temperatures.append(eta)
        self.mean_entropies.append(mean_entropy)

    def _move(self, q: Floats, counts: Floats, pair: NDArray[np.intp], target: Floats) -> None:
        """Q(s,a) towards the mean target of its n entries in the batch, by the share 1 − (1 − α)^n that n single updates would move it."""
        seen = np.bincount(pair, minlength=len(q))
        where = np.flatnonzero(seen)
        n = seen[where]
        mean = np.bincount(pair, target, minlength=len(q))[where] / n
        counts[where] += n
        rate = np.asarray(self.step_size(counts[where]), dtype=float)
        if not ((rate > 0) & (rate <= 1)).all():
            raise ValueError(f"step_size: gave {rate.min()} to {rate.max()}; must be above 0 and at most 1")
        moved = q[where] + (1 - (1 - rate) ** n) * (mean - q[where])
        if not np.isfinite(moved).all():
            raise ValueError("Q would no longer be finite: it diverges")
        q[where] = moved


def _constant(rate: float) -> Callable[[Floats], Floats]:
    return lambda counts: np.full(counts.shape, rate)


def _discount(discount: float | None, mdp_or_env: Any) -> float:
    if not isinstance(mdp_or_env, MDP):
        return as_number("discount", discount, 0.0, 1.0)
    if discount is not None and discount != mdp_or_env.discount:
        raise ValueError(f"discount = {discount!r}: the MDP has its own, {mdp_or_env.discount:g}")
    return mdp_or_env.discount
