"""Floor 3: planning.  One Bellman operator, (look ahead, choose), for every planner; only the way to its fixed point differs.

With T = horizon the operator is applied T times, from V_{T+1} = 0.  Without a horizon V is the operator's fixed point, and there are
four ways to reach it (`method`):

    "value"     apply the operator again and again
    "modified"  after each application, follow the chosen policy for SWEEPS more steps (modified policy iteration)
    "newton"    after each application, follow the chosen policy for ever: solve (I − γ P_π) d = TV − V.  For the max this is policy
                iteration, for the soft max soft policy iteration, and each is Newton's method on TV = V (eq. newton-quadratic)
    "krylov"    the same, the linear system solved roughly by BiCGStab: what large sparse worlds need

"auto" takes "newton" for small worlds and "krylov" for large ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import ArrayLike

from .backups import boltzmann_policy, expected_q, greedy_policy, hard_v, optimistic_q, posterior_dynamics, soft_v
from .mdp import MDP, as_policy, as_prior, default_policy
from .numerics import Floats, Matrix, NotConverged, as_count, as_number, as_temperature, log

METHODS = ("auto", "value", "modified", "newton", "krylov")
SWEEPS = 20  # of a policy between two improvements
SMALL = {True: 400, False: 1500}  # states up to which a direct solve wins; by whether the dynamics are sparse
LIMITS = {"value": 1_000_000, "modified": 100_000, "newton": 1000, "krylov": 1000}  # on iterations
WARM_UP = 3  # plain applications before the first policy is followed: a better guess saves policies
PAUSE = 16  # "krylov": applications of the operator for one policy that is followed, as sixteen products are cheaper than a system
EPSILON = np.finfo(np.float64).eps
LARGE = 30_000  # states up to which a direct solve of a sparse system is still quick
ROUGH, FINE = 1e-2, 1e-6  # relative error left in a Newton step: the next one mends it, or where the last one misled, hardly any


@dataclass(frozen=True)
class Plan:
    """What a planner found.  With a horizon T each array has a leading axis of length T; without one it has none.

    q           (S, A) or (T, S, A), in units of reward; -inf for what is forbidden
    v           (S,) or (T, S); 0 at terminal states; -inf where every way on is forbidden
    policy      like q, rows sum to 1.  At a terminal state, and where V = -inf, there is nothing to choose: the row is the prior
    iterations  applications of the Bellman operator
    residual    ‖TV − V‖∞ at the last of them; 0 with a horizon
    """

    q: Floats
    v: Floats
    policy: Floats
    iterations: int
    residual: float


def value_iteration(
    mdp: MDP, *, horizon: int | None = None, tolerance: float = 1e-8, method: str = "auto", max_iterations: int | None = None
) -> Plan:
    """Hard (standard) planning: Q = E[r + γV], V = max_a Q.

    tolerance bounds ‖V − V*‖∞, down to the rounding of float64.  γ = 1 without a horizon needs a terminal state within reach of
    every state.  Raises NotConverged where the tolerance is not reached, ValueError for arguments out of range.
    """
    greedy = greedy_policy if horizon is not None or mdp.discount < 1 else lambda q: _greedy_that_ends(mdp, q)
    planner = _Planner(mdp, lambda v: expected_q(mdp, v), hard_v, greedy)
    return _plan(planner, horizon, tolerance, method, max_iterations)


def soft_value_iteration(
    mdp: MDP,
    temperature: float = 1.0,
    *,
    prior: ArrayLike | None = None,
    horizon: int | None = None,
    tolerance: float = 1e-8,
    method: str = "auto",
    max_iterations: int | None = None,
) -> Plan:
    """Variational (maximum-entropy) planning: Q = E[r + γV], V = η log Σ_a ρ exp(Q/η); eqs. variational-q, soft-v.

    prior: None is the counting measure; (A,) or (S, A) rows that sum to 1.  Otherwise as `value_iteration`.
    """
    eta, rho = as_temperature(temperature), as_prior(mdp, prior)
    planner = _Planner(mdp, lambda v: expected_q(mdp, v), lambda q: soft_v(q, eta, rho), lambda q: boltzmann_policy(q, eta, rho), rho, eta)
    return _plan(planner, horizon, tolerance, method, max_iterations)


def optimistic_value_iteration(
    mdp: MDP,
    temperature: float = 1.0,
    *,
    prior: ArrayLike | None = None,
    horizon: int | None = None,
    tolerance: float = 1e-8,
    method: str = "auto",
    max_iterations: int | None = None,
) -> Plan:
    """The posterior's planning: Q = η log E[exp((r + γV)/η)], V = η log Σ_a ρ exp(Q/η); eqs. optimistic-q, soft-v.

    With a horizon and γ = 1 this is the exact posterior, Q = η log β(s,a).  Otherwise as `soft_value_iteration`.
    """
    eta, rho = as_temperature(temperature), as_prior(mdp, prior)
    planner = _Planner(
        mdp, lambda v: optimistic_q(mdp, v, eta), lambda q: soft_v(q, eta, rho), lambda q: boltzmann_policy(q, eta, rho), rho, eta, optimistic=True
    )
    return _plan(planner, horizon, tolerance, method, max_iterations)


def evaluate_policy(mdp: MDP, policy: ArrayLike, temperature: float = 0.0, *, prior: ArrayLike | None = None, horizon: int | None = None) -> Plan:
    """(Soft) policy evaluation: Q = E[r + γV], V = Σ_a π (Q − η log(π/ρ)); at temperature 0 the return alone.

    policy (S, A), or (T, S, A) with a horizon.  γ = 1 without a horizon only where the policy ends for certain from every state,
    else ValueError.
    """
    eta, rho = as_number("temperature", temperature, 0.0), as_prior(mdp, prior)
    steps = None if horizon is None else as_count("horizon", horizon)
    pi = as_policy(mdp, policy, steps)
    if steps is None:
        v = policy_value(mdp, pi, eta, rho, np.ones(mdp.n_states, dtype=bool))
        q = expected_q(mdp, v)
        return Plan(q, v, pi, 1, float(np.abs(_change(_mean_over_actions(mdp, q, pi, eta, rho), v)).max()))
    q, v = np.empty((steps, mdp.n_actions, mdp.n_states)), np.empty((steps, mdp.n_states))
    pi = np.broadcast_to(pi, (steps, *mdp.shape))
    after = np.zeros(mdp.n_states)
    for t in reversed(range(steps)):
        here = expected_q(mdp, after)
        q[t] = here.T
        after = v[t] = _mean_over_actions(mdp, here, pi[t], eta, rho)
    return Plan(q.swapaxes(1, 2), v, pi, steps, 0.0)


# -- policies as linear systems -----------------------------------------------------------------------------------------------------


def policy_dynamics(mdp: MDP, policy: Floats, operator: Matrix | None = None) -> Matrix:
    """P_π(s'|s) = Σ_a π(a|s) p(s'|s,a), with zero rows at terminal states.  (S, S), dense or CSR like the dynamics."""
    operator = mdp.operator if operator is None else operator
    weights = np.where(mdp.terminal[:, None], 0.0, policy)
    if isinstance(operator, np.ndarray):
        return np.einsum("sa,ast->st", weights, operator.reshape(mdp.n_actions, mdp.n_states, -1))
    states, actions = np.nonzero(weights)
    starts = np.searchsorted(states, np.arange(mdp.n_states + 1))
    choose = sp.csr_array((weights[states, actions], actions * mdp.n_states + states, starts), shape=(mdp.n_states, operator.shape[0]))
    return choose @ operator


def policy_reward(mdp: MDP, policy: Floats, temperature: float = 0.0, prior: Floats | None = None) -> Floats:
    """Σ_a π (r − η log(π/ρ)): what one step of the policy pays, its entropy bonus included; 0 at terminal states.  (S,)"""
    return _mean_over_actions(mdp, mdp.mean_reward, policy, temperature, prior)


def _mean_over_actions(mdp: MDP, q: Floats, policy: Floats, temperature: float, prior: Floats | None) -> Floats:
    taken = policy > 0
    gain = np.where(taken, q, 0.0)
    if temperature:
        gain -= temperature * np.where(taken, log(np.where(taken, policy, 1.0)), 0.0)
        if prior is not None:
            gain += temperature * np.where(taken, log(prior), 0.0)
    mean = (np.where(taken, policy, 0.0) * gain).T.sum(axis=0)
    return np.where(mdp.terminal, 0.0, mean)


def policy_value(mdp: MDP, policy: Floats, temperature: float, prior: Floats | None, wanted: np.ndarray) -> Floats:
    """V_π of the `wanted` states and of all that they lead to: the solution of V = r_π + γ P_π V.  0 elsewhere.  (S,)"""
    dynamics, reward = policy_dynamics(mdp, policy), policy_reward(mdp, policy, temperature, prior)
    asked = reachable(dynamics, wanted)
    lost = np.isneginf(reward) & asked
    if mdp.discount > 0:
        lost = reachable(dynamics.T, lost) & asked
    rest = asked & ~lost
    check_ending(mdp, dynamics, rest)
    v = np.zeros(mdp.n_states)
    v[rest] = solve(mdp.discount * dynamics[rest][:, rest], reward[rest])
    if np.isnan(v).any():
        raise ValueError("discount = 1 without a horizon: the policy ends with a probability too small for float64; give a horizon")
    v[lost] = -np.inf
    return v


def reachable(dynamics: Matrix, start: np.ndarray) -> np.ndarray:
    """The states that can be reached from `start`, itself included.  (S,) bool -> (S,) bool"""
    steps = sp.csr_array(dynamics) if sp.issparse(dynamics) else dynamics
    seen, front = start.copy(), start
    while front.any():
        front = (front.astype(float) @ steps > 0) & ~seen
        seen |= front
    return seen


def check_ending(mdp: MDP, dynamics: Matrix, states: np.ndarray) -> None:
    """ValueError where γ = 1 and one of `states` never reaches a terminal state: its sum has no last term."""
    if mdp.discount == 1:
        endless = states & ~reachable(dynamics.T, mdp.terminal)
        if endless.any():
            raise ValueError(f"discount = 1 without a horizon: the policy never ends from state {np.flatnonzero(endless)[0]}; give a horizon")


def solve(discounted: Matrix, right: Floats) -> Floats:
    """x = right + discounted @ x, directly; NaN where the system is singular to float64: a chain that ends, but hardly ever."""
    if len(right) == 0:
        return right
    try:
        if isinstance(discounted, np.ndarray):
            return np.asarray(np.linalg.solve(np.eye(len(right)) - discounted, right), dtype=np.float64)
        return spla.splu(sp.csc_array(sp.eye_array(len(right)) - discounted)).solve(right)
    except (np.linalg.LinAlgError, RuntimeError):
        return np.full(len(right), np.nan)


def solve_roughly(discounted: Matrix, right: Floats, accuracy: float) -> Floats:
    """The same by BiCGStab, up to a relative error; directly where BiCGStab breaks down."""
    system = spla.LinearOperator(discounted.shape, matvec=lambda x: x - discounted @ x, dtype=np.float64)
    x, failed = spla.bicgstab(system, right, rtol=accuracy, maxiter=1000)
    return solve(discounted, right) if failed else x


# -- the way to the fixed point -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Planner:
    mdp: MDP
    look_ahead: Callable[[Floats], Floats]
    choose: Callable[[Floats], Floats]  # V from Q
    follow: Callable[[Floats], Floats]  # the policy from Q
    prior: Floats | None = None
    temperature: float = 0.0
    optimistic: bool = False

    def settled(self, policy: Floats, v: Floats) -> Floats:
        """The policy with the prior where there is nothing to choose.  (..., S, A), (..., S) -> (..., S, A)"""
        idle = self.mdp.terminal | (v == -np.inf)
        if idle.any():
            policy[idle] = np.broadcast_to(default_policy(self.mdp, self.prior), policy.shape)[idle]
        return policy

    def linearised(self, q: Floats, v: Floats) -> Matrix:
        """γ P_π: the derivative of the Bellman operator at V.  An optimist's P is the bent one."""
        operator = posterior_dynamics(self.mdp, v, self.temperature) if self.optimistic else self.mdp.operator
        return policy_dynamics(self.mdp, self.follow(q), operator) * self.mdp.discount

    def doomed(self) -> np.ndarray:
        """States with V = -inf: each allowed action may (for an optimist: must) lead where none is allowed."""
        v = np.zeros(self.mdp.n_states)
        while True:
            lost = np.isneginf(self.choose(self.look_ahead(v))) & ~self.mdp.terminal
            if not (lost & ~np.isneginf(v)).any():
                return lost
            v[lost] = -np.inf


