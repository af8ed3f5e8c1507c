"""The four backups, and what the book claims of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soft_optimality import backups
from worlds_and_enumeration import random_world


@st.composite
def worlds(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    mdp = random_world(rng, states=4, actions=3, discount=draw(st.sampled_from([0.5, 0.9, 1.0])), sparse=draw(st.booleans()),
                       landing=draw(st.booleans()), support=draw(st.sampled_from(["full", "some", "one"])))  # fmt: skip
    return mdp, rng, draw(st.sampled_from([0.05, 0.5, 3.0, 40.0]))


@given(worlds())
def test_look_aheads_agree_with_their_definitions(world):
    mdp, rng, eta = world
    v = rng.normal(size=4)
    p, r = mdp.dense_transition(), mdp.dense_reward()
    ahead = r + mdp.discount * v
    np.testing.assert_allclose(backups.expected_q(mdp, v), (p * ahead).sum(axis=2), atol=1e-12)
    with np.errstate(divide="ignore"):
        expected = eta * np.logaddexp.reduce(np.log(p) + ahead / eta, axis=2)
    np.testing.assert_allclose(backups.optimistic_q(mdp, v, eta), expected, atol=1e-11)
    bent = p * np.exp((ahead - expected[:, :, None]) / eta)
    found = backups.posterior_dynamics(mdp, v, eta)
    found = found if isinstance(found, np.ndarray) else found.toarray()
    np.testing.assert_allclose(found.reshape(3, 4, 4).swapaxes(0, 1), bent, atol=1e-10)


@given(worlds())
def test_the_optimist_is_never_below_the_expectation_and_equal_without_chance(world):
    mdp, rng, eta = world
    v = rng.normal(size=4)
    gap = backups.optimistic_q(mdp, v, eta) - backups.expected_q(mdp, v)
    assert (gap >= -1e-11).all()
    if (mdp.dense_transition().max(axis=2) == 1).all():
        np.testing.assert_allclose(gap, 0, atol=1e-11)


@given(worlds())
def test_all_four_backups_contract_at_the_discount(world):
    mdp, rng, eta = world
    a, b = rng.normal(size=(2, 4)) * 5
    rho = rng.dirichlet(np.ones(3), 4)
    for look in (lambda v: backups.expected_q(mdp, v), lambda v: backups.optimistic_q(mdp, v, eta)):
        for choose in (backups.hard_v, lambda q: backups.soft_v(q, eta), lambda q: backups.soft_v(q, eta, rho)):
            assert np.abs(choose(look(a)) - choose(look(b))).max() <= mdp.discount * np.abs(a - b).max() + 1e-11


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1e-2, 1.0, 1e2]))
def test_the_soft_maximum_lies_between_its_bounds(seed, eta):
    rng = np.random.default_rng(seed)
    q, rho = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(3), 5)
    best, counted, weighed = backups.hard_v(q), backups.soft_v(q, eta), backups.soft_v(q, eta, rho)
    assert (best <= counted + 1e-12).all() and (counted <= best + eta * np.log(3) + 1e-12).all()
    assert ((q + eta * np.log(rho)).max(axis=1) <= weighed + 1e-12).all() and (weighed <= best + 1e-12).all()
    policy = backups.boltzmann_policy(q, eta, rho)
    np.testing.assert_allclose(policy, rho * np.exp((q - weighed[:, None]) / eta), atol=1e-9)


def test_greedy_takes_the_lowest_index_among_equals():
    assert backups.greedy_policy(np.array([[1.0, 1.0], [0.0, 2.0]])).tolist() == [[1, 0], [0, 1]]


def test_forbidden_actions_have_probability_zero_and_a_state_without_actions_a_row_of_zeros():
    q = np.array([[-np.inf, 0.0], [-np.inf, -np.inf]])
    assert backups.boltzmann_policy(q).tolist() == [[0, 1], [0, 0]]
    assert backups.soft_v(q).tolist() == [0.0, -np.inf]
    rho = np.array([[1.0, 0.0], [0.5, 0.5]])  # the prior forbids what the reward allows
    assert backups.soft_v(q, 1.0, rho).tolist() == [-np.inf, -np.inf]
    assert backups.boltzmann_policy(q, 1.0, rho).tolist() == [[0, 0], [0, 0]]
    assert backups.boltzmann_policy(np.array([[5.0, 1.0]]), 1e-9, np.array([[0.0, 1.0]])).tolist() == [[0, 1]]


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_change_an_answer(order):
    q = np.random.default_rng(0).normal(size=(6, 3))
    np.testing.assert_array_equal(backups.soft_v(np.array(q, order=order)), backups.soft_v(q))


@pytest.mark.parametrize("prior", [None, np.array([[0.5, 0.2, 0.3]])])
def test_whole_numbers_are_numbers(prior):
    q = np.array([[2, -1, 0]])
    for choose in (backups.soft_v, backups.boltzmann_policy):
        np.testing.assert_array_equal(choose(q, 0.5, prior), choose(q.astype(float), 0.5, prior))
    assert backups.greedy_policy(q).dtype == float


def test_all_steps_at_once_are_the_steps_one_by_one():
    q, prior = np.random.default_rng(0).normal(size=(5, 4, 3)), np.random.default_rng(1).dirichlet(np.ones(3), 4)
    for choose in (backups.hard_v, backups.greedy_policy, backups.soft_v, lambda q: backups.soft_v(q, 0.3, prior),
                   lambda q: backups.boltzmann_policy(q, 0.3, prior)):  # fmt: skip
        np.testing.assert_allclose(choose(q), [choose(step) for step in q], rtol=1e-14)
