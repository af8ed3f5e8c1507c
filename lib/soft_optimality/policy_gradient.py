"""Floor 4: the gradient of the entropy-regularised objective J(θ) = E[Σ_t γ^{t−1} (r − η log(π/ρ))], maximised (chapter 9).

A policy is given by its logits θ: π(a|s) = exp θ(s,a) / Σ_b exp θ(s,b); -inf forbids an action for good.  One logit for each state and
action, (S, A), or for each step too, (T, S, A), where a horizon T is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from .backups import boltzmann_policy, soft_v
from .mdp import MDP, as_policy, as_prior
from .numerics import Floats, as_count, as_floats, as_number, as_temperature, log
from .objectives import occupancy
from .planning import evaluate_policy
from .sampling import as_generator

BASELINES = ("none", "state value")


def softmax_policy(logits: ArrayLike) -> Floats:
    """π(a|s) = exp θ(s,a) / Σ_b exp θ(s,b).  (..., S, A) -> (..., S, A)"""
    theta = np.asarray(logits, dtype=float)
    if theta.ndim < 2 or np.isnan(theta).any() or (theta == np.inf).any() or (theta.max(axis=-1) == -np.inf).any():
        raise ValueError("logits: expected (S, A) or (T, S, A), finite or -inf, with an allowed action in each row")
    return boltzmann_policy(theta.reshape(-1, theta.shape[-1])).reshape(theta.shape)


def soft_return(mdp: MDP, policy: ArrayLike, temperature: float, *, horizon: int | None = None, prior: ArrayLike | None = None) -> float:
    """J = E[Σ_t γ^{t−1} (r − η log(π/ρ))] from the first state, in units of reward.  policy (S, A), or (T, S, A) with a horizon."""
    v = evaluate_policy(mdp, policy, temperature, prior=prior, horizon=horizon).v
    first = v if horizon is None else v[0]
    return float(mdp.initial[mdp.initial > 0] @ first[mdp.initial > 0])


def policy_gradient(mdp: MDP, logits: ArrayLike, temperature: float, *, horizon: int | None = None, prior: ArrayLike | None = None) -> Floats:
    """∇J exactly: Σ_t γ^{t−1} p(s_t = s) π(a|s) (Q_t − η log(π/ρ) − V_t), eq. spg with all expectations taken.  Shaped like `logits`.

    ValueError for logits of another shape, or γ = 1 without a horizon where the policy may never end.
    """
    eta, rho = as_number("temperature", temperature, 0.0), as_prior(mdp, prior)
    theta, pi = _logits(mdp, logits, horizon)
    plan = evaluate_policy(mdp, pi, eta, prior=rho, horizon=horizon)
    worth = _worth(plan.q, pi, eta, rho) - plan.v[..., None]
    visits = occupancy(mdp, pi, horizon)  # p(s, a)
    if horizon is not None:
        visits = visits * (mdp.discount ** np.arange(horizon))[:, None, None]
    gradient = np.where((visits > 0) & ~mdp.terminal[:, None], visits, 0.0) * np.where(visits > 0, worth, 0.0)
    return gradient.sum(axis=0) if gradient.ndim > theta.ndim else gradient


@dataclass(frozen=True)
class Estimate:
    """A sampled gradient: its mean over episodes, and the standard error of each entry.  Both shaped like the logits."""

    gradient: Floats
    standard_error: Floats
    mean_return: float  # of Σ γ^{t−1} (r − η log(π/ρ)), over the episodes


def sampled_policy_gradient(
    mdp: MDP,
    logits: ArrayLike,
    temperature: float,
    *,
    horizon: int,
    episodes: int,
    rng: np.random.Generator,
    prior: ArrayLike | None = None,
    baseline: str | float = "none",
    reward_to_go: bool = True,
) -> Estimate:
    """∇J from sampled episodes by the score function, eq. spg.

    baseline      "none"; a number, the same at every step; or "state value", the exact V_t of the policy
    reward_to_go  False sums the rewards of all steps for each action, the past ones too: the same mean, more variance
    """
    eta, rho, generator = as_number("temperature", temperature, 0.0), as_prior(mdp, prior), as_generator(rng)
    steps, n = as_count("horizon", horizon), as_count("episodes", episodes)
    theta, pi = _logits(mdp, logits, steps)
    s, a, pay = _episodes(mdp, np.broadcast_to(pi, (steps, *mdp.shape)), eta, rho, n, generator)  # (T, n) each
    weights = (mdp.discount ** np.arange(steps))[:, None]
    total = (weights * pay)[::-1].cumsum(axis=0)[::-1]  # Σ_{t' ≥ t} γ^{t'−1} of what is paid
    mean_return = float(total[0].mean())
    if not reward_to_go:
        total = np.broadcast_to(total[0], total.shape)
    total = total - weights * _baseline(mdp, pi, eta, rho, steps, baseline, s)
    total = np.where(mdp.terminal[s], 0.0, total)  # nothing is chosen there
    # ∇ log π(a_t|s_t) is 1 at (s_t, a_t) less π(·|s_t) at s_t: a row for each episode, added up over its steps
    scores = np.zeros((n, *theta.shape))
    row, policy = np.arange(n), np.broadcast_to(pi, (steps, *mdp.shape))
    for t in range(steps):
        here = scores[:, t] if theta.ndim == 3 else scores
        here[row, s[t], a[t]] += total[t]
        here[row, s[t]] -= total[t][:, None] * policy[t, s[t]]
    error = scores.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(theta.shape, np.inf)
    return Estimate(scores.mean(axis=0), error, mean_return)


@dataclass(frozen=True)
class Ascent:
    """A run of gradient ascent.  objective (K + 1,) is J before the first step and after each; fewer where it was `interrupted`."""

    logits: Floats
    policy: Floats
    objective: Floats
    interrupted: bool


def soft_policy_gradient(
    mdp: MDP,
    temperature: float,
    *,
    horizon: int,
    steps: int,
    episodes: int,
    rng: np.random.Generator,
    step_size: float = 1.0,
    prior: ArrayLike | None = None,
    baseline: str | float = "state value",
    reward_to_go: bool = True,
    logits: ArrayLike | None = None,
    progress: bool = True,
) -> Ascent:
    """Learn a policy by ascending the sampled gradient, from `logits` (0: the uniform policy), with `episodes` new ones for each step.

    Ctrl-C ends it and returns what was learned so far.  Arguments as in `sampled_policy_gradient`.
    """
    rate, count = as_number("step_size", step_size, 0.0, open_low=True), as_count("steps", steps)
    theta = np.zeros(mdp.shape) if logits is None else np.array(logits, dtype=float)
    objective, interrupted = [soft_return(mdp, softmax_policy(theta), temperature, horizon=horizon, prior=prior)], False
    try:
        for _ in tqdm(range(count), disable=not progress, delay=3.0, unit="step", leave=False):
            found = sampled_policy_gradient(
                mdp, theta, temperature, horizon=horizon, episodes=episodes, rng=rng, prior=prior, baseline=baseline, reward_to_go=reward_to_go
            )
            theta = theta + rate * found.gradient
            objective.append(soft_return(mdp, softmax_policy(theta), temperature, horizon=horizon, prior=prior))
    except KeyboardInterrupt:
        interrupted = True
    return Ascent(theta, softmax_policy(theta), np.array(objective), interrupted)


# -- the equivalence with soft Q-learning -------------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    """The three gradients of eq. pg-sql-equivalence with respect to the table Q, each (S, A): q_learning = value − policy."""

    q_learning: Floats  # ∇ E_a[½ (Q − ŷ)²]
    policy: Floats  # η ∇ E_a[ŷ + η H(π)]
    value: Floats  # ∇ ½ (V − V̂)²


def pg_sql_gradients(
    q: ArrayLike, targets: ArrayLike, temperature: float, *, weights: ArrayLike | None = None, prior: ArrayLike | None = None
) -> Gradients:
    """Both sides of eq. pg-sql-equivalence for a table Q with V = η log Σ ρ exp(Q/η) and π = ρ exp((Q − V)/η).

    Held fixed while the gradient is taken: the targets ŷ (S, A), the sampling a ~ π, the weights of the states (S,), and
    V̂ = E_a[ŷ − η log(π/ρ)].  Source: Schulman, Chen & Abbeel 2017.
    """
    table, y, eta = as_floats("q", q, (None, None)), as_floats("targets", targets, (None, None)), as_temperature(temperature)
    if y.shape != table.shape:
        raise ValueError(f"targets has shape {y.shape}, expected {table.shape}")
    rho = None if prior is None else np.broadcast_to(np.asarray(prior, dtype=float), table.shape)
    w = np.ones(len(table)) if weights is None else as_floats("weights", weights, (len(table),))
    v, pi = soft_v(table, eta, rho), boltzmann_policy(table, eta, rho)
    worth = _worth(y, pi, eta, rho)
    v_target = (pi * np.where(pi > 0, worth, 0.0)).sum(axis=1)
    each = w[:, None] * pi
    advantage = np.where(pi > 0, worth, 0.0) - v_target[:, None]
    return Gradients(each * (table - y), each * advantage, each * (v - v_target)[:, None])


def path_residual(mdp: MDP, v: ArrayLike, policy: ArrayLike, temperature: float, actions: ArrayLike, *, prior: ArrayLike | None = None) -> Floats:
    """Eq. path-consistency along a sequence of actions, with true expectations over where they lead, from each first state.  (S,)

    V(s_1) − E[Σ_i γ^i (r − η log(π/ρ)) + γ^n V(s_{n+1})].  0 for the soft optimal V and π whatever the actions, where no terminal state
    is met: after one there is nothing to choose, and nothing is paid.
    """
    eta, rho, pi = as_temperature(temperature), as_prior(mdp, prior), as_policy(mdp, policy, None)
    here = as_floats("v", v, (mdp.n_states,))
    ahead = here
    for action in reversed(_actions(actions, mdp.n_actions)):
        column = _worth(mdp.mean_reward + mdp.discount * mdp.expectation(ahead), pi, eta, rho)[:, action]
        ahead = np.where(mdp.terminal, 0.0, column)
    return here - ahead


# -- small parts --------------------------------------------------------------------------------------------------------------------


def _worth(q: Floats, pi: Floats, eta: float, rho: Floats | None) -> Floats:
    """Q − η log(π/ρ); without the second term at temperature 0."""
    if eta == 0:
        return q
    with np.errstate(invalid="ignore"):
        return q - eta * (log(pi) - (0.0 if rho is None else log(rho)))


def _logits(mdp: MDP, logits: ArrayLike, horizon: int | None) -> tuple[Floats, Floats]:
    theta = np.asarray(logits, dtype=float)
    allowed = (mdp.shape,) if horizon is None else (mdp.shape, (horizon, *mdp.shape))
    if theta.shape not in allowed:
        raise ValueError(f"logits has shape {theta.shape}, expected {' or '.join(map(str, allowed))}")
    return theta, softmax_policy(theta)


def _baseline(mdp: MDP, pi: Floats, eta: float, rho: Floats | None, steps: int, baseline: str | float, s: np.ndarray) -> Floats:
    """b(s_t) for each step and episode.  (T, n)"""
    if isinstance(baseline, str):
        if baseline not in BASELINES:
            raise ValueError(f"baseline = {baseline!r}: must be a number or one of {', '.join(BASELINES)}")
        if baseline == "none":
            return np.zeros(s.shape)
        v = evaluate_policy(mdp, pi, eta, prior=rho, horizon=steps).v
        return np.take_along_axis(v, s, axis=1)
    return np.full(s.shape, as_number("baseline", baseline, -np.inf))


def _episodes(mdp: MDP, pi: Floats, eta: float, rho: Floats | None, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Floats]:
    """n episodes side by side: states, actions, and r − η log(π/ρ) of each step.  (T, n) each"""
    moves, rewards = mdp.dense_transition().cumsum(axis=2), mdp.dense_reward()
    s = np.empty((len(pi), n), dtype=np.intp)
    a, pay = np.empty_like(s), np.empty(s.shape)
    here = _draw(np.broadcast_to(mdp.initial.cumsum(), (n, mdp.n_states)), rng)
    for t, now in enumerate(pi):
        s[t], a[t] = here, _draw(now.cumsum(axis=1)[here], rng)
        after = _draw(moves[here, a[t]], rng)
        bonus = 0.0 if eta == 0 else -eta * (np.log(now[here, a[t]]) - (0.0 if rho is None else log(rho)[here, a[t]]))
        pay[t] = np.where(mdp.terminal[here], 0.0, rewards[here, a[t], after] + bonus)
        here = np.where(mdp.terminal[here], here, after)
    return s, a, pay


def _draw(sums: Floats, rng: np.random.Generator) -> np.ndarray:
    """One index for each row of cumulative sums."""
    return (rng.random(len(sums))[:, None] * sums[:, -1:] >= sums).sum(axis=1)


def _actions(actions: ArrayLike, count: int) -> list[int]:
    array = np.asarray(actions)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "iu" or (array < 0).any() or (array >= count).any():
        raise ValueError(f"actions = {array.tolist()}: expected whole numbers from 0 to {count - 1}, at least one")
    return array.tolist()
