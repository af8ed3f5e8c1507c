"""Floor 0: sums of exponentials that neither overflow nor underflow, and the checks at every door.

Whatever is forbidden or impossible stays exact: log 0 is -inf, exp(-inf) is 0, and nothing here turns either into NaN.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, NoReturn, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = Any  # Floats or sp.csr_array: what both understand is used of it

LOWEST = np.finfo(np.float64).min  # stands in for -inf as a shift: -inf - LOWEST is -inf, while -inf - (-inf) is NaN
SAFE = 1e-250  # a sum of exponentials above this has lost nothing that float64 could hold
ROUNDING = 1e-8  # how far the sum of a distribution may be from 1


class NotConverged(RuntimeError):
    """An iteration ended before its tolerance was reached.  `residual` and `iterations` say how far it came."""

    def __init__(self, message: str, *, residual: float, iterations: int):
        super().__init__(message)
        self.residual = residual
        self.iterations = iterations


def log(x: ArrayLike) -> Floats:
    """Natural logarithm with log 0 = -inf, quietly."""
    with np.errstate(divide="ignore"):
        return np.log(x)


def log_sum_exp(x: Floats) -> Floats:
    """log Σ_i exp(x_i) over the LEADING axis; -inf where every x_i is -inf.

    The axis leads because NumPy reduces a short leading axis of a C-ordered array many times faster than a short last one.
    """
    top = np.maximum(x.max(axis=0), LOWEST)
    return log(np.exp(x - top).sum(axis=0)) + top


def log_mean_exp(x: Floats, weights: Floats) -> Floats:
    """log Σ_i w_i exp(x_i) over the leading axis, for weights that sum to 1 there; w_i = 0 leaves x_i out.

    When all x_i nearly agree (a hot temperature) the sum is 1 plus very little, and the logarithm of 1 plus very little must not
    be computed by first adding the 1.
    """
    top = np.maximum(np.where(weights > 0, x, -np.inf).max(axis=0), LOWEST)
    spread = np.minimum(x - top, 0.0)  # an x_i above top has weight 0
    if spread.min() > -0.1:
        return np.log1p((weights * np.expm1(spread)).sum(axis=0)) + top
    return log((weights * np.exp(spread)).sum(axis=0)) + top


class LogMatrix:
    """A nonnegative matrix M known by its logarithm: `matvec(x)` is log(M exp(x)), exact however far the x lie apart.

    The quick way is one shift for all of x and one product.  A row whose product then nearly underflows (all that it can reach
    lies far below the best x) is computed again with a shift of its own.

    log_entries: (n, k) array with -inf where M is 0, or CSR whose stored data are the logarithms of the entries that are not 0.
    """

    def __init__(self, log_entries: Matrix):
        self.log_entries = log_entries
        if isinstance(log_entries, np.ndarray):
            self.scale = np.maximum(log_entries.max(axis=1), LOWEST)
            self.matrix = np.exp(log_entries - self.scale[:, None])
        else:
            rows = np.repeat(np.arange(log_entries.shape[0]), np.diff(log_entries.indptr))
            self.scale = np.maximum(_row_max(log_entries.data, log_entries.indptr), LOWEST)
            data = np.exp(log_entries.data - self.scale[rows])
            self.matrix = sp.csr_array((data, log_entries.indices, log_entries.indptr), shape=log_entries.shape)

    def matvec(self, x: Floats) -> Floats:
        """log Σ_j M_ij exp(x_j) for each row i.  (k,) -> (n,)"""
        top = max(x.max(), LOWEST)
        product = self.matrix @ np.exp(x - top)
        low = product < SAFE
        with np.errstate(over="ignore"):  # where x is -inf throughout, LOWEST + scale is -inf too
            result = log(product) + (top + self.scale)
        if low.any():
            result[low] = self._rows(np.flatnonzero(low), x)
        return result

    def condition(self, x: Floats) -> Matrix:
        """M_ij exp(x_j) divided by its sum over j: Bayes' rule on each row.  A row that sums to 0 stays 0.  (k,) -> like M"""
        if isinstance(self.log_entries, np.ndarray):
            terms = self.log_entries + x
            weights = np.exp(terms - np.maximum(terms.max(axis=1), LOWEST)[:, None])
            total = weights.sum(axis=1)[:, None]
            return np.divide(weights, total, out=weights, where=total > 0)
        terms, counts = self.log_entries.data + x[self.log_entries.indices], np.diff(self.log_entries.indptr)
        weights = np.exp(terms - np.repeat(np.maximum(_row_max(terms, self.log_entries.indptr), LOWEST), counts))
        rows = sp.csr_array((weights, self.log_entries.indices, self.log_entries.indptr), shape=self.log_entries.shape)
        total = np.repeat(rows.sum(axis=1), counts)
        np.divide(weights, total, out=weights, where=total > 0)
        return rows

    def _rows(self, rows: NDArray[np.intp], x: Floats) -> Floats:
        if isinstance(self.log_entries, np.ndarray):
            return log_sum_exp((self.log_entries[rows] + x).T)
        chosen = self.log_entries[rows]
        terms = chosen.data + x[chosen.indices]
        top = np.maximum(_row_max(terms, chosen.indptr), LOWEST)
        weights = np.exp(terms - np.repeat(top, np.diff(chosen.indptr)))
        return log(np.add.reduceat(np.append(weights, 0.0), chosen.indptr[:-1]) * (np.diff(chosen.indptr) > 0)) + top