def _plan(planner: _Planner, horizon: int | None, tolerance: float, method: str, max_iterations: int | None) -> Plan:
    tolerance = as_number("tolerance", tolerance, 0.0, open_low=True)
    if method not in METHODS:
        raise ValueError(f"method = {method!r}: must be one of {', '.join(METHODS)}")
    if horizon is not None:
        return _backward(planner, as_count("horizon", horizon))
    limit = None if max_iterations is None else as_count("max_iterations", max_iterations)
    return _fixed_point(planner, tolerance, method, limit)


def _backward(planner: _Planner, horizon: int) -> Plan:
    """T applications of the Bellman operator, the last step first."""
    mdp = planner.mdp
    states, actions = mdp.shape
    q, v = np.empty((horizon, actions, states)).swapaxes(1, 2), np.empty((horizon, states))
    after, ends = np.zeros(states), mdp.terminal.any()
    for t in reversed(range(horizon)):
        q[t] = here = planner.look_ahead(after)
        after = planner.choose(here)
        if ends:
            after[mdp.terminal] = 0.0
        v[t] = after
    return Plan(q, v, planner.settled(planner.follow(q), v), horizon, 0.0)


def _greedy_that_ends(mdp: MDP, q: Floats) -> Floats:
    """The greedy policy; where it would go round for ever among equals, one of the equals that leads on instead.

    Where nothing is discounted and going on costs nothing, all actions of a loop may be as good as the way out of it, while the loop
    itself earns nothing.
    """
    policy = greedy_policy(q)
    if _always_ends(mdp, policy_dynamics(mdp, policy)):
        return policy
    best = hard_v(q)
    slack = 1e-11 * np.abs(np.where(np.isfinite(best), best, 0.0)).max()
    equals, ends = best - slack <= q.T, mdp.terminal
    while True:  # one step further from the end in each round
        leads_on = equals & ((mdp.operator @ ends.astype(float)).reshape(equals.shape) > 0)
        new = leads_on.any(axis=0) & ~ends
        if not new.any():
            return policy
        policy[new] = 0.0
        policy[new, leads_on.argmax(axis=0)[new]] = 1.0
        ends = ends | new


