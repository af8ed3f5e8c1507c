"""The posterior of chapter 2 and the objectives of chapters 5 and 6, against all trajectories written out."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from scipy.special import logsumexp

import soft_optimality as so
from worlds_and_enumeration import Case, cases, log_prior_and_reward, policy_chance, random_world, trajectories

WORLDS = settings(max_examples=500, deadline=None)


def enumerate_posterior(case: Case):
    """The paths, their log p(τ, O) and log p(O)."""
    paths = trajectories(case.mdp, case.horizon)
    logs = np.array([np.log(path.chance) + log_prior_and_reward(case, path) for path in paths])
    return paths, logs, logsumexp(logs) if len(logs) else -np.inf


def condition(case: Case) -> so.Posterior:
    return so.condition_on_optimality(case.mdp, case.horizon, case.temperature, prior=case.prior)


@WORLDS
@given(cases())
def test_the_posterior_agrees_with_all_trajectories_written_out(case):
    paths, logs, log_evidence = enumerate_posterior(case)
    assume(log_evidence > -np.inf)
    posterior = condition(case)
    assert posterior.log_evidence == pytest.approx(log_evidence, abs=1e-10, rel=1e-12)
    chance = np.exp(logs - log_evidence)
    states, pairs = np.zeros(posterior.states.shape), np.zeros(posterior.policy.shape)
    moves = np.zeros((case.horizon, *case.mdp.shape, case.mdp.n_states))
    for path, p in zip(paths, chance, strict=True):
        for t in range(case.horizon):
            states[t, path.states[t]] += p
            if path.actions[t] is not None:
                pairs[t, path.states[t], path.actions[t]] += p
                moves[t, path.states[t], path.actions[t], path.states[t + 1]] += p
    np.testing.assert_allclose(posterior.states, states, atol=1e-10)
    for t, s in np.argwhere(pairs.sum(axis=2) > 1e-200):
        np.testing.assert_allclose(posterior.policy[t, s], pairs[t, s] / pairs[t, s].sum(), atol=1e-10)
    for t, s, a in np.argwhere(moves[:-1].sum(axis=3) > 1e-200):
        np.testing.assert_allclose(posterior.dynamics[t, s, a], moves[t, s, a] / moves[t, s, a].sum(), atol=1e-10)


@settings(max_examples=200, deadline=None)
@given(cases(temperatures=(0.3, 1.0, 4.0)))
def test_messages_are_the_probabilities_they_are_named_for(case):
    assume(enumerate_posterior(case)[2] > -np.inf)
    posterior = condition(case)
    for t in range(case.horizon):
        # α_t: trajectories of t-1 steps; β_t: trajectories that start in s at step t
        prefix = np.full(case.mdp.n_states, -np.inf)
        for path in trajectories(case.mdp, t):
            weight = np.log(path.chance) + log_prior_and_reward(case, path)
            prefix[path.states[-1]] = np.logaddexp(prefix[path.states[-1]], weight)
        np.testing.assert_allclose(np.exp(posterior.log_forward[t]), np.exp(prefix - logsumexp(prefix)), atol=1e-10)
        for s in range(case.mdp.n_states):
            here = so.MDP(case.mdp.transition, case.mdp.reward, np.eye(case.mdp.n_states)[s], 1.0, case.mdp.terminal)
            rest = Case(here, case.prior, case.temperature, case.horizon - t, case.rng)
            paths, logs, total = enumerate_posterior(rest)
            assert posterior.log_backward_s[t, s] == pytest.approx(total, abs=1e-9)
            if not case.mdp.terminal[s]:
                for a in range(case.mdp.n_actions):
                    if case.prior is None:
                        mine = logsumexp([w for path, w in zip(paths, logs, strict=True) if path.actions[0] == a] or [-np.inf])
                        assert posterior.log_backward_sa[t, s, a] == pytest.approx(mine, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_states_are_proportional_to_forward_times_backward(case):
    assume(enumerate_posterior(case)[2] > -np.inf)
    posterior = condition(case)
    both = posterior.log_forward + posterior.log_backward_s
    np.testing.assert_allclose(posterior.states, np.exp(both - logsumexp(both, axis=1, keepdims=True)), atol=1e-10)


@WORLDS
@given(cases())
def test_evidence_minus_elbo_is_the_posterior_kl(case):
    assume(enumerate_posterior(case)[2] > -np.inf)
    policy = case.policy()
    elbo = so.elbo(case.mdp, policy, case.horizon, case.temperature, prior=case.prior)
    kl = so.posterior_kl(case.mdp, policy, case.horizon, case.temperature, prior=case.prior)
    gap = condition(case).log_evidence - elbo
    assert kl == pytest.approx(gap, abs=1e-10, rel=1e-11)


@settings(max_examples=300, deadline=None)
@given(cases())
def test_elbo_and_kl_agree_with_all_trajectories_written_out(case):
    paths, logs, log_evidence = enumerate_posterior(case)
    assume(log_evidence > -np.inf)
    policy = case.policy()
    q = np.array([path.chance * policy_chance(policy, path) for path in paths])
    with np.errstate(divide="ignore"):
        log_q_policy = np.log([policy_chance(policy, path) for path in paths])
    gains = np.array([log_prior_and_reward(case, path) for path in paths]) - log_q_policy
    elbo = (q * gains)[q > 0].sum()
    kl = (q * (np.log(q) - (logs - log_evidence)))[q > 0].sum() if (q > 0).any() else 0.0
    assert so.elbo(case.mdp, policy, case.horizon, case.temperature, prior=case.prior) == pytest.approx(elbo, abs=1e-9, rel=1e-11)
    assert so.posterior_kl(case.mdp, policy, case.horizon, case.temperature, prior=case.prior) == pytest.approx(kl, abs=1e-9, rel=1e-11)


@settings(max_examples=200, deadline=None)
@given(cases(forbid=False))
def test_the_best_elbo_is_the_soft_value_of_the_first_state(case):
    plan = so.soft_value_iteration(case.mdp, case.temperature, prior=case.prior, horizon=case.horizon)
    best = so.elbo(case.mdp, plan.policy, case.horizon, case.temperature, prior=case.prior)
    assert best == pytest.approx(case.mdp.initial @ plan.v[0] / case.temperature, abs=1e-9)
    other = so.elbo(case.mdp, case.policy(), case.horizon, case.temperature, prior=case.prior)
    assert other <= best + 1e-9


def test_a_policy_that_does_what_is_forbidden_has_elbo_minus_inf_and_kl_inf():
    mdp = so.MDP(np.ones((1, 2, 1)), np.array([[0.0, -np.inf]]))
    assert so.elbo(mdp, [[0.5, 0.5]], 2) == -np.inf
    assert so.posterior_kl(mdp, [[0.5, 0.5]], 2) == np.inf
    assert so.elbo(mdp, [[1.0, 0.0]], 2) == 0.0
    assert so.posterior_kl(mdp, [[1.0, 0.0]], 2) == 0.0


def test_where_optimality_cannot_be_kept_up_the_rows_are_the_prior_and_the_true_dynamics():
    # in state 1 the reward forbids one action and the prior the other
    p = np.zeros((2, 2, 2))
    p[0, 0, 0] = p[0, 1, 1] = 1.0
    p[1] = 0.5
    prior = np.array([[0.3, 0.7], [0.0, 1.0]])
    posterior = so.condition_on_optimality(so.MDP(p, [[0.0, 0.0], [0.0, -np.inf]], [1.0, 0.0]), 3, prior=prior)
    assert posterior.log_backward_s[0, 1] == -np.inf
    np.testing.assert_array_equal(posterior.policy[0, 1], prior[1])
    np.testing.assert_array_equal(posterior.policy[0, 0], [1.0, 0.0])
    np.testing.assert_array_equal(posterior.dynamics[0, 1, 1], p[1, 1])
    np.testing.assert_array_equal(posterior.states[:, 1], 0)
    assert not np.isnan(posterior.log_forward).any()


def test_evidence_zero_and_a_discount_are_refused():
    p = np.ones((1, 1, 1))
    with pytest.raises(ValueError, match=r"discount = 0\.9.*chapter 7"):
        so.condition_on_optimality(so.MDP(p, [[0.0]], discount=0.9), 3)
    with pytest.raises(ValueError, match="discount"):
        so.elbo(so.MDP(p, [[0.0]], discount=0.9), [[1.0]], 3)


def test_a_world_whose_only_way_on_is_forbidden_later_has_no_posterior():
    p = np.zeros((3, 2, 3))
    p[0, :, 1] = p[1, :, 2] = p[2, :, 2] = 1.0
    r = np.zeros((3, 2))
    prior = np.array([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
    r[1, 1] = -np.inf  # allowed by the reward alone, or by the prior alone, but not by both
    with pytest.raises(ValueError, match=r"p\(O\) = 0"):
        so.condition_on_optimality(so.MDP(p, r, [1.0, 0, 0]), 3, prior=prior)


@pytest.mark.parametrize("temperature", [1e-8, 1e-3, 1.0, 1e3, 1e8])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("sparse", [False, True])
def test_extreme_temperatures_and_rewards_stay_finite(temperature, scale, sparse):
    rng = np.random.default_rng(1)
    mdp = random_world(rng, states=4, actions=3, sparse=sparse, support="some")
    mdp = so.MDP(mdp.transition, scale * mdp.reward, mdp.initial)
    posterior = so.condition_on_optimality(mdp, 5, temperature, prior=np.full(3, 1 / 3))
    for array in (posterior.log_backward_sa, posterior.policy, posterior.states, posterior.dynamics):
        assert np.isfinite(array).all()
    assert not np.isnan(posterior.log_forward).any()
    np.testing.assert_allclose(posterior.policy.sum(axis=2), 1, atol=1e-9)
    np.testing.assert_allclose(posterior.states.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(posterior.dynamics.sum(axis=3), 1, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_a_cold_posterior_in_a_deterministic_world_is_the_best_path(scale):
    world = so.worlds.gridworld(["S...", ".##.", ".X.G"], step_reward=-scale, cliff_reward=-50 * scale)
    posterior = so.condition_on_optimality(world, 8, 1e-8 * scale, prior=np.full(4, 0.25))
    path = [world.state(*cell) for cell in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (2, 3), (2, 3)]]
    np.testing.assert_allclose(posterior.states, np.eye(world.n_states)[path], atol=1e-12)


def test_the_divergence_is_finite_where_only_the_posteriors_floats_are_zero():
    mdp = so.MDP(np.ones((1, 2, 1)), np.array([[0.0, -1.0]]))
    policy = np.array([[0.5, 0.5]])
    # KL of (½, ½) from (1, e^-10000), normalised
    assert so.posterior_kl(mdp, policy, 1, 1e-4) == pytest.approx(5000 - np.log(2), rel=1e-12)
    assert so.posterior_kl(mdp, policy, 1, 1e-4, prior=[1.0, 0.0]) == np.inf
