"""Planners against one another, against brute force, against the definition, and against numbers that others published."""

from dataclasses import replace
from itertools import product

import gymnasium
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import soft_optimality as so
from worlds_and_enumeration import cases, random_world

METHODS = ["value", "modified", "newton", "krylov", "auto"]


def planners(temperature=0.7, prior=None):
    return {
        "hard": lambda mdp, **k: so.value_iteration(mdp, **k),
        "soft": lambda mdp, **k: so.soft_value_iteration(mdp, temperature, prior=prior, **k),
        "optimistic": lambda mdp, **k: so.optimistic_value_iteration(mdp, temperature, prior=prior, **k),
    }


# -- finite horizon ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(cases(max_horizon=2))
def test_hard_planning_is_the_best_of_all_deterministic_policies(case):
    mdp, steps = case.mdp, case.horizon
    plan = so.value_iteration(mdp, horizon=steps)
    best = -np.inf
    for choice in product(range(mdp.n_actions), repeat=steps * mdp.n_states):
        policy = np.eye(mdp.n_actions)[np.reshape(choice, (steps, mdp.n_states))]
        best = max(best, so.expected_return(mdp, policy, steps))
    start = mdp.initial > 0
    assert mdp.initial[start] @ plan.v[0][start] == pytest.approx(best, abs=1e-12)
    assert so.expected_return(mdp, plan.policy, steps) == pytest.approx(best, abs=1e-12)


@settings(max_examples=200)
@given(cases())
def test_dense_and_sparse_dynamics_give_the_same_plans(case):
    mdp = case.mdp
    dense = so.MDP(mdp.dense_transition(), mdp.dense_reward(), mdp.initial, 0.9, mdp.terminal)
    flat = sp.csr_array(mdp.dense_transition().reshape(-1, mdp.n_states))
    rewards = np.where(flat.toarray() > 0, mdp.dense_reward().reshape(-1, mdp.n_states), 0.0)
    sparse = so.MDP(flat, sp.csr_array(rewards), mdp.initial, 0.9, mdp.terminal)
    for plan in planners(case.temperature, case.prior).values():
        for kind in ({"horizon": case.horizon}, {"tolerance": 1e-9}):
            a, b = plan(dense, **kind), plan(sparse, **kind)
            np.testing.assert_allclose(a.q, b.q, atol=1e-8)
            np.testing.assert_allclose(a.v, b.v, atol=1e-8)
            np.testing.assert_allclose(a.policy, b.policy, atol=1e-6)


@settings(max_examples=200)
@given(cases())
def test_soft_planning_satisfies_its_two_equations_entry_by_entry(case):
    mdp, eta = case.mdp, case.temperature
    plan = so.soft_value_iteration(mdp, eta, prior=case.prior, horizon=case.horizon)
    p, r = mdp.dense_transition(), mdp.dense_reward()
    rho = np.ones(mdp.n_actions) if case.prior is None else case.prior
    rho = np.broadcast_to(rho, mdp.shape)
    for t, s in product(range(case.horizon), range(mdp.n_states)):
        after = plan.v[t + 1] if t + 1 < case.horizon else np.zeros(mdp.n_states)
        if mdp.terminal[s]:
            assert plan.v[t, s] == 0
            continue
        q = [sum(p[s, a, z] * (r[s, a, z] + after[z]) for z in range(mdp.n_states) if p[s, a, z] > 0) for a in range(mdp.n_actions)]
        np.testing.assert_allclose(plan.q[t, s], q, atol=1e-12)
        top = max((x for x, w in zip(q, rho[s]) if w > 0), default=-np.inf)
        if top == -np.inf:
            assert plan.v[t, s] == -np.inf
            continue
        weights = np.array([w * np.exp((x - top) / eta) for x, w in zip(q, rho[s])])
        assert plan.v[t, s] == pytest.approx(top + eta * np.log(weights.sum()), abs=1e-12)
        np.testing.assert_allclose(plan.policy[t, s], weights / weights.sum(), atol=1e-12)


