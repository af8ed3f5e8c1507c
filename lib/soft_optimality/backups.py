"""Floor 2: the whole subject in four short functions: two ways to look ahead, two ways to choose.

                          choose the best: hard_v        choose softly: soft_v
    look ahead by E       value iteration                soft value iteration  (chapter 7)
    by η log E exp        exponential utility            the posterior         (chapters 2 to 4)

Q and V are in units of reward.  Q(s,a) does not contain the entropy of the action a itself; V(s) does.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .mdp import MDP
from .numerics import LOWEST, Floats, Matrix, log


def expected_q(mdp: MDP, v: Floats) -> Floats:
    """Q(s,a) = E_{s'}[r + γ v(s')]: the look-ahead of planning, eq. variational-q.  (S,) -> (S, A)"""
    if mdp.discount == 0:  # not 0 · (-inf): with no future, no future is lost
        return mdp.mean_reward.copy(order="K")
    q = mdp.expectation(v)
    q *= mdp.discount
    q += mdp.mean_reward
    return q


def optimistic_q(mdp: MDP, v: Floats, temperature: float) -> Floats:
    """Q(s,a) = η log E_{s'}[exp((r + γ v(s'))/η)]: the posterior's look-ahead, eq. optimistic-q.  (S,) -> (S, A)"""
    ahead = np.zeros_like(v) if mdp.discount == 0 else v * (mdp.discount / temperature)
    q = temperature * mdp.log_kernel(temperature).matvec(ahead).reshape(mdp.n_actions, mdp.n_states).T
    return q if mdp.landing_reward is not None else q + mdp.mean_reward


def hard_v(q: Floats) -> Floats:
    """V(s) = max_a Q(s,a).  (..., S, A) -> (..., S)"""
    return q.T.max(axis=0).T


def soft_v(q: Floats, temperature: float = 1.0, prior: Floats | None = None) -> Floats:
    """V(s) = η log Σ_a ρ(a|s) exp(Q(s,a)/η), with ρ = 1 (the counting measure) where `prior` is None; eq. soft-v.  (..., S, A) -> (..., S)

    When it is so hot that all Q/η nearly agree, the weighed sum is 1 plus very little, and its logarithm must not be computed by first
    adding the 1.
    """
    best, scaled, weight = _below_the_best(q, temperature, prior)
    if weight is None:
        v = log(np.exp(scaled, out=scaled).sum(axis=0))
    elif scaled.min() > -0.1:
        v = np.log1p((weight * np.expm1(scaled)).sum(axis=0))
    else:
        v = log((weight * np.exp(scaled)).sum(axis=0))
    v *= temperature
    v += best
    return v.T


def greedy_policy(q: Floats) -> Floats:
    """All probability on argmax_a Q(s,a), the lowest index among equals.  (..., S, A) -> (..., S, A)"""
    policy = np.zeros(q.T.shape)
    np.put_along_axis(policy, q.T.argmax(axis=0)[None], 1.0, axis=0)
    return policy.T


def boltzmann_policy(q: Floats, temperature: float = 1.0, prior: Floats | None = None) -> Floats:
    """π(a|s) = ρ(a|s) exp((Q(s,a) − V(s))/η), eq. boltzmann-policy; a row of zeros where V(s) = -inf.  (..., S, A) -> (..., S, A)"""
    _, policy, weight = _below_the_best(q, temperature, prior)
    np.exp(policy, out=policy)
    if weight is not None:
        policy *= weight
    total = policy.sum(axis=0)
    return np.divide(policy, total, out=policy, where=total > 0).T


def _below_the_best(q: Floats, temperature: float, prior: Floats | None) -> tuple[Floats, Floats, Floats | None]:
    """max_a Q over the allowed actions, (Q − max Q)/η, and ρ; the actions on the leading axis.  (..., S, A) -> (S, ...), (A, S, ...), (A, S, ...)

    The best is subtracted before the division: at a cold temperature the rounding of Q/η would be large.
    """
    weight = None if prior is None else (prior if prior.ndim == q.ndim else np.broadcast_to(prior, q.shape)).T
    allowed = q.T if weight is None else np.where(weight > 0, q.T, -np.inf)
    best = np.maximum(allowed.max(axis=0), LOWEST)
    scaled = allowed - best
    scaled /= temperature
    return best, scaled, weight


def posterior_dynamics(mdp: MDP, v: Floats, temperature: float) -> Matrix:
    """p(s'|s,a,O) ∝ p(s'|s,a) exp((r + γ v(s'))/η), eq. posterior-dynamics: the dynamics bent towards luck.

    A matrix like `mdp.operator`, rows a*S + s.  A row from which O cannot be kept up stays as it is.
    """
    bent = mdp.log_kernel(temperature).condition(v * (mdp.discount / temperature) if mdp.discount else np.zeros_like(v))
    lost = np.asarray(bent.sum(axis=1)) == 0
    if not lost.any():
        return bent
    if isinstance(bent, np.ndarray):
        return np.where(lost[:, None], mdp.operator, bent)
    return sp.csr_array((np.where(np.repeat(lost, np.diff(bent.indptr)), mdp.operator.data, bent.data), bent.indices, bent.indptr), bent.shape)
