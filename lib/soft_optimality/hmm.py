"""Floor 1: the hidden Markov model, and each question that chapter 1 asks of it.

K hidden states, M symbols, T observations.  Two steps make every answer: `_condition` on what is seen, `_predict` what comes next.
Probabilities are scaled to sum to 1 after each step (Rabiner 1989, section V.A), so nothing underflows however long the sequence; their
scales are the factors of the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .numerics import Floats, as_count, as_distributions, as_number, log

FEW_STATES = 32  # up to here multiplying K × K matrices is cheaper than another turn of a Python loop


class Decoding(NamedTuple):
    """The most probable hidden path (T,) and log p(path, x) in nats."""

    path: NDArray[np.intp]
    log_prob: float


class Sample(NamedTuple):
    """Hidden states (T,) and observations (T,)."""

    states: NDArray[np.intp]
    observations: NDArray[np.intp]


class _Blocks(NamedTuple):
    """Observations x (T,), their likelihoods (steps, blocks, K), and each block as one matrix with the logs of its rows' scales."""

    x: NDArray[np.intp]
    seen: Floats
    matrices: Any  # (blocks, K, K), or None where one block is all
    logs: Any


@dataclass(frozen=True, eq=False)
class HMM:
    """p(Z, X) = p(z₁) p(x₁|z₁) ∏ p(z_t|z_{t−1}) p(x_t|z_t).

    initial (K,), transition (K, K) from row to column, emission (K, M); all rows sum to 1, else ValueError.

    Observations `x` are whole numbers 0 .. M−1 in a sequence of length T ≥ 1.  Methods raise ValueError for anything else, and where x is
    impossible under the model they name the first step that is.
    """

    initial: Floats
    transition: Floats
    emission: Floats

    def __post_init__(self) -> None:
        initial = as_distributions("initial", self.initial, (None,))
        states = len(initial)
        object.__setattr__(self, "initial", initial)
        object.__setattr__(self, "transition", as_distributions("transition", self.transition, (states, states)))
        object.__setattr__(self, "emission", as_distributions("emission", self.emission, (states, None)))

    def __repr__(self) -> str:
        return f"HMM({self.n_states} states, {self.n_symbols} symbols)"

    @property
    def n_states(self) -> int:
        return self.emission.shape[0]

    @property
    def n_symbols(self) -> int:
        return self.emission.shape[1]

    def filter(self, x: ArrayLike) -> Floats:
        """p(Z_t | X_1..t), eq. filtering.  (T, K)"""
        return self._forward(self._cut(self._observations(x)))[0]

    def log_evidence(self, x: ArrayLike) -> float:
        """log p(X_1..T) in nats, eq. evidence: the sum of log p(X_t | X_1..t−1)."""
        return float(np.log(self._forward(self._cut(self._observations(x)))[1]).sum())

    def smooth(self, x: ArrayLike) -> Floats:
        """p(Z_t | X_1..T), eq. smoothing.  (T, K)"""
        cut = self._cut(self._observations(x))
        return _normalised(self._forward(cut)[0] * self._backward(cut))

    def smooth_pairs(self, x: ArrayLike) -> Floats:
        """p(Z_t, Z_{t+1} | X_1..T).  (T−1, K, K)"""
        letters = self._observations(x)
        cut = self._cut(letters)
        before, after = self._forward(cut)[0][:-1], (self._likelihood(letters) * self._backward(cut))[1:]
        pairs = before[:, :, None] * self.transition * after[:, None, :]
        return pairs / pairs.sum(axis=(1, 2), keepdims=True)

    def predict(self, x: ArrayLike, steps: int) -> Floats:
        """p(Z_{T+k} | X_1..T) for k = 1 .. steps, eq. prediction.  (steps, K)"""
        steps, p = as_count("steps", steps), self.filter(x)[-1]
        ahead = np.empty((steps, self.n_states))
        for k in range(steps):
            p = ahead[k] = self._predict(p)
        return ahead

    def predict_observations(self, x: ArrayLike, steps: int) -> Floats:
        """p(X_{T+k} | X_1..T) for k = 1 .. steps, eq. prediction.  (steps, M)"""
        return self.predict(x, steps) @ self.emission

    def decode(self, x: ArrayLike) -> Decoding:
        """argmax_Z p(Z | X), eq. decoding, by the Viterbi algorithm; among equals the path whose last states have the lowest index."""
        letters = self._observations(x)
        steps = log(self.transition)
        into = np.ascontiguousarray(steps.T)
        seen = log(self.emission).T[letters]
        best = np.empty(seen.shape)  # log probability of the best path that ends here
        best[0] = log(self.initial) + seen[0]
        for t in range(1, len(seen)):
            np.max(into + best[t - 1], axis=1, out=best[t])
            best[t] += seen[t]
        path = np.empty(len(seen), dtype=np.intp)
        path[-1] = best[-1].argmax()
        for t in range(len(seen) - 1, 0, -1):  # who came before is found again on the way back: K numbers, not K²
            path[t - 1] = (best[t - 1] + into[path[t]]).argmax()
        found = float(best[-1].max())
        if found == -np.inf:
            self._forward(self._cut(letters))  # names the step
        return Decoding(path, found)

    def log_joint(self, path: ArrayLike, x: ArrayLike) -> float:
        """log p(Z = path, X = x) in nats; -inf where the path cannot be."""
        letters = self._observations(x)
        states = _whole_numbers("path", path, self.n_states)
        if len(states) != len(letters):
            raise ValueError(f"path has length {len(states)}, expected {len(letters)}")
        moves = log(self.transition)[states[:-1], states[1:]].sum()
        return float(log(self.initial)[states[0]] + moves + log(self.emission)[states, letters].sum())

    def sample(self, T: int, rng: np.random.Generator) -> Sample:
        """Draw T steps."""
        steps = as_count("T", T)
        if not isinstance(rng, np.random.Generator):
            raise ValueError(f"rng = {rng!r}: must be a numpy.random.Generator")
        first, move, show = (np.cumsum(p, axis=-1) / np.sum(p, axis=-1, keepdims=True) for p in (self.initial, self.transition, self.emission))
        draws = rng.random((steps, 2))
        states = np.empty(steps, dtype=np.intp)
        states[0] = np.searchsorted(first, draws[0, 0], side="right")
        for t in range(1, steps):
            states[t] = np.searchsorted(move[states[t - 1]], draws[t, 0], side="right")
        return Sample(states, (draws[:, 1:] >= show[states]).sum(axis=1))

    def fit(
        self,
        sequences: ArrayLike | Sequence[ArrayLike],
        *,
        iterations: int = 100,
        tolerance: float = 1e-6,
        on_step: Callable[[HMM, float], None] | None = None,
    ) -> HMM:
        """Baum–Welch (expectation maximisation), eq. learning, from this model on one sequence or on several.

        Each step raises the evidence or leaves it; it ends when a step gains less than `tolerance` nats, or after `iterations`.  It finds a
        local optimum: where it starts matters.  What is exactly 0 stays 0.  on_step(model, log evidence of all sequences) is called with
        each model on the way, this one first.
        """
        limit, least = as_count("iterations", iterations), as_number("tolerance", tolerance, 0.0)
        model, before = self, -np.inf
        data = [self._observations(x, name) for name, x in _each_sequence(sequences)]
        for _ in range(limit):
            better, evidence = model._step(data)
            if on_step is not None:
                on_step(model, evidence)
            if evidence - before < least:
                return model
            model, before = better, evidence
        if on_step is not None:
            on_step(model, sum(model.log_evidence(x) for x in data))
        return model

    def _step(self, data: list[NDArray[np.intp]]) -> tuple[HMM, float]:
        """One step of Baum–Welch, from expected counts, and the evidence before it."""
        first, moves, shown = np.zeros(self.n_states), np.zeros(self.transition.shape), np.zeros(self.emission.shape)
        evidence = 0.0
        for x in data:
            cut = self._cut(x)
            (filtered, scales), backward = self._forward(cut), self._backward(cut)
            smoothed = _normalised(filtered * backward)
            after = (self._likelihood(x) * backward)[1:]
            weight = (filtered[:-1] * (after @ self.transition.T)).sum(axis=1)
            first += smoothed[0]
            moves += self.transition * (filtered[:-1].T @ (after / weight[:, None]))
            for letter in range(self.n_symbols):
                shown[:, letter] += smoothed[x == letter].sum(axis=0)
            evidence += float(np.log(scales).sum())
        return HMM(first / first.sum(), _rows(moves, self.transition), _rows(shown, self.emission)), evidence

    # -- messages ---------------------------------------------------------------------------------------------------------------------

    def _predict(self, p: Floats) -> Floats:
        """p(Z_{t+1}) from p(Z_t).  (..., K) -> (..., K)"""
        return p @ self.transition

    def _likelihood(self, x: NDArray[np.intp]) -> Floats:
        """p(x_t | Z_t) for each state.  (T, K)"""
        return self.emission.T[x]

    def _cut(self, x: NDArray[np.intp]) -> _Blocks:
        """The sequence in blocks of about √T steps, which advance together: NumPy then makes √T large steps instead of T small ones."""
        seen = _in_blocks(self._likelihood(x))
        return _Blocks(x, seen, *(self._transfer(seen) if seen.shape[1] > 1 else (None, None)))

    def _forward(self, cut: _Blocks) -> tuple[Floats, Floats]:
        """p(Z_t | X_1..t) (T, K) and p(X_t | X_1..t−1) (T,)."""
        x, seen = cut.x, cut.seen
        p = self._block_starts(cut)
        filtered, scales = np.empty(seen.shape), np.empty(seen.shape[:2])
        for j, now in enumerate(seen):
            filtered[j], scales[j] = _condition(self._predict(p) if j else p, now)
            p = filtered[j]
        scale = scales.T.reshape(-1)[: len(x)]
        if not scale.all():
            t = int(np.flatnonzero(scale == 0)[0])
            raise ValueError(f"x[{t}] = {x[t]}: impossible here, no state that the model can be in at this step emits it")
        return _in_order(filtered, len(x)), scale

    def _backward(self, cut: _Blocks) -> Floats:
        """p(X_{t+1..T} | Z_t) up to a factor for each t.  (T, K)"""
        message = self._block_ends(cut)
        backward = np.empty(cut.seen.shape)
        for j in range(len(cut.seen) - 1, -1, -1):
            backward[j] = message
            message = _normalised((cut.seen[j] * message) @ self.transition.T)
        return _in_order(backward, len(cut.x))

    def _block_starts(self, cut: _Blocks) -> Floats:
        """p(Z_t | X before t) for the first step t of each block.  (blocks, K)"""
        p = np.tile(self.initial, (cut.seen.shape[1], 1))
        for k in range(1, len(p)):
            weights = log(p[k - 1]) + cut.logs[k - 1]
            p[k] = self._predict(_normalised(_exp_from_top(weights) @ cut.matrices[k - 1]))
        return p

    def _block_ends(self, cut: _Blocks) -> Floats:
        """p(X after t | Z_t) for the last step t of each block, up to a factor.  (blocks, K)"""
        message = np.ones(cut.seen.shape[1:])
        for k in range(len(message) - 1, 0, -1):
            weights = log(cut.matrices[k] @ message[k]) + cut.logs[k]
            message[k - 1] = _normalised(self.transition @ _exp_from_top(weights))
        return message

    def _transfer(self, seen: Floats) -> tuple[Floats, Floats]:
        """Each block as one matrix, p(X in block, Z_last | Z_first): (blocks, K, K), rows scaled, and the logs of their scales (blocks, K)."""
        matrices = seen[0][:, :, None] * np.eye(self.n_states)
        logs = np.zeros(seen.shape[1:])
        for now in seen[1:]:
            matrices = (matrices @ self.transition) * now[:, None, :]
            scale = matrices.max(axis=2)
            logs += log(scale)
            matrices = np.divide(matrices, scale[:, :, None], out=np.zeros_like(matrices), where=scale[:, :, None] > 0)
        return matrices, logs

    def _observations(self, x: ArrayLike, name: str = "x") -> NDArray[np.intp]:
        return _whole_numbers(name, x, self.n_symbols)