# -- discounted -------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.sampled_from(["full", "some", "one"]))
def test_every_method_reaches_the_same_fixed_point_within_tolerance(seed, sparse, landing, discount, support):
    rng = np.random.default_rng(seed)
    mdp = random_world(rng, states=6, actions=3, discount=discount, sparse=sparse, landing=landing, support=support, terminals=seed % 2, forbid=0.2)
    for name, plan in planners(0.3, rng.dirichlet(np.ones(3), 6)).items():
        exact = plan(mdp, method="newton", tolerance=1e-13)
        for method in METHODS:
            found = plan(mdp, method=method, tolerance=1e-6)
            np.testing.assert_allclose(found.v, exact.v, atol=1e-6, err_msg=f"{name} {method}")
            np.testing.assert_allclose(found.q, exact.q, atol=1e-6, err_msg=f"{name} {method}")


@settings(max_examples=60)
@given(cases())
def test_a_long_horizon_tends_to_the_discounted_fixed_point(case):
    mdp = replace(case.mdp, discount=0.5)
    for plan in planners(case.temperature, case.prior).values():
        np.testing.assert_allclose(plan(mdp, horizon=60).v[0], plan(mdp).v, atol=1e-7)


@settings(max_examples=100)
@given(cases())
def test_soft_policy_evaluation_of_the_soft_plan_gives_the_plan_back(case):
    mdp = replace(case.mdp, discount=0.8)
    plan = so.soft_value_iteration(mdp, case.temperature, prior=case.prior, tolerance=1e-11)
    value = so.evaluate_policy(mdp, plan.policy, case.temperature, prior=case.prior)
    np.testing.assert_allclose(value.v, plan.v, atol=1e-8)
    other = so.evaluate_policy(mdp, case.policy(steps=False), case.temperature, prior=case.prior)
    assert (other.v <= plan.v + 1e-8).all()


def test_policy_evaluation_is_the_sum_of_discounted_rewards():
    rng = np.random.default_rng(3)
    mdp = random_world(rng, states=5, actions=3, discount=0.9, landing=True)
    policy = rng.dirichlet(np.ones(3), 5)
    p = np.einsum("sa,sat->st", policy, mdp.dense_transition())
    r = np.einsum("sa,sat,sat->s", policy, mdp.dense_transition(), mdp.dense_reward())
    total, state = 0.0, mdp.initial
    for t in range(400):
        total += 0.9**t * state @ r
        state = state @ p
    assert so.expected_return(mdp, policy) == pytest.approx(total, abs=1e-12)
    occupancy = so.occupancy(mdp, policy)
    assert occupancy.sum() == pytest.approx(10.0, abs=1e-10)
    assert (occupancy * mdp.mean_reward).sum() == pytest.approx(total, abs=1e-12)


@settings(max_examples=100)
@given(cases())
def test_occupancy_of_each_step_sums_to_one_and_explains_the_return(case):
    policy = case.policy()
    visits = so.occupancy(case.mdp, policy, case.horizon)
    np.testing.assert_allclose(visits.sum(axis=(1, 2)), 1, atol=1e-12)
    paid = np.where(visits > 0, visits * np.where(visits > 0, case.mdp.mean_reward, 0.0), 0.0).sum()
    assert so.expected_return(case.mdp, policy, case.horizon) == pytest.approx(paid, abs=1e-10)


# -- undiscounted, without a horizon ----------------------------------------------------------------------------------------------

CORRIDOR = ["S...", ".##.", "...G"]


def test_without_discount_the_shortest_way_is_found_by_every_method():
    world = so.worlds.gridworld(CORRIDOR)
    for method in METHODS:
        plan = so.value_iteration(world, method=method)
        assert plan.v[world.state(0, 0)] == pytest.approx(-5, abs=1e-8)
        assert so.expected_return(world, plan.policy) == pytest.approx(-5, abs=1e-8)


def test_without_discount_soft_planning_agrees_with_a_long_horizon():
    world = so.worlds.gridworld(CORRIDOR, slip=0.3)
    for plan in planners(0.5, np.full(4, 0.25)).values():
        for method in METHODS:
            np.testing.assert_allclose(plan(world, method=method).v, plan(world, horizon=2000).v[0], atol=1e-7)


