"""What an MDP refuses, and what it keeps."""

import numpy as np
import pytest
import scipy.sparse as sp

import soft_optimality as so

P = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.75]]])
R = np.array([[0.0, 1.0], [2.0, 3.0]])


def changed(array, where, value):
    copy = array.copy()
    copy[where] = value
    return copy


def flat(p):
    return sp.csr_array(p.reshape(-1, p.shape[-1]))


@pytest.mark.parametrize("make", [lambda p: p, flat], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    "p, message",
    [
        (changed(P, (0, 1, 1), 0.9), r"transition\[0, 1\] = row with sum 0.9"),
        (changed(P, (1, 0), [1.5, -0.5]), r"transition\[1, 0, 1\] = -0.5: not a probability"),
        (changed(P, (1, 1, 0), np.nan), r"transition\[1, 1, 0\] = nan"),
        (changed(P, (1, 1, 0), np.inf), r"transition\[1, 1, 0\] = inf"),
    ],
)
def test_transitions_that_are_no_distributions_are_named(make, p, message):
    with pytest.raises(ValueError, match=message):
        so.MDP(make(p), R)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"transition": P[0]}, r"transition has shape \(2, 2\)"),
        ({"transition": sp.csr_array(np.ones((3, 2)))}, r"transition has shape \(3, 2\), expected \(S\*A, S\)"),
        ({"reward": R[0]}, r"reward has shape \(2,\), expected \(2, 2\)"),
        ({"reward": np.zeros((2, 2, 3))}, r"reward has shape \(2, 2, 3\), expected \(2, 2, 2\)"),
        ({"reward": sp.csr_array(np.ones((2, 2)))}, r"reward has shape \(2, 2\), expected \(4, 2\)"),
        ({"reward": changed(R, (1, 0), np.nan)}, r"reward\[1, 0\] = nan"),
        ({"reward": changed(R, (1, 0), np.inf)}, r"reward\[1, 0\] = inf"),
        ({"reward": [["a", "b"], [1, 2]]}, "reward: not an array of numbers"),
        ({"reward": changed(R, 1, -np.inf)}, r"reward\[1\] = -inf for every action"),
        ({"initial": [0.5, 0.6]}, "initial = row with sum 1.1"),
        ({"initial": [1.0]}, r"initial has shape \(1,\), expected \(2,\)"),
        ({"initial": [2.0, -1.0]}, r"initial\[1\] = -1.0"),
        ({"discount": 1.1}, "discount = 1.1"),
        ({"discount": -0.1}, "discount = -0.1"),
        ({"discount": float("nan")}, "discount = nan"),
        ({"terminal": [0, 1]}, "terminal has shape"),
        ({"terminal": np.array([True])}, r"terminal has shape \(1,\)"),
    ],
)
def test_bad_arguments_are_named_with_their_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        so.MDP(**{"transition": P, "reward": R, **arguments})


def test_a_landing_reward_that_is_not_a_number_is_named_in_sparse_form_too():
    rewards = flat(np.ones_like(P))
    rewards.data[2] = np.inf
    with pytest.raises(ValueError, match=r"reward\[0, 1, 1\] = inf|reward\[0, 1, 0\] = inf"):
        so.MDP(flat(np.full((2, 2, 2), 0.5)), rewards)


def test_defaults_and_sizes():
    mdp = so.MDP(P, R)
    assert mdp.shape == (2, 2) == so.MDP(flat(P), R).shape
    assert mdp.initial.tolist() == [0.5, 0.5] and mdp.discount == 1.0 and not mdp.terminal.any()
    assert repr(so.MDP(flat(P), R)) == "MDP(2 states, 2 actions, sparse, discount=1)"


@pytest.mark.parametrize("make", [lambda p: p.copy(), flat], ids=["dense", "sparse"])
def test_terminal_states_become_self_loops_that_pay_nothing_and_the_input_is_left_alone(make):
    given = make(P)
    before = given.copy()
    mdp = so.MDP(given, R, terminal=np.array([False, True]))
    np.testing.assert_array_equal(mdp.dense_transition()[1], [[0, 1], [0, 1]])
    np.testing.assert_array_equal(mdp.reward, [[0, 1], [0, 0]])
    assert abs(given - before).max() == 0 and R[1, 0] == 2.0


def test_the_rows_of_a_terminal_state_are_not_read():
    so.MDP(changed(P, 1, np.nan), changed(R, 1, -np.inf), terminal=np.array([False, True]))


@pytest.mark.parametrize("make", [lambda p: p, flat], ids=["dense", "sparse"])
def test_mean_reward_averages_what_is_paid_on_landing(make):
    rng = np.random.default_rng(0)
    landing = rng.normal(size=(2, 2, 2))
    landing[0, 1, 0] = -np.inf  # cannot happen: p = 0 there
    expected = np.where(P > 0, P * np.where(P > 0, landing, 0), 0).sum(axis=2)
    np.testing.assert_allclose(so.MDP(make(P), landing).mean_reward, expected, atol=1e-15)
    on_pattern = sp.csr_array(np.where(P > 0, landing, 0.0).reshape(4, 2))
    np.testing.assert_allclose(so.MDP(make(P), on_pattern).mean_reward, expected, atol=1e-15)


@pytest.mark.parametrize("make", [lambda p: p, flat], ids=["dense", "sparse"])
def test_expectation_of_minus_inf_is_minus_inf_only_where_it_can_be_reached(make):
    expectation = so.MDP(make(P), R).expectation(np.array([-np.inf, 2.0]))
    np.testing.assert_array_equal(expectation, [[-np.inf, 2.0], [-np.inf, -np.inf]])


def test_state_action_order_of_sparse_rows_is_state_major():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), (3, 2))
    v = rng.normal(size=3)
    np.testing.assert_allclose(so.MDP(flat(p), np.zeros((3, 2))).expectation(v), p @ v, atol=1e-15)