def _condition(p: Floats, likelihood: Floats) -> tuple[Floats, Floats]:
    """p(Z | x) ∝ p(Z) p(x | Z), and p(x).  (..., K), (..., K) -> (..., K), (...)"""
    joint = p * likelihood
    total = joint.sum(axis=-1)
    return np.divide(joint, total[..., None], out=np.zeros_like(joint), where=total[..., None] > 0), total


def _normalised(rows: Floats) -> Floats:
    """Rows scaled to sum to 1; a row of zeros stays."""
    total = rows.sum(axis=-1, keepdims=True)
    return np.divide(rows, total, out=np.zeros_like(rows), where=total > 0)


def _exp_from_top(logs: Floats) -> Floats:
    """exp(logs) up to a factor, the largest being 1; zeros where all are -inf."""
    return np.exp(logs - max(logs.max(), np.finfo(float).min))


def _in_blocks(rows: Floats) -> Floats:
    """(T, K) as (steps, blocks, K); the last block is filled up with likelihoods of 1, which say nothing."""
    length, states = rows.shape
    steps = max(isqrt(length), 1) if states <= FEW_STATES else length
    blocks = -(-length // steps)
    padded = np.ones((blocks * steps, states))
    padded[:length] = rows
    return np.ascontiguousarray(padded.reshape(blocks, steps, states).swapaxes(0, 1))


def _in_order(blocks: Floats, length: int) -> Floats:
    """(steps, blocks, K) back to (T, K)."""
    return blocks.swapaxes(0, 1).reshape(-1, blocks.shape[2])[:length]


def _rows(counts: Floats, old: Floats) -> Floats:
    """Counts as distributions; a state that was never visited keeps its old row."""
    return np.where(counts.sum(axis=1, keepdims=True) > 0, _normalised(counts), old)


def _whole_numbers(name: str, values: ArrayLike, limit: int) -> NDArray[np.intp]:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}, expected (T,) with T at least 1")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has type {array.dtype}, expected whole numbers")
    broken = np.flatnonzero(array != np.floor(array))
    if len(broken):
        raise ValueError(f"{name}[{broken[0]}] = {array[broken[0]]}: not a whole number")
    wrong = np.flatnonzero((array < 0) | (array >= limit))
    if len(wrong):
        raise ValueError(f"{name}[{wrong[0]}] = {array[wrong[0]]}: must be between 0 and {limit - 1}")
    return array.astype(np.intp)


def _each_sequence(sequences: Any) -> list[tuple[str, Any]]:
    """One sequence of numbers, or several sequences, with the names that errors use."""
    if len(sequences) == 0:
        raise ValueError("sequences: empty, expected one sequence or several")
    if np.ndim(sequences[0]) == 0:
        return [("sequences", sequences)]
    return [(f"sequences[{i}]", x) for i, x in enumerate(sequences)]