def _fixed_point(planner: _Planner, tolerance: float, method: str, limit: int | None) -> Plan:
    """V = TV.  Every method corrects V by some solution d of (I − γP_π) d = TV − V; they differ in how exactly they solve it."""
    mdp = planner.mdp
    if method == "auto":
        method = _fastest(mdp)
    limit = LIMITS[method] if limit is None else limit
    doomed = planner.doomed()
    v = np.where(doomed, -np.inf, 0.0)
    if mdp.discount == 1:
        _check_an_end_within_reach(planner, v)
    residual = np.inf
    for iteration in range(1, limit + 1):
        q = planner.look_ahead(v)
        after = planner.choose(q)
        after[mdp.terminal] = 0.0
        change = _change(after, v)
        before, residual = residual, float(np.abs(change).max())
        if not np.isfinite(residual):
            break
        rounding = 8 * EPSILON * (np.abs(np.where(doomed, 0.0, after)).max() + planner.optimistic * planner.temperature)
        if residual <= max(tolerance, rounding):
            ahead = _steps_ahead(planner, q, v)
            if ahead < np.inf and (residual <= rounding or residual * ahead <= tolerance):
                return Plan(q, after, planner.settled(planner.follow(q), after), iteration, residual)
        if method == "value" or iteration <= WARM_UP or (method == "krylov" and iteration % PAUSE):
            v = after
        else:
            v = v + _correction(planner, q, v, change, method, ROUGH if residual <= before else FINE)
    raise NotConverged(
        f"‖TV − V‖ = {residual:.3g} after {iteration} iterations ({method}): tolerance = {tolerance:g} was not reached",
        residual=residual,
        iterations=iteration,
    )


