"""Floor 3: what a policy is worth: its return, its ELBO, its distance from the posterior, and where it goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .backups import expected_q, optimistic_q
from .mdp import MDP, as_policy, as_prior
from .numerics import Floats, as_count, as_temperature, log
from .planning import check_ending, evaluate_policy, policy_dynamics, policy_value, reachable, solve
from .posterior import condition_on_optimality, require_no_discount


def expected_return(mdp: MDP, policy: ArrayLike, horizon: int | None = None) -> float:
    """E[Σ_t γ^{t−1} r_t] from the first state, in units of reward.

    policy (S, A), or (T, S, A) with a horizon.  γ = 1 without a horizon only where termination is certain, else ValueError.
    """
    if horizon is not None:
        return _mean(mdp.initial, evaluate_policy(mdp, policy, horizon=horizon).v[0])
    pi = as_policy(mdp, policy, None)
    return _mean(mdp.initial, policy_value(mdp, pi, 0.0, None, mdp.initial > 0))


def elbo(mdp: MDP, policy: ArrayLike, horizon: int, temperature: float = 1.0, *, prior: ArrayLike | None = None) -> float:
    """E_q[Σ_t r/η − log π(a|s) (+ log ρ)], eq. elbo: a lower bound on log p(O), in nats; -inf where q does what is forbidden.

    policy (S, A) or (T, S, A).  ValueError where γ < 1.
    """
    eta = as_temperature(temperature)
    require_no_discount(mdp)
    steps = as_count("horizon", horizon)
    return _mean(mdp.initial, evaluate_policy(mdp, policy, eta, prior=prior, horizon=steps).v[0]) / eta


def posterior_kl(mdp: MDP, policy: ArrayLike, horizon: int, temperature: float = 1.0, *, prior: ArrayLike | None = None) -> float:
    """KL(q(τ) ‖ p(τ|O)) in nats, by eq. gap-decomposition: the luck assumed in s_1 and in each transition, and the policies' distance.

    inf where q goes where the posterior does not.  policy (S, A) or (T, S, A).  ValueError where γ < 1 or p(O) = 0.
    """
    eta, rho, steps = as_temperature(temperature), as_prior(mdp, prior), as_count("horizon", horizon)
    posterior = condition_on_optimality(mdp, steps, eta, prior=rho)
    pi = np.broadcast_to(as_policy(mdp, policy, steps), (steps, *mdp.shape))
    visits = occupancy(mdp, pi, steps)
    # the posterior's own probabilities may be too small for float64 where their logarithms are not
    gap = posterior.log_evidence - _mean(mdp.initial, posterior.log_backward_s[0])
    log_rho = np.zeros(mdp.shape) if rho is None else log(rho)
    v = np.vstack([eta * posterior.log_backward_s, np.zeros(mdp.n_states)])
    for t in range(steps):
        live = np.where(mdp.terminal[:, None], 0.0, visits[t])
        if (live.sum(axis=1) * np.isneginf(v[t]) > 0).any():
            return np.inf
        taken = live > 0
        chosen = log_rho + posterior.log_backward_sa[t]
        with np.errstate(divide="ignore", invalid="ignore"):  # both are used only where an action is taken
            luck = (optimistic_q(mdp, v[t + 1], eta) - expected_q(mdp, v[t + 1])) / eta
            choice = np.log(pi[t]) - chosen + posterior.log_backward_s[t][:, None]
            gap += np.where(taken, live * np.where(chosen > -np.inf, luck + choice, np.inf), 0.0).sum()
    return float(gap)


def occupancy(mdp: MDP, policy: ArrayLike, horizon: int | None = None) -> Floats:
    """Where a policy goes: p(s_t, a_t) for each step, (T, S, A), each step summing to 1; without a horizon Σ_t γ^{t−1} p, (S, A).

    A terminal state keeps whoever arrives.  γ = 1 without a horizon only where termination is certain, else ValueError; time spent in
    terminal states, which never ends, is then not counted.
    """
    if horizon is not None:
        steps = as_count("horizon", horizon)
        pi = np.broadcast_to(as_policy(mdp, policy, steps), (steps, *mdp.shape))
        visits = np.empty((steps, *mdp.shape))
        states = mdp.initial
        for t in range(steps):
            visits[t] = states[:, None] * pi[t]
            states = visits[t].T.ravel() @ mdp.operator
        return visits
    pi = as_policy(mdp, policy, None)
    dynamics = policy_dynamics(mdp, pi)
    seen = reachable(dynamics, mdp.initial > 0)
    check_ending(mdp, dynamics, seen)
    states = np.zeros(mdp.n_states)
    states[seen] = solve(mdp.discount * dynamics[seen][:, seen].T, mdp.initial[seen])
    states[mdp.terminal] *= 1 / (1 - mdp.discount) if mdp.discount < 1 else 0.0  # an arrival stays
    return states[:, None] * pi


def _mean(weights: Floats, values: Floats) -> float:
    """Σ w v where w > 0: what is impossible does not count, not even at -inf."""
    possible = weights > 0
    return float(weights[possible] @ values[possible])
