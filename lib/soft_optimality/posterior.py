"""Floor 3: the trajectory posterior p(τ|O), by messages.

The backward messages are the optimistic planner's values in nats, log β = V/η; the forward message and the posterior's states follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from .backups import posterior_dynamics
from .mdp import MDP, as_prior
from .numerics import Floats, LogMatrix, as_count, as_temperature, log, log_sum_exp
from .planning import Plan, optimistic_value_iteration


@dataclass(frozen=True)
class Posterior:
    """p(τ | O_{1:T} = 1), eq. trajectory-posterior, by its parts.  Messages and evidence in nats.

    log_evidence     log p(O_{1:T})
    policy           (T, S, A) p(a_t | s_t, O_{1:T}), eq. posterior-policy
    states           (T, S) p(s_t | O_{1:T}), eq. posterior-state
    log_backward_sa  (T, S, A) log β_t(s, a), eq. backward-sa
    log_backward_s   (T, S) log β_t(s), eq. backward-s
    log_forward      (T, S) log α_t(s) = log p(s_t | O_{1:t−1}), eq. forward, normalised
    dynamics         (T−1, S, A, S) p(s_{t+1} | s_t, a_t, O_{1:T}), eq. posterior-dynamics; computed when asked for

    At a terminal state, and where O cannot be kept up (log β = -inf), the policy's row is the prior and the dynamics' the true one.
    """

    log_evidence: float
    policy: Floats
    states: Floats
    log_backward_sa: Floats
    log_backward_s: Floats
    log_forward: Floats
    mdp: MDP
    temperature: float

    @property
    def dynamics(self) -> Floats:
        steps = [self.dynamics_at(t) for t in range(len(self.states) - 1)]
        return np.array(steps).reshape(len(steps), *self.mdp.shape, self.mdp.n_states)

    def dynamics_at(self, t: int) -> Floats:
        """dynamics[t] alone.  (S, A, S)"""
        bent = posterior_dynamics(self.mdp, self.temperature * self.log_backward_s[t + 1], self.temperature)
        dense = bent.toarray() if sp.issparse(bent) else bent
        dense = dense.reshape(self.mdp.n_actions, self.mdp.n_states, -1).swapaxes(0, 1)
        lost = np.isneginf(self.log_backward_s[t])[:, None] | np.isneginf(self.log_backward_sa[t])
        return np.where(lost[:, :, None], self.mdp.dense_transition(), dense) if lost.any() else dense


def condition_on_optimality(mdp: MDP, horizon: int, temperature: float = 1.0, *, prior: ArrayLike | None = None) -> Posterior:
    """Inference in the model of chapter 2: condition trajectories of T steps on O_1 = … = O_T = 1, where p(O_t=1|s,a) = exp(r/η).

    prior: None is the counting measure; (A,) or (S, A) rows that sum to 1.  Raises ValueError where γ < 1, where p(O) = 0, and for
    arguments out of range.  Source: Levine 2018, section 2.
    """
    eta, rho, steps = as_temperature(temperature), as_prior(mdp, prior), as_count("horizon", horizon)
    require_no_discount(mdp)
    plan = optimistic_value_iteration(mdp, eta, prior=rho, horizon=steps)
    first = log(mdp.initial) + plan.v[0] / eta
    log_evidence = float(log_sum_exp(first))
    if log_evidence == -np.inf:
        raise ValueError(f"reward: p(O) = 0, no trajectory of horizon = {steps} steps from `initial` keeps up O")
    return Posterior(
        log_evidence=log_evidence,
        policy=plan.policy,
        states=_states(mdp, plan, eta, np.exp(first - log_evidence)),
        log_backward_sa=plan.q / eta,
        log_backward_s=plan.v / eta,
        log_forward=_forward(mdp, steps, eta, rho),
        mdp=mdp,
        temperature=eta,
    )


def require_no_discount(mdp: MDP) -> None:
    """The trajectory posterior is one of γ = 1."""
    if mdp.discount != 1:
        raise ValueError(
            f"discount = {mdp.discount:g}: the posterior over trajectories needs discount = 1.  A discount as a chance 1 − γ to end is a "
            "different posterior (chapter 7)"
        )


def _backwards(mdp: MDP, eta: float) -> LogMatrix:
    """p(s'|s,a) exp(r(s,a,s')/η) with a row for each s' and a column for each (a, s): what may have led here."""
    entries = mdp.log_kernel(eta).log_entries
    return LogMatrix(entries.T.tocsr() if sp.issparse(entries) else np.ascontiguousarray(entries.T))


def _states(mdp: MDP, plan: Plan, eta: float, first: Floats) -> Floats:
    """p(s_t | O): walk forward by the posterior's own policy and dynamics, p(s'|s,a,O) = p(s'|s,a) exp(V(s')/η) / Σ of the same."""
    kernel, backwards = mdp.log_kernel(eta), _backwards(mdp, eta)
    states = np.empty(plan.v.shape)
    states[0] = first
    for t in range(1, len(states)):
        ahead = (plan.v[t] - plan.v[t].max()) / eta  # from the best state: at a cold temperature V/η alone would be too coarse
        taken = (states[t - 1] * plan.policy[t - 1].T).ravel()
        flow = np.subtract(log(taken), kernel.matvec(ahead), out=np.full(taken.shape, -np.inf), where=taken > 0)
        states[t] = np.exp(ahead + backwards.matvec(flow))
        states[t] /= states[t].sum()
    return states


def _forward(mdp: MDP, horizon: int, eta: float, rho: Floats | None) -> Floats:
    """α_1 = p(s_1), α_{t+1}(s') ∝ Σ_{s,a} α_t(s) ρ(a|s) exp(r/η) p(s'|s,a), in logarithms.  (T, S)"""
    backwards = _backwards(mdp, eta)
    weight = np.zeros((mdp.n_actions, mdp.n_states)) if rho is None else log(rho.T)
    if mdp.landing_reward is None:
        weight = weight + mdp.mean_reward.T / eta
    if mdp.terminal.any():  # one way to stay, whatever the measure
        weight = np.where(mdp.terminal, -np.log(mdp.n_actions), weight)
    forward = np.empty((horizon, mdp.n_states))
    forward[0] = log(mdp.initial)
    for t in range(1, horizon):
        ahead = backwards.matvec((forward[t - 1] + weight).ravel())
        forward[t] = ahead - log_sum_exp(ahead)
    return forward
