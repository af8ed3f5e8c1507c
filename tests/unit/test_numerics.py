"""Sums of exponentials against exact and arbitrary-precision references."""

from fractions import Fraction
from math import log as exact_log

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from soft_optimality import numerics
from soft_optimality.numerics import LogMatrix, log_mean_exp, log_sum_exp

LOGS = arrays(float, (3, 4), elements=st.one_of(st.floats(-1e4, 1e4), st.just(-np.inf)))


@given(LOGS)
def test_log_sum_exp_agrees_with_pairwise_logaddexp(x):
    np.testing.assert_allclose(log_sum_exp(x), np.logaddexp.reduce(x, axis=0), rtol=1e-13, atol=1e-12)


@given(LOGS, arrays(float, 3, elements=st.floats(0, 1)))
def test_log_mean_exp_weighs_and_ignores_weight_zero(x, weights):
    weights = weights + (weights.sum() == 0)
    weights = (weights / weights.sum())[:, None]
    terms = np.where(weights > 0, x + numerics.log(weights), -np.inf)
    np.testing.assert_allclose(log_mean_exp(x, weights), np.logaddexp.reduce(terms, axis=0), rtol=1e-12, atol=1e-12)


def test_log_mean_exp_keeps_the_digits_of_a_hot_temperature():
    x = np.array([1e-9, 3e-9])  # mean 2e-9, variance 1e-18: log E exp x = 2e-9 + 0.5e-18
    mean = log_mean_exp(x[:, None], np.array([[0.5], [0.5]]))[0]
    assert mean == pytest.approx(2.0000000005e-9, rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_log_matrix_is_exact_however_far_apart_the_values_lie(seed, sparse):
    rng = np.random.default_rng(seed)
    entries = np.where(rng.random((5, 6)) < 0.6, rng.normal(size=(5, 6)) * 10.0 ** rng.integers(-3, 4), -np.inf)
    x = np.where(rng.random(6) < 0.8, rng.normal(size=6) * 10.0 ** rng.integers(-3, 5), -np.inf)
    terms = entries + x
    expected = np.logaddexp.reduce(terms, axis=1)
    stored = sp.csr_array(np.where(np.isfinite(entries), 1.0, 0.0))
    stored.data = entries[np.isfinite(entries)]
    matrix = LogMatrix(stored if sparse else entries)
    np.testing.assert_allclose(matrix.matvec(x), expected, rtol=1e-12, atol=1e-11)
    rows = matrix.condition(x)
    rows = rows.toarray() if sparse else rows
    shares = np.exp(terms - np.where(np.isneginf(expected), 0.0, expected)[:, None])
    np.testing.assert_allclose(rows, shares, atol=1e-9)


def test_log_matrix_against_exact_fractions():
    weights = [Fraction(1, 3), Fraction(2, 3)]
    values = [Fraction(7), Fraction(1, 5)]
    exact = exact_log(sum(w * v for w, v in zip(weights, values, strict=True)))
    matrix = LogMatrix(np.log([[float(w) for w in weights]]))
    assert matrix.matvec(np.log([float(v) for v in values]))[0] == pytest.approx(exact, rel=1e-15)


def test_all_forbidden_is_minus_inf_and_nothing_is_nan():
    nothing = np.full((2, 1), -np.inf)
    assert log_sum_exp(nothing)[0] == -np.inf
    assert log_mean_exp(nothing, np.full((2, 1), 0.5))[0] == -np.inf
    assert LogMatrix(nothing.T).matvec(np.zeros(2))[0] == -np.inf
    assert LogMatrix(np.zeros((1, 2))).matvec(np.full(2, -np.inf))[0] == -np.inf