def test_without_discount_or_a_way_to_end_planning_is_refused():
    mdp = so.MDP(np.ones((1, 1, 1)), [[-1.0]])
    for plan in planners().values():
        with pytest.raises(ValueError, match=r"discount = 1 without a horizon.*state 0"):
            plan(mdp)
    with pytest.raises(ValueError, match="never ends from state 0"):
        so.expected_return(mdp, [[1.0]])
    with pytest.raises(ValueError, match="never ends from state 0"):
        so.occupancy(mdp, [[1.0]])


def test_when_dithering_pays_soft_planning_does_not_converge_and_says_so():
    # under the counting measure four actions are worth η log 4 a step, more than a step costs here
    world = so.worlds.gridworld(CORRIDOR, step_reward=-0.1)
    for method in METHODS:
        with pytest.raises(so.NotConverged) as caught:
            so.soft_value_iteration(world, 1.0, method=method, max_iterations=200)
        assert caught.value.residual > 0 and caught.value.iterations <= 200


@pytest.mark.parametrize("method", METHODS)
def test_messages_that_diverge_are_never_returned(method):
    # surviving pays more than ending takes away: β = exp(r)(0.9 Pβ + 0.1) has no finite positive solution
    p, r = np.zeros((4, 2, 4)), np.zeros((4, 2))
    p[0, 0, 0] = p[0, 1, 1] = p[1, :, 2] = p[2, :, 0] = 0.9
    p[:3, :, 3] = 0.1
    p[3, :, 3] = 1.0
    r[0, 0], r[2] = 1.0, 3.2
    mdp = so.MDP(p, r, terminal=np.arange(4) == 3)
    with pytest.raises(so.NotConverged):
        so.optimistic_value_iteration(mdp, 1.0, prior=[0.5, 0.5], method=method, max_iterations=500)


def test_a_run_that_is_stopped_early_raises_with_its_residual():
    mdp = random_world(np.random.default_rng(0), states=4, discount=0.99)
    with pytest.raises(so.NotConverged, match="tolerance = 1e-08 was not reached") as caught:
        so.value_iteration(mdp, method="value", max_iterations=5)
    assert caught.value.iterations == 5 and caught.value.residual > 1e-3


# -- exact at the edges -----------------------------------------------------------------------------------------------------------


def test_a_forbidden_landing_is_minus_inf_for_planning_and_a_chance_lost_for_the_posterior():
    # action 0 lands in state 1 or 2 by a coin; landing in 2 is forbidden.  Action 1 lands in 1 for a fee of 3.
    p = np.zeros((3, 2, 3))
    p[0, 0, 1:] = 0.5
    p[0, 1, 1] = 1.0
    p[1:, :, 1] = 1.0
    r = np.zeros((3, 2, 3))
    r[0, 0, 2] = -np.inf
    r[0, 1, 1] = -3.0
    mdp = so.MDP(p, r, discount=0.5)
    hard, soft, optimist = (plan(mdp) for plan in planners(1.0, [0.5, 0.5]).values())
    assert hard.q[0].tolist() == [-np.inf, -3.0] and hard.v[0] == -3.0
    assert soft.policy[0].tolist() == [0.0, 1.0] and soft.v[0] == pytest.approx(-3 + np.log(0.5))
    assert optimist.q[0, 0] == pytest.approx(np.log(0.5))