def _row_max(data: Floats, indptr: NDArray[np.integer]) -> Floats:
    """Largest stored value of each CSR row; -inf for an empty row."""
    largest = np.maximum.reduceat(np.append(data, -np.inf), indptr[:-1])
    return np.where(np.diff(indptr) > 0, largest, -np.inf)


# -- the checks at the door: each names the argument, the place and the value -------------------------------------------------------


def reject(name: str, where: Any, value: Any, why: str) -> NoReturn:
    """Raise the ValueError that all checks share."""
    place = f"{name}[{', '.join(str(int(i)) for i in where)}]" if len(where) else name
    raise ValueError(f"{place} = {value}: {why}")


def as_floats(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> Floats:
    """`value` as a float64 array of the given shape (None: any length), without NaN.  ValueError otherwise."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: not an array of numbers ({error})") from None
    if array.ndim != len(shape) or any(want is not None and want != have for want, have in zip(shape, array.shape, strict=True)):
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        raise ValueError(f"{name} has shape {array.shape}, expected {wanted}")
    if np.isnan(array).any():
        where = np.argwhere(np.isnan(array))[0]
        reject(name, where, "nan", "not a number")
    return array


def as_distributions(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> Floats:
    """`value` as probabilities that sum to 1 over the last axis.  ValueError with the first offending place otherwise."""
    array = as_floats(name, value, shape)
    check_probabilities(name, array)
    return array


def check_probabilities(name: str, array: Floats) -> None:
    """Each entry is finite and not negative, and each row (last axis) sums to 1."""
    wrong = (array < 0) | np.isinf(array)
    if wrong.any():
        where = np.argwhere(wrong)[0]
        reject(name, where, array[tuple(where)], "not a probability")
    check_sums(name, np.asarray(array.sum(axis=-1)))


def check_sums(name: str, sums: Floats) -> None:
    """Each sum of probabilities is 1 up to ROUNDING."""
    off = np.abs(sums - 1) > ROUNDING
    if off.any():
        where = np.argwhere(off)[0]
        reject(name, where, f"row with sum {sums[tuple(where)]:.9g}", "a distribution must sum to 1")


def as_number(name: str, value: Any, low: float, high: float = np.inf, *, open_low: bool = False) -> float:
    """`value` as a finite float in [low, high] (or (low, high] where `open_low`)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise ValueError(f"{name} = {value!r}: not a number")
    number = float(value)
    if not (low <= number <= high) or (open_low and number == low) or np.isinf(number):
        bounds = f"{'>' if open_low else 'at least'} {low:g}" if high == np.inf else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} = {value!r}: must be a finite number {bounds}")
    return number


def as_temperature(value: Any) -> float:
    """A temperature η, finite and above 0."""
    return as_number("temperature", value, 0.0, open_low=True)


def as_count(name: str, value: Any, low: int = 1) -> int:
    """`value` as an int that is at least `low`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{name} = {value!r}: must be a whole number, at least {low}")
    return int(value)
