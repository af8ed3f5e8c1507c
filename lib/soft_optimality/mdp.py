"""Floor 1: the Markov decision process, and the one operator that every look-ahead is made of.

S states, A actions.  A transition may be a dense (S, A, S) array or a scipy.sparse matrix (S*A, S) whose row s*A + a is p(·|s, a);
the same calls serve both.  Inside, the dynamics are ONE matrix with rows in action-major order (row a*S + s), so that a single
product `operator @ v` looks ahead from every state and action at once, and so that the choice among actions reduces over a leading
axis, which NumPy does many times faster.  Arrays come out with shape (S, A) all the same: as transposed views of (A, S) memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from .numerics import Floats, LogMatrix, Matrix, as_distributions, as_floats, as_number, check_probabilities, check_sums, log, reject


@dataclass(frozen=True, eq=False)
class MDP:
    """A finite Markov decision process (Puterman 1994): dynamics p(s'|s,a), reward r, first state p(s₁), discount γ, terminal states.

    transition  (S, A, S) array, or scipy.sparse (S*A, S) with row s*A + a
    reward      (S, A), where -inf forbids an action; or (S, A, S), or scipy.sparse (S*A, S) on the transition's pattern, where the
                reward depends on the state one lands in
    initial     (S,), default uniform
    discount    γ in [0, 1]
    terminal    (S,) bool, default none: there the episode is over.  V = 0 and β = 1; no reward, no entropy.  The rows of a terminal
                state in `transition` and `reward` are not read: it is kept as a self-loop that pays nothing.

    Raises ValueError, naming the argument, the index and the value, for rows that do not sum to 1, negative or NaN entries, wrong
    shapes, a reward of +inf or NaN, a state whose actions are all forbidden, and a discount outside [0, 1].
    """

    transition: Matrix
    reward: Matrix
    initial: Floats = None  # type: ignore[assignment]  # filled in below
    discount: float = 1.0
    terminal: np.ndarray = None  # type: ignore[assignment]  # filled in below
    _kernels: dict[float, LogMatrix] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        states, actions = _sizes(self.transition, self.reward)
        keep("terminal", _as_terminal(self.terminal, states))
        keep("discount", as_number("discount", self.discount, 0.0, 1.0))
        initial = np.full(states, 1 / states) if self.initial is None else self.initial
        keep("initial", as_distributions("initial", initial, (states,)))
        keep("transition", _as_transition(self.transition, states, actions, self.terminal))
        keep("reward", _as_reward(self.reward, self.transition, states, actions, self.terminal))
        _check_some_action_allowed(self)

    def __repr__(self) -> str:
        kind = "sparse" if sp.issparse(self.transition) else "dense"
        return f"{type(self).__name__}({self.n_states} states, {self.n_actions} actions, {kind}, discount={self.discount:g})"

    @cached_property
    def n_states(self) -> int:
        return self.initial.shape[0]

    @cached_property
    def n_actions(self) -> int:
        return self.transition.shape[0] // self.n_states if sp.issparse(self.transition) else self.transition.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)"""
        return self.n_states, self.n_actions

    @cached_property
    def operator(self) -> Matrix:
        """The dynamics as one matrix (A*S, S) with row a*S + s, dense or CSR."""
        return _action_major(self.transition, *self.shape)

    @cached_property
    def landing_reward(self) -> Floats | None:
        """r(s,a,s') on the operator's entries ((A*S, S) array, or one number for each stored entry), or None where r = r(s,a)."""
        if not sp.issparse(self.reward) and self.reward.ndim == 2:
            return None
        rewards = _action_major(self.reward, *self.shape)
        return rewards.data if sp.issparse(rewards) else rewards

    @cached_property
    def mean_reward(self) -> Floats:
        """E[r | s, a].  (S, A)"""
        states, actions = self.shape
        if self.landing_reward is None:
            return np.asfortranarray(self.reward)
        if sp.issparse(self.operator):
            weighted = sp.csr_array((self.operator.data * self.landing_reward, self.operator.indices, self.operator.indptr), self.operator.shape)
            mean = weighted.sum(axis=1)
        else:
            mean = (self.operator * np.where(self.operator > 0, self.landing_reward, 0.0)).sum(axis=1)
        return np.asarray(mean).reshape(actions, states).T

    def expectation(self, v: Floats) -> Floats:
        """E[v(s') | s, a], where 0 · (-inf) is 0.  (S,) -> (S, A)"""
        if not v.dot(v) < np.inf:  # the quickest way to see an infinity
            lost = np.isneginf(v)
            mean = self.operator @ np.where(lost, 0.0, v)
            mean[self.operator @ lost.astype(float) > 0] = -np.inf
        else:
            mean = self.operator @ v
        return mean.reshape(self.n_actions, self.n_states).T

    def log_kernel(self, temperature: float) -> LogMatrix:
        """The matrix p(s'|s,a) exp(r(s,a,s')/η) by its logarithm, rows a*S + s; without the reward where r = r(s,a)."""
        key = temperature if self.landing_reward is not None else 0.0
        if key not in self._kernels:
            self._kernels.clear()  # one temperature at a time: this is as large as the dynamics
            self._kernels[key] = LogMatrix(self._log_entries(temperature))
        return self._kernels[key]

    def _log_entries(self, temperature: float) -> Matrix:
        rewards = 0.0 if self.landing_reward is None else self.landing_reward / temperature
        if sp.issparse(self.operator):
            return sp.csr_array((log(self.operator.data) + rewards, self.operator.indices, self.operator.indptr), self.operator.shape)
        return np.where(self.operator > 0, log(self.operator) + rewards, -np.inf)

    def dense_transition(self) -> Floats:
        """p(s'|s,a) as an array (S, A, S), also where `transition` is sparse."""
        return self.transition.toarray().reshape(*self.shape, -1) if sp.issparse(self.transition) else self.transition

    def dense_reward(self) -> Floats:
        """r(s,a,s') as an array (S, A, S), also where `reward` is sparse or does not depend on s'."""
        if sp.issparse(self.reward):
            return self.reward.toarray().reshape(*self.shape, -1)
        return self.reward if self.reward.ndim == 3 else np.repeat(self.reward[:, :, None], self.n_states, axis=2)


def as_policy(mdp: MDP, policy: ArrayLike, horizon: int | None, name: str = "policy") -> Floats:
    """A policy (S, A), or (T, S, A) where a horizon T is given; each row sums to 1.  ValueError otherwise."""
    array = np.asarray(policy)
    if array.ndim == 3 and horizon is None:
        raise ValueError(f"{name} has shape {array.shape}: a policy that changes with the step needs a horizon")
    return as_distributions(name, array, (horizon, *mdp.shape) if array.ndim == 3 else mdp.shape)


def as_prior(mdp: MDP, prior: ArrayLike | None) -> Floats | None:
    """An action prior ρ(a|s) as an array (S, A) from (A,) or (S, A) rows that sum to 1; None (the counting measure) stays None."""
    if prior is None:
        return None
    array = np.asarray(prior)
    states, actions = mdp.shape
    rows = as_distributions("prior", array, (actions,) if array.ndim == 1 else (states, actions))
    return np.asfortranarray(np.broadcast_to(rows, (states, actions)))


def default_policy(mdp: MDP, prior: Floats | None) -> Floats:
    """What stands in a policy's row where there is nothing to choose: the prior, or uniform under the counting measure.  (S, A)"""
    return np.full(mdp.shape, 1 / mdp.n_actions) if prior is None else prior


# -- at the door -------------------------------------------------------------------------------------------------------------------


def _sizes(transition: Matrix, reward: Matrix) -> tuple[int, int]:
    """(S, A), and a clear word where the shapes cannot belong together."""
    if sp.issparse(transition):
        rows, states = transition.shape
        if states == 0 or rows == 0 or rows % states:
            raise ValueError(f"transition has shape {transition.shape}, expected (S*A, S)")
        return states, rows // states
    shape = np.shape(transition)
    if len(shape) != 3 or shape[0] != shape[2] or 0 in shape:
        raise ValueError(f"transition has shape {shape}, expected (S, A, S), or scipy.sparse (S*A, S)")
    return shape[0], shape[1]


def _as_terminal(terminal: ArrayLike | None, states: int) -> np.ndarray:
    if terminal is None:
        return np.zeros(states, dtype=bool)
    array = np.asarray(terminal)
    if array.shape != (states,) or array.dtype != bool:
        raise ValueError(f"terminal has shape {array.shape} and type {array.dtype}, expected ({states},) of bool")
    return array


def _as_csr(name: str, matrix: Matrix, shape: tuple[int, int]) -> sp.csr_array:
    if matrix.shape != shape:
        raise ValueError(f"{name} has shape {matrix.shape}, expected {shape}")
    csr = sp.csr_array(matrix, dtype=np.float64, copy=True)
    csr.sum_duplicates()
    return csr


def _as_transition(transition: Matrix, states: int, actions: int, terminal: np.ndarray) -> Matrix:
    if sp.issparse(transition):
        csr = _as_csr("transition", transition, (states * actions, states))
        if terminal.any():  # a self-loop in place of whatever stood there
            row_ends = np.repeat(terminal, actions)
            ends = np.repeat(np.flatnonzero(terminal), actions)
            loops = sp.csr_array((np.ones(row_ends.sum()), (np.flatnonzero(row_ends), ends)), csr.shape)
            csr.data[np.repeat(row_ends, np.diff(csr.indptr))] = 0.0
            csr = sp.csr_array(csr + loops)
        wrong = np.flatnonzero(~(csr.data >= 0) | np.isinf(csr.data))
        if len(wrong):
            row = int(np.searchsorted(csr.indptr, wrong[0], side="right")) - 1
            reject("transition", (*divmod(row, actions), csr.indices[wrong[0]]), csr.data[wrong[0]], "not a probability")
        check_sums("transition", np.asarray(csr.sum(axis=1)).reshape(states, actions))
        csr.eliminate_zeros()
        csr.sort_indices()
        return csr
    array = np.asarray(transition)
    if terminal.any():
        array = array.astype(np.float64)
        array[terminal] = 0.0
        array[terminal, :, terminal] = 1.0
    array = as_floats("transition", array, (states, actions, states))
    check_probabilities("transition", array)
    return array


def _as_reward(reward: Matrix, transition: Matrix, states: int, actions: int, terminal: np.ndarray) -> Matrix:
    if sp.issparse(reward):
        csr = _as_csr("reward", reward, (states * actions, states))
        if not sp.issparse(transition):
            return _as_reward(csr.toarray().reshape(states, actions, states), transition, states, actions, terminal)
        rows = np.repeat(np.arange(states * actions), np.diff(transition.indptr))
        values = np.asarray(csr[rows, transition.indices]).ravel()
        return _on_pattern(values, rows, transition, actions, terminal)
    if np.ndim(reward) == 3:
        array = as_floats("reward", reward, (states, actions, states))
        if sp.issparse(transition):
            rows = np.repeat(np.arange(states * actions), np.diff(transition.indptr))
            return _on_pattern(array.reshape(-1, states)[rows, transition.indices], rows, transition, actions, terminal)
    else:
        array = as_floats("reward", reward, (states, actions))
    if terminal.any():
        array = array.copy()
        array[terminal] = 0.0
    if np.isposinf(array).any():
        reject("reward", np.argwhere(np.isposinf(array))[0], "inf", "a reward must be finite, or -inf for what is forbidden")
    return array


def _on_pattern(values: Floats, rows: np.ndarray, transition: sp.csr_array, actions: int, terminal: np.ndarray) -> sp.csr_array:
    """Rewards with exactly the transition's stored entries, zeros among them."""
    values = np.where(terminal[rows // actions], 0.0, values)
    wrong = np.flatnonzero(np.isnan(values) | np.isposinf(values))
    if len(wrong):
        where = (*divmod(int(rows[wrong[0]]), actions), transition.indices[wrong[0]])
        reject("reward", where, values[wrong[0]], "a reward must be finite, or -inf for what is forbidden")
    return sp.csr_array((values, transition.indices, transition.indptr), shape=transition.shape)


def _action_major(matrix: Matrix, states: int, actions: int) -> Matrix:
    """Rows s*A + a, or (S, A, S), as one matrix with rows a*S + s."""
    if not sp.issparse(matrix):
        return np.ascontiguousarray(matrix.transpose(1, 0, 2)).reshape(actions * states, states)
    order = (np.arange(actions)[:, None] + actions * np.arange(states)).ravel()
    return _small_index(matrix[order])


def _small_index(matrix: sp.csr_array) -> sp.csr_array:
    """With 32-bit indices: half the memory to read in each product."""
    if matrix.nnz < 2**31:
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def _check_some_action_allowed(mdp: MDP) -> None:
    forbidden = np.isneginf(mdp.mean_reward)
    if not forbidden.all(axis=1).any():
        return
    if mdp.landing_reward is not None:  # forbidden for good only where EVERY landing is
        finite = np.isfinite(mdp.landing_reward)
        if sp.issparse(mdp.operator):
            some = sp.csr_array((finite.astype(float), mdp.operator.indices, mdp.operator.indptr), mdp.operator.shape).sum(axis=1)
        else:
            some = (finite & (mdp.operator > 0)).sum(axis=1)
        forbidden = (np.asarray(some) == 0).reshape(mdp.n_actions, mdp.n_states).T
    stuck = np.flatnonzero(forbidden.all(axis=1))
    if len(stuck):
        raise ValueError(f"reward[{stuck[0]}] = -inf for every action: a state needs an allowed action, or must be terminal")