def test_doom_spreads_exactly_as_far_as_it_must():
    # 0 may stay safe; 1 must risk 2; in 2 every action risks a forbidden landing
    p = np.zeros((3, 2, 3))
    p[0, 0, 0] = 1.0
    p[0, 1, 1] = 1.0
    p[1, :, 2] = p[1, :, 0] = 0.5
    p[2, :, 2] = p[2, :, 0] = 0.5
    r = np.zeros((3, 2, 3))
    r[2, :, 2] = -np.inf
    for discount in (0.9, 0.5):
        for sparse in (False, True):
            mdp = so.MDP(sp.csr_array(p.reshape(6, 3)) if sparse else p, r, discount=discount)
            for name, plan in planners(1.0, [0.4, 0.6]).items():
                for method in METHODS:
                    found = plan(mdp, method=method)
                    assert not np.isnan(found.q).any() and not np.isnan(found.policy).any()
                    if name == "optimistic":
                        assert np.isfinite(found.v).all()
                        continue
                    assert np.isneginf(found.v).tolist() == [False, True, True]
                    assert found.policy[0].tolist() == [1.0, 0.0]
                    np.testing.assert_array_equal(found.policy[1], [0.5, 0.5] if name == "hard" else [0.4, 0.6])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [1e-8, 1e-3, 1.0, 1e3, 1e8])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_extreme_temperatures_and_rewards_stay_finite_and_correct(method, temperature, scale):
    base = random_world(np.random.default_rng(5), states=5, actions=3, discount=0.9)
    mdp = replace(base, reward=base.reward * scale)
    uniform = np.full(3, 1 / 3)
    hard = so.value_iteration(mdp, method=method)
    wandering = so.evaluate_policy(mdp, np.tile(uniform, (5, 1)))
    for plan in (so.soft_value_iteration, so.optimistic_value_iteration):
        found = plan(mdp, temperature, prior=uniform, method=method)
        assert np.isfinite(found.v).all() and np.isfinite(found.q).all()
        np.testing.assert_allclose(found.policy.sum(axis=1), 1, atol=1e-12)
        assert (wandering.v <= found.v + 1e-6 * (scale + temperature * 1e-7)).all()
    soft = so.soft_value_iteration(mdp, temperature, prior=uniform, method=method).v
    if temperature <= 1e-3 * scale:
        np.testing.assert_allclose(soft, hard.v, rtol=0, atol=10 * temperature * np.log(3) + 1e-7 * scale)
    if temperature >= 1e3 * scale:
        np.testing.assert_allclose(soft, wandering.v, atol=100 * scale**2 / temperature + 1e-6)
    counted = so.soft_value_iteration(mdp, temperature, method=method).v
    np.testing.assert_allclose(counted, soft + 10 * temperature * np.log(3), rtol=1e-9, atol=1e-6)


# -- published numbers --------------------------------------------------------------------------------------------------------------


def test_frozen_lake():
    lake = so.worlds.from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=True), discount=0.99)
    for method in METHODS:
        assert so.value_iteration(lake, method=method).v[0] == pytest.approx(0.542026, abs=5e-7)


def test_puterman_6_2_1_as_quantecon_has_it():
    beta = 0.95
    mdp = so.MDP(np.array([[[0.5, 0.5], [0, 1]], [[0, 1], [0, 1]]]), [[5, 10], [-1, -np.inf]], discount=beta)
    expected = [(5 - 5.5 * beta) / ((1 - 0.5 * beta) * (1 - beta)), -1 / (1 - beta)]
    for method in METHODS:
        np.testing.assert_allclose(so.value_iteration(mdp, method=method).v, expected, atol=1e-8)


def test_puterman_4_6_1_backward_induction_as_quantecon_has_it():
    demand = np.array([[1, 0, 0, 0], [0.75, 0.25, 0, 0], [0.25, 0.5, 0.25, 0], [0, 0.25, 0.5, 0.25]])
    r, p = np.full((4, 4), -np.inf), np.zeros((4, 4, 4))
    p[..., 0] = 1
    for s, a, x in zip([0, 0, 0, 0, 1, 1, 1, 2, 2, 3], [0, 1, 2, 3, 0, 1, 2, 0, 1, 0], [0, -1, -2, -5, 5, 0, -3, 6, -1, 5], strict=True):
        r[s, a], p[s, a] = x, demand[s + a]
    plan = so.value_iteration(so.MDP(p, r), horizon=3)
    np.testing.assert_allclose(plan.v, [[67 / 16, 129 / 16, 194 / 16, 227 / 16], [2, 25 / 4, 10, 21 / 2], [0, 5, 6, 5]], atol=1e-14)
    cold = so.soft_value_iteration(so.MDP(p, r), 1e-6, horizon=3)
    np.testing.assert_allclose(cold.v, plan.v, atol=1e-5)