def _change(after: Floats, before: Floats) -> Floats:
    """TV − V, and 0 where V = -inf for good."""
    return np.subtract(after, before, out=np.zeros_like(before), where=np.isfinite(before))


def _fastest(mdp: MDP) -> str:
    if mdp.n_states <= SMALL[sp.issparse(mdp.operator)]:
        return "newton"
    if mdp.discount < 1:
        return "krylov"
    # where nothing is discounted, the error that a rough solve leaves may be large enough to mislead the next policy
    return "newton" if mdp.n_states <= LARGE else "modified"


def _correction(planner: _Planner, q: Floats, v: Floats, change: Floats, method: str, accuracy: float) -> Floats:
    """d with (I − γP_π) d = TV − V: by SWEEPS terms of its Neumann series, exactly, or to an accuracy by BiCGStab."""
    dynamics = planner.linearised(q, v)
    if method != "modified" and (planner.mdp.discount < 1 or _always_ends(planner.mdp, dynamics)):
        d = solve(dynamics, change) if method == "newton" else solve_roughly(dynamics, change, accuracy)
        if np.isfinite(d).all():
            return d
    d = change
    for _ in range(SWEEPS):
        d = change + dynamics @ d
    return d


def _steps_ahead(planner: _Planner, q: Floats, v: Floats) -> float:
    """What one unit of residual may amount to in V: γ/(1 − γ), or where γ = 1 the longest expected way to the end.

    inf where that way has no end.  An optimist whose messages diverge shows so here: its bent dynamics would take −n steps.
    """
    mdp = planner.mdp
    if mdp.discount < 1:
        return mdp.discount / (1 - mdp.discount)
    dynamics = planner.linearised(q, v)
    if not _always_ends(mdp, dynamics):
        return np.inf
    steps = solve(dynamics, np.ones(mdp.n_states))
    return float(steps.max()) if (steps > 0).all() else np.inf


def _always_ends(mdp: MDP, dynamics: Matrix) -> bool:
    """From every state that has a way on, the chain reaches a terminal state."""
    going = np.asarray(dynamics.sum(axis=1)) > 0
    return bool(reachable(dynamics.T, mdp.terminal)[going].all())


def _check_an_end_within_reach(planner: _Planner, v: Floats) -> None:
    mdp = planner.mdp
    allowed = np.isfinite(planner.look_ahead(v))
    anywhere = policy_dynamics(mdp, allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1))
    stuck = ~reachable(anywhere.T, mdp.terminal) & ~np.isneginf(v)
    if stuck.any():
        raise ValueError(
            f"discount = 1 without a horizon: no terminal state can be reached from state {np.flatnonzero(stuck)[0]}; "
            "give a horizon, a discount below 1, or a way to end"
        )
