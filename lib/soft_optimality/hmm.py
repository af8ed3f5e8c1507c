"""Floor 1: the hidden Markov model, and each question that chapter 1 asks of it.

K hidden states, M symbols, T observations.  Two steps make every answer: `condition` on what is seen, `predict` what comes next.
They are written for two kinds of number, and one scan serves both:

    Scaled   sums of products, each distribution scaled to sum to 1 (Rabiner 1989, section V.A); the scales are the factors of the evidence
    Logs     the same in logarithms, where a state falls so far behind the others that float64 would lose it, though it may yet come back

With the maximum in place of the sum filtering becomes the Viterbi algorithm, which has a shorter way through the blocks: `_Viterbi`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .numerics import LOWEST, Floats, as_count, as_distributions, as_number, log, log_sum_exp

# Scaled numbers are kept while every nonzero probability in them, and each single step's, stays above this.  Then a sum loses only terms
# that are smaller by hundreds of orders of magnitude, also in products of four such factors, and no state that is possible turns into 0.
IN_RANGE = 1e-60


class Decoding(NamedTuple):
    """The most probable hidden path (T,) and log p(path, x) in nats."""

    path: NDArray[np.intp]
    log_prob: float


class Sample(NamedTuple):
    """Hidden states (T,) and observations (T,)."""

    states: NDArray[np.intp]
    observations: NDArray[np.intp]


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
        scan = self._scan(self._observations(x))
        return scan.numbers.plain(scan.filtered).T

    def log_evidence(self, x: ArrayLike) -> float:
        """log p(X_1..T) in nats, eq. evidence: the sum of log p(X_t | X_1..t−1)."""
        return float(self._scan(self._observations(x)).log_scales.sum())

    def smooth(self, x: ArrayLike) -> Floats:
        """p(Z_t | X_1..T), eq. smoothing: what the past says of Z_t, conditioned on what the future says.  (T, K)"""
        scan = self._scan(self._observations(x))
        return scan.smoothed(scan.backward()).T

    def smooth_pairs(self, x: ArrayLike) -> Floats:
        """p(Z_t, Z_{t+1} | X_1..T).  (T−1, K, K)"""
        scan = self._scan(self._observations(x))
        numbers, (before, after) = scan.numbers, scan.around_moves(scan.backward())
        joint = numbers.times(numbers.times(before[:, None, :], scan.move[:, :, None]), after[None, :, :])
        pairs, _ = numbers.condition(joint.reshape(self.n_states**2, -1), scan.nothing[:1, None])
        return numbers.plain(pairs).reshape(joint.shape).transpose(2, 0, 1)

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
        path = _Viterbi(self, letters).path()
        return Decoding(path, self.log_joint(path, letters))

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
        sums = (np.cumsum(p, axis=-1) for p in (self.initial, self.transition, self.emission))
        first, move, show = (s / s[..., -1:] for s in sums)  # the last is then exactly 1, and each draw below it
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
        data = [(name, self._observations(x, name)) for name, x in _each_sequence(sequences)]
        for _ in range(limit):
            better, evidence = model._step(data)
            if on_step is not None:
                on_step(model, evidence)
            if evidence - before < least:
                return model
            model, before = better, evidence
        if on_step is not None:
            on_step(model, sum(model.log_evidence(x) for _, x in data))
        return model

    def _step(self, data: list[tuple[str, NDArray[np.intp]]]) -> tuple[HMM, float]:
        """One step of Baum–Welch, from expected counts, and the evidence before it."""
        first, moves, shown = np.zeros(self.n_states), np.zeros(self.transition.shape), np.zeros(self.emission.shape)
        evidence = 0.0
        for name, x in data:
            scan = self._scan(x, name)
            backward = scan.backward()
            smoothed = scan.smoothed(backward)
            first += smoothed[:, 0]
            moves += scan.numbers.expected_moves(scan.move, *scan.around_moves(backward))
            for letter in range(self.n_symbols):
                shown[:, letter] += smoothed[:, x == letter].sum(axis=1)
            evidence += float(scan.log_scales.sum())
        return HMM(first / first.sum(), _rows(moves, self.transition), _rows(shown, self.emission)), evidence

    def _predict(self, p: Floats) -> Floats:
        """p(Z_{t+1}) from p(Z_t).  (..., K) -> (..., K)"""
        return p @ self.transition

    def _scan(self, x: NDArray[np.intp], name: str = "x") -> _Scan:
        """All the forward messages, in scaled numbers where those are exact and in logarithms elsewhere.  ValueError where x is impossible."""
        scan = _Scan(self, x, _Scaled)
        if not scan.in_range():
            scan = _Scan(self, x, _Logs)
        scan.check_possible(name)
        return scan

    def _observations(self, x: ArrayLike, name: str = "x") -> NDArray[np.intp]:
        return _whole_numbers(name, x, self.n_symbols)


class _Scaled:
    """Probabilities as they are, each distribution scaled to sum to 1.  States lie on the leading axis, as they do in all of this."""

    few_states = 32  # up to here multiplying K × K matrices is cheaper than another turn of a Python loop
    zero = 0.0
    times: ClassVar[Any] = np.multiply

    @staticmethod
    def of(p: Floats) -> Floats:
        return p

    @staticmethod
    def plain(p: Floats) -> Floats:
        return p

    @staticmethod
    def logs(p: Floats) -> Floats:
        return log(p)

    @staticmethod
    def predict(p: Floats, move: Floats) -> Floats:
        """Σ_i p_i move_ij.  (K, ...), (K, K) -> (K, ...)"""
        return (move.T @ p.reshape(len(p), -1)).reshape(p.shape)

    @staticmethod
    def condition(p: Floats, likelihood: Floats) -> tuple[Floats, Floats]:
        """p(Z | x) ∝ p(Z) p(x | Z), and p(x).  Where all are 0 they stay so.  (K, ...), (K, ...) -> (K, ...), (...)"""
        joint = p * likelihood
        total = joint.sum(axis=0)
        joint /= np.where(total > 0, total, 1.0)
        return joint, total

    @staticmethod
    def weigh(p: Floats, logs: Floats) -> Floats:
        """p exp(logs) up to a factor, the largest being 1.  (K,), (K,) -> (K,)"""
        weights = log(p) + logs
        return np.exp(weights - max(weights.max(), LOWEST))

    @staticmethod
    def expected_moves(move: Floats, before: Floats, after: Floats) -> Floats:
        """Σ_t p(Z_t, Z_{t+1} | X), without an array for each t.  (K, K), (K, T−1), (K, T−1) -> (K, K)"""
        total = (before * (move @ after)).sum(axis=0)
        return move * (before @ (after / total).T)


class _Logs:
    """Logarithms of probabilities: nothing is too small.  The same operations as `_Scaled`."""

    few_states = 16
    zero = -np.inf
    times: ClassVar[Any] = np.add

    @staticmethod
    def of(p: Floats) -> Floats:
        return log(p)

    @staticmethod
    def plain(p: Floats) -> Floats:
        return np.exp(p)

    @staticmethod
    def logs(p: Floats) -> Floats:
        return p

    @staticmethod
    def predict(p: Floats, move: Floats) -> Floats:
        return log_sum_exp(p[:, None] + move.reshape(*move.shape, *[1] * (p.ndim - 1)))

    @staticmethod
    def condition(p: Floats, likelihood: Floats) -> tuple[Floats, Floats]:
        joint = p + likelihood
        total = log_sum_exp(joint)
        joint -= np.maximum(total, LOWEST)
        return joint, total

    @staticmethod
    def weigh(p: Floats, logs: Floats) -> Floats:
        return p + logs

    @classmethod
    def expected_moves(cls, move: Floats, before: Floats, after: Floats) -> Floats:
        total = log_sum_exp(before + cls.predict(after, move.T))
        return np.array([np.exp(p + row[:, None] + after - total).sum(axis=1) for p, row in zip(before, move, strict=True)])


class _Scan:
    """The messages of one sequence, passed in blocks of about √T steps that advance together.

    NumPy then makes √T large steps in place of T small ones.  For that each block is first summed up in one matrix, p(X in block, Z_last | Z_first),
    and from block to block these carry what each block starts with, or ends with.  With many states their products would cost more than
    they save, and one block is all.
    """

    def __init__(self, model: HMM, x: NDArray[np.intp], numbers: type[_Scaled | _Logs]):
        self.x, self.numbers = x, numbers
        self.initial, self.move = numbers.of(model.initial), numbers.of(model.transition)
        self.nothing = numbers.of(np.ones(len(self.move)))  # the likelihood of what says nothing: the last block is filled up with it
        steps = isqrt(len(x)) if len(self.move) <= numbers.few_states else len(x)
        blocks = -(-len(x) // steps)
        padded = np.tile(self.nothing[:, None], (1, blocks * steps))
        padded[:, : len(x)] = numbers.of(model.emission)[:, x]
        self.seen = np.ascontiguousarray(padded.reshape(-1, blocks, steps).transpose(2, 0, 1))  # (steps, K, blocks)
        if blocks > 1:
            self._sum_up_blocks()
        self._forward()

    def _sum_up_blocks(self) -> None:
        """Each block as one matrix, and the logs of the scales of its rows: the filter, from each first state at once."""
        numbers, seen = self.numbers, self.seen[:, :, None, :]
        units = numbers.of(np.eye(len(self.move)))[:, :, None]
        scales = np.empty(self.seen.shape)
        matrices, scales[0] = numbers.condition(units, seen[0])  # (K last, K first, blocks), (K first, blocks)
        for j in range(1, len(seen)):
            matrices, scales[j] = numbers.condition(numbers.predict(matrices, self.move), seen[j])
        self.matrices = np.ascontiguousarray(matrices.T)  # (blocks, K first, K last)
        self.logs = np.ascontiguousarray(numbers.logs(scales).sum(axis=0).T)  # (blocks, K first)

    def _forward(self) -> None:
        """filtered: p(Z_t | X_1..t) (K, T);  log_scales: log p(X_t | X_1..t−1) (T,)."""
        numbers = self.numbers
        self.starts = np.tile(self.initial, (self.seen.shape[2], 1))  # p(Z_t | X before t) at the first step of each block
        for k in range(1, len(self.starts)):
            last = numbers.predict(numbers.weigh(self.starts[k - 1], self.logs[k - 1]), self.matrices[k - 1])
            self.starts[k] = numbers.predict(numbers.condition(last, self.nothing)[0], self.move)
        p, filtered, scales = self.starts.T, np.empty(self.seen.shape), np.empty((len(self.seen), 1, len(self.starts)))
        for j, now in enumerate(self.seen):
            p, scales[j] = numbers.condition(numbers.predict(p, self.move) if j else p, now)
            filtered[j] = p
        self.filtered, self.log_scales = self._in_order(filtered), numbers.logs(self._in_order(scales)[0])
        # A state that is impossible here says nothing about the past, and must not set the scale of those that do.
        self.seen_if_possible = np.where(filtered > numbers.zero, self.seen, numbers.zero)

    def backward(self) -> Floats:
        """p(X_{t+1..T} | Z_t) up to a factor for each t: the same two steps, the other way round.  (K, T)"""
        numbers, back = self.numbers, self.move.T
        ends = np.tile(self.nothing, (len(self.starts), 1))  # the message at the last step of each block
        for k in range(len(ends) - 1, 0, -1):
            first = np.where(self.starts[k] > numbers.zero, numbers.predict(ends[k], self.matrices[k].T), numbers.zero)
            ends[k - 1] = numbers.predict(numbers.condition(numbers.weigh(first, self.logs[k]), self.nothing)[0], back)
        message, backward = ends.T, np.empty(self.seen.shape)
        for j in range(len(backward) - 1, -1, -1):
            backward[j] = message
            message = numbers.predict(numbers.condition(message, self.seen_if_possible[j])[0], back)
        return self._in_order(backward)

    def smoothed(self, backward: Floats) -> Floats:
        """p(Z_t | X_1..T), no longer in `numbers`.  (K, T)"""
        return self.numbers.plain(self.numbers.condition(self.filtered, backward)[0])

    def around_moves(self, backward: Floats) -> tuple[Floats, Floats]:
        """What is known on each side of a move: p(Z_t | X_1..t), and p(X_{t+1..T} | Z_{t+1}) up to a factor.  Both (K, T−1)"""
        return self.filtered[:, :-1], self.numbers.times(self._in_order(self.seen_if_possible), backward)[:, 1:]

    def in_range(self) -> bool:
        """Whether scaled numbers have lost nothing.  A probability that is exactly 0 is no loss."""
        step = min(_smallest(self.initial), _smallest(self.move)) * _smallest(self.seen)
        return min(step, _smallest(self.filtered)) > IN_RANGE

    def check_possible(self, name: str) -> None:
        _check_possible(name, self.x, self.log_scales > -np.inf)

    def _in_order(self, blocks: Floats) -> Floats:
        """(steps, K, blocks) back to (K, T)."""
        return blocks.transpose(1, 2, 0).reshape(blocks.shape[1], -1)[:, : len(self.x)]


class _Viterbi:
    """The most probable path, in blocks of steps that advance together.

    Each block guesses what it starts with, and afterwards those whose guess was wrong go again from what the block before them came to.
    The best paths from all first states soon share their end, so that one repair is usually all; with blocks that never forget, the last
    one is right when all before it are, as in a plain loop.  The same on the way back, where the guess is a block's last state.

    The logarithms are of base 2 and rounded to 2⁻⁴⁰, so that sums of them, up to 2¹² bits, are exact in any order: paths with the same
    factors tie, and so do those whose factors are powers of 2.  In steps or in blocks, the path is the same.
    """

    few_states = 32
    shortest = 40  # steps in a block, for it to forget what it started with

    def __init__(self, model: HMM, x: NDArray[np.intp]):
        self.x, self.move = x, _grid(model.transition)
        states, seen = len(self.move), _grid(model.emission)[:, x]
        steps = min(len(x), max(self.shortest, isqrt(len(x)) // 2)) if states <= self.few_states else len(x)
        blocks = -(-len(x) // steps)
        padded = np.zeros((states, blocks * steps))
        padded[:, : len(x)] = seen
        self.seen = np.ascontiguousarray(padded.reshape(states, blocks, steps).transpose(2, 0, 1))  # (steps, K, blocks)
        self.best = np.empty(self.seen.shape)  # max over Z_1..t−1 of log p(Z_1..t, X_1..t), the largest being 0
        starts = np.zeros((states, blocks))
        starts[:, 0] = _grid(model.initial)
        wrong = np.arange(blocks)
        while len(wrong):
            self._forward(starts[:, wrong], wrong)
            found = starts.copy()
            found[:, 1:] = self._predict(self.best[-1, :, :-1])
            wrong = np.flatnonzero((found != starts).any(axis=0))
            starts = found
        _check_possible("x", x, self.best.max(axis=1).T.reshape(-1)[: len(x)] > -np.inf)

    def _predict(self, message: Floats) -> Floats:
        """(K, blocks) -> (K, blocks)"""
        return (message[:, None] + self.move[:, :, None]).max(axis=0)

    def _forward(self, message: Floats, blocks: NDArray[np.intp]) -> None:
        for j, now in enumerate(self.seen[:, :, blocks]):
            message = (self._predict(message) if j else message) + now
            message -= np.maximum(message.max(axis=0), LOWEST)
            self.best[j][:, blocks] = message

    def path(self) -> NDArray[np.intp]:
        """(T,)"""
        path = np.empty(self.best[:, 0].shape, dtype=np.intp)  # (steps, blocks)
        ends, wrong = self.best[-1].argmax(axis=0), np.arange(len(path.T))
        while len(wrong):
            path[-1, wrong] = ends[wrong]
            for j in range(len(path) - 1, 0, -1):
                path[j - 1, wrong] = self._before(self.best[j - 1][:, wrong], path[j, wrong])
            found = ends.copy()
            found[:-1] = self._before(self.best[-1, :, :-1], path[0, 1:])
            wrong = np.flatnonzero(found != ends)
            ends = found
        return path.T.reshape(-1)[: len(self.x)]

    def _before(self, message: Floats, state: NDArray[np.intp]) -> NDArray[np.intp]:
        """The best state one step before `state`, the lowest among equals.  (K, n), (n,) -> (n,)"""
        return (message + self.move[:, state]).argmax(axis=0)


def _grid(p: Floats) -> Floats:
    return np.round(log(p) / np.log(2) * 2.0**40) / 2.0**40


def _check_possible(name: str, x: NDArray[np.intp], possible: Any) -> None:
    """ValueError with the first step at which nothing is possible."""
    if not possible.all():
        t = int(possible.argmin())
        raise ValueError(f"{name}[{t}] = {x[t]}: impossible here, no state that the model can be in at this step emits it")


def _smallest(p: Floats) -> float:
    """The smallest probability that is not 0."""
    return float(np.min(p, where=p > 0, initial=1.0))


def _rows(counts: Floats, old: Floats) -> Floats:
    """Counts as distributions; a state that was never visited keeps its old row."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=old.copy(), where=total > 0)


def _whole_numbers(name: str, values: ArrayLike, limit: int) -> NDArray[np.intp]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: not a sequence of numbers ({error})") from None
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
    if not isinstance(sequences, (Sequence, np.ndarray)) or (isinstance(sequences, np.ndarray) and sequences.ndim == 0):
        raise ValueError(f"sequences = {sequences!r}: expected one sequence or several")
    if len(sequences) == 0:
        raise ValueError("sequences: empty, expected one sequence or several")
    if np.ndim(sequences[0]) == 0:
        return [("sequences", sequences)]
    return [(f"sequences[{i}]", x) for i, x in enumerate(sequences)]