def test_pymdptoolbox_forest_and_small():
    forest = np.array([[[0.1, 0.9, 0], [0.1, 0, 0.9], [0.1, 0, 0.9]], [[1, 0, 0]] * 3]).transpose(1, 0, 2)
    r = np.array([[0, 0], [0, 1], [4, 2.0]])
    np.testing.assert_allclose(so.value_iteration(so.MDP(forest, r, discount=0.96)).v, [74.6496, 78.1056, 82.1056], atol=1e-8)
    np.testing.assert_allclose(so.value_iteration(so.MDP(forest, r, discount=0.9)).v, [26.244, 29.484, 33.484], atol=1e-8)
    three = so.value_iteration(so.MDP(forest, r, discount=0.9), horizon=3).v
    np.testing.assert_allclose(three.T, [[2.6973, 0.81, 0], [5.9373, 3.24, 1], [9.9373, 7.24, 4]], atol=1e-12)
    small = np.array([[[0.5, 0.5], [0, 1]], [[0.8, 0.2], [0.1, 0.9]]])
    mdp = so.MDP(small, [[5, 10], [-1, 2.0]], discount=0.9)
    np.testing.assert_allclose(so.value_iteration(mdp).v, [42.4418604651163, 36.0465116279070], atol=1e-8)


def test_a_hundred_by_hundred_slippery_grid_solves():
    rows = ["." * 100] * 99 + ["." * 99 + "G"]
    uniform = np.full(4, 0.25)
    for discount in (0.99, 0.9999):
        world = so.worlds.gridworld(rows, slip=0.2, discount=discount)
        for plan in (so.value_iteration(world, tolerance=1e-6), so.soft_value_iteration(world, 0.1, prior=uniform, tolerance=1e-6)):
            assert plan.residual <= 1e-6 * (1 - discount) / discount


# -- bad input ----------------------------------------------------------------------------------------------------------------------

MDP = so.MDP(np.ones((1, 2, 1)), [[0.0, 1.0]], discount=0.9)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: so.soft_value_iteration(MDP, 0.0), "temperature = 0.0"),
        (lambda: so.soft_value_iteration(MDP, -1), "temperature = -1"),
        (lambda: so.soft_value_iteration(MDP, float("nan")), "temperature = nan"),
        (lambda: so.soft_value_iteration(MDP, float("inf")), "temperature = inf"),
        (lambda: so.soft_value_iteration(MDP, True), "temperature = True"),
        (lambda: so.optimistic_value_iteration(MDP, "hot"), "temperature = 'hot'"),
        (lambda: so.value_iteration(MDP, horizon=0), "horizon = 0"),
        (lambda: so.value_iteration(MDP, horizon=2.5), "horizon = 2.5"),
        (lambda: so.value_iteration(MDP, tolerance=0.0), "tolerance = 0.0"),
        (lambda: so.value_iteration(MDP, method="magic"), "method = 'magic'"),
        (lambda: so.value_iteration(MDP, max_iterations=0), "max_iterations = 0"),
        (lambda: so.soft_value_iteration(MDP, prior=[0.5, 0.6]), "prior = row with sum 1.1"),
        (lambda: so.soft_value_iteration(MDP, prior=[0.5, 0.25, 0.25]), r"prior has shape \(3,\), expected \(2,\)"),
        (lambda: so.soft_value_iteration(MDP, prior=[1.5, -0.5]), r"prior\[1\] = -0.5"),
        (lambda: so.evaluate_policy(MDP, [[0.5, 0.4]]), r"policy\[0\] = row with sum 0.9"),
        (lambda: so.evaluate_policy(MDP, [0.5, 0.5]), r"policy has shape \(2,\)"),
        (lambda: so.evaluate_policy(MDP, [[[0.5, 0.5]]]), "needs a horizon"),
        (lambda: so.evaluate_policy(MDP, [[[0.5, 0.5]]], horizon=2), r"policy has shape \(1, 1, 2\), expected \(2, 1, 2\)"),
        (lambda: so.evaluate_policy(MDP, [[0.5, 0.5]], -0.1), "temperature = -0.1"),
        (lambda: so.condition_on_optimality(MDP, 0), "horizon = 0"),
    ],
)
def test_bad_arguments_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("method", ["value", "modified", "newton", "auto"])  # a rough solve may settle on a loop's other fixed point, and says so
def test_where_loops_are_free_the_policy_still_ends(method):
    """FrozenLake at γ = 1: many actions are equally good, and some of them go round for ever."""
    lake = so.worlds.from_gymnasium(gymnasium.make("FrozenLake-v1"))
    plan = so.value_iteration(lake, method=method)
    assert plan.v[0] == pytest.approx(14 / 17, abs=1e-7)
    assert so.expected_return(lake, plan.policy) == pytest.approx(14 / 17, abs=1e-7)
