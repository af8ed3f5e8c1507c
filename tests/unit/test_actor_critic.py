"""Soft policy iteration against the planner, and tabular soft actor–critic against the exact soft optimum and on the real FrozenLake."""

import re
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

import soft_optimality as so
from soft_optimality import actor_critic
from soft_optimality.actor_critic import entropies, policy_step, soft_actor_critic, soft_policy_iteration
from soft_optimality.sampling import BadSample

QUARTERS = np.full(4, 0.25)


def random_mdp(rng, states=6, actions=3, discount=0.9):
    return so.MDP(rng.dirichlet(np.ones(states), (states, actions)), rng.normal(size=(states, actions)), discount=discount)


def learn(world, steps=400, seed=0, **options):
    return soft_actor_critic(world, steps=steps, rng=np.random.default_rng(seed), **{"progress": False, "warm_up": 100, **options})


# -- with the model -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_soft_policy_iteration_ends_where_soft_value_iteration_does(seed):
    rng = np.random.default_rng(seed)
    mdp, eta = random_mdp(rng, discount=rng.uniform(0.5, 0.99)), rng.uniform(0.1, 3)
    prior = None if seed % 2 else rng.dirichlet(np.ones(3), 6)
    last, plan = soft_policy_iteration(mdp, eta, prior=prior, tolerance=1e-9)[-1], so.soft_value_iteration(mdp, eta, prior=prior, tolerance=1e-11)
    np.testing.assert_allclose(last.v, plan.v, rtol=0, atol=1e-9)
    np.testing.assert_allclose(last.q, plan.q, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_no_round_makes_any_state_worse_and_the_error_shrinks_by_gamma(seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, discount=0.95)
    plans = soft_policy_iteration(mdp, 0.3, policy=rng.dirichlet(np.full(3, 0.2), 6))
    values = np.array([plan.v for plan in plans])
    assert len(plans) > 3 and (np.diff(values, axis=0) > -1e-9).all()
    errors = np.abs(values - so.soft_value_iteration(mdp, 0.3, tolerance=1e-11).v).max(axis=1)
    assert (errors[1:] <= 0.95 * errors[:-1] + 1e-9).all()


def test_forbidden_actions_and_worlds_without_a_discount():
    grid = so.worlds.gridworld(["S..", ".X.", "..G"], slip=0.1)
    last = soft_policy_iteration(grid, 0.5, prior=QUARTERS)[-1]
    np.testing.assert_allclose(last.v, so.soft_value_iteration(grid, 0.5, prior=QUARTERS).v, atol=1e-7)
    mdp = random_mdp(np.random.default_rng(0))
    reward = mdp.mean_reward.copy()
    reward[2, 1] = -np.inf
    barred = so.MDP(mdp.transition, reward, discount=0.9)
    last = soft_policy_iteration(barred, 0.5)[-1]
    assert last.policy[2, 1] == 0
    np.testing.assert_allclose(last.v, so.soft_value_iteration(barred, 0.5).v, atol=1e-7)


def test_an_iteration_that_is_cut_short_says_so():
    with pytest.raises(so.NotConverged, match="after 2 policies") as caught:
        soft_policy_iteration(random_mdp(np.random.default_rng(0)), 0.1, max_iterations=2)
    assert caught.value.residual > 1e-8


def test_the_projection_minimises_the_kl_and_a_step_towards_it_lowers_the_kl():
    rng = np.random.default_rng(0)
    q, eta = rng.normal(size=(1, 4)), 0.7
    aim, start = np.log(so.backups.boltzmann_policy(q, eta)), np.log(rng.dirichlet(np.ones(4), 1))
    kl = lambda p: (np.exp(p) * (p - aim)).sum()
    np.testing.assert_allclose(policy_step(start, q / eta, 1.0), aim, atol=1e-12)
    path = [kl(policy_step(start, q / eta, share)) for share in np.linspace(0, 1, 11)]
    assert (np.diff(path) < 0).all() and path[-1] < 1e-12
    others = [kl(np.log(rng.dirichlet(np.ones(4), 1))) for _ in range(200)]
    assert min(others) > 0


# -- from samples ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_at_a_fixed_temperature_it_learns_the_planners_q(seed):
    mdp = random_mdp(np.random.default_rng(seed), states=4, discount=0.8)
    learned = learn(mdp, 30_000, seed, temperature=0.5, behavior=0.5)
    plan = so.soft_value_iteration(mdp, 0.5)
    np.testing.assert_allclose(learned.q, plan.q, atol=0.12)
    np.testing.assert_allclose(learned.policy, plan.policy, atol=0.05)
    assert np.abs(learned.critics[0] - learned.critics[1]).max() > 1e-3  # twins, not one critic twice


def test_the_learned_temperature_is_the_one_at_which_the_entropy_is_the_target():
    """One state, so that the dual can be solved on paper: H(softmax(r/η)) = H̄."""
    reward = np.array([[1.0, 0.5, 0.0]])
    bandit = so.MDP(np.ones((1, 3, 1)), reward, discount=0.0)
    for target in (0.3, 0.6, 0.9):
        learned = learn(bandit, 12_000, target_entropy=target, behavior=0.3)
        low, high = 1e-3, 1e3
        for _ in range(100):
            middle = np.sqrt(low * high)
            p = so.backups.boltzmann_policy(reward, middle)
            low, high = (middle, high) if -(p * np.log(np.maximum(p, 1e-300))).sum() < target else (low, middle)
        assert learned.temperature == pytest.approx(middle, rel=0.02)
        assert learned.mean_entropies[-100:].mean() == pytest.approx(target, abs=0.01)


def test_the_dual_has_its_minimum_where_the_entropy_is_the_target_eq_temperature_dual():
    """g(η) = max_π Σ π q + η (H(π) − H̄) = η log Σ exp(q/η) − η H̄, and dg/dη = H(π_η) − H̄."""
    q, target, step = np.array([[1.0, 0.2, -0.7, 0.4]]), 0.8, 1e-5
    dual = lambda eta: so.backups.soft_v(q, eta)[0] - eta * target
    for eta in (0.05, 0.3, 1.0, 4.0):
        log_policy = np.log(so.backups.boltzmann_policy(q, eta))
        slope = entropies(log_policy, np.zeros((1, 4)))[0] - target
        assert slope == pytest.approx((dual(eta + step) - dual(eta - step)) / (2 * step), abs=1e-7)


def test_frozen_lake_is_learned():
    """The real, slippery one, with a learned temperature: at least 95 % of the largest chance to reach the goal within its 100 steps."""
    env = gymnasium.make("FrozenLake-v1")
    table = so.worlds.from_gymnasium(env)
    best = so.value_iteration(table, horizon=100).v[0, 0]
    learned = learn(env, 60_000, prior=QUARTERS, target_entropy=-1.34, discount=0.99, behavior=0.3, start=np.ones((16, 4)), warm_up=1000)
    reached = so.occupancy(table, learned.policy, 101)[-1, 15].sum()
    assert 0.74 < best < 0.75 and reached > 0.95 * best
    assert learned.temperature < 0.01 and learned.mean_entropies[-200:].mean() == pytest.approx(-1.34, abs=0.05)


def test_the_same_seed_is_the_same_run():
    mdp = random_mdp(np.random.default_rng(0))
    a, b, c = learn(mdp), learn(mdp), learn(mdp, seed=1)
    assert np.array_equal(a.critics, b.critics) and not np.array_equal(a.critics, c.critics)


def test_forbidden_actions_are_never_taken_and_nothing_turns_nan():
    mdp = random_mdp(np.random.default_rng(0))
    reward = mdp.mean_reward.copy()
    reward[:, 1] = -np.inf
    learned = learn(so.MDP(mdp.transition, reward, discount=0.9), 2000)
    assert (learned.policy[:, 1] == 0).all() and np.isneginf(learned.q[:, 1]).all()
    assert np.isfinite(learned.q[:, [0, 2]]).all() and np.isfinite(learned.policy).all()


def test_only_a_terminal_state_ends_the_value():
    """One state that pays 1 a step for ever, cut off every 10 steps: V is still 1/(1 − γ)."""
    learned = learn(so.MDP(np.ones((1, 1, 1)), [[1.0]], discount=0.5), 4000, temperature=1.0, episode_steps=10)
    assert learned.q[0, 0] == pytest.approx(2.0, abs=0.05) and len(learned.episode_ends) == 400


# -- bad input ------------------------------------------------------------------------------------------------------------------------


class Bad(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(2)

    def __init__(self, reward=1.0, when=0, error=None):
        self.reward, self.when, self.error, self.taken = reward, when, error, 0

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        self.taken += 1
        if self.taken >= self.when and self.error is not None:
            raise self.error
        return 1, self.reward if self.taken >= self.when else 0.0, False, False, {}


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_not_finite_never_enters_and_loses_nothing(reward):
    with pytest.raises(BadSample, match=f"reward = {reward}: not a finite number") as caught:
        learn(Bad(reward, 301), discount=0.9)
    assert caught.value.learned.steps == 300 and np.isfinite(caught.value.learned.critics).all()


def test_an_interrupt_keeps_what_was_learned():
    with pytest.warns(UserWarning, match="interrupted after 199 of 400 steps"):
        learned = learn(Bad(0.0, 200, KeyboardInterrupt()), discount=0.9)
    assert learned.interrupted and learned.steps == 199 and len(learned.temperatures) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature = 0.0"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"temperature": 1.0, "target_entropy": 0.3}, "target_entropy = 0.3: there is none"),
        ({"target_entropy": 0.0}, r"target_entropy = 0.0: must lie between .*0 and 0.693147 nats"),
        ({"target_entropy": 0.7}, r"target_entropy = 0.7"),
        ({"target_entropy": float("nan")}, "target_entropy = nan"),
        ({"prior": [0.5, 0.5]}, "target_entropy = None: with a prior"),
        ({"prior": [0.5, 0.5], "target_entropy": 0.1}, r"target_entropy = 0.1: must lie between -0.693147 and 0"),
        ({"prior": [0.5, 0.6], "temperature": 1.0}, "prior"),
        ({"behavior": 1.5}, "behavior = 1.5"),
        ({"step_size": 0.0}, "step_size = 0.0"),
        ({"step_size": lambda n: 2.0 + 0 * n}, "step_size: gave 2.0 to 2.0"),
        ({"policy_step_size": 2.0}, "policy_step_size = 2.0"),
        ({"averaging": 0.0}, "averaging = 0.0"),
        ({"batch": 0}, "batch = 0"),
        ({"batch": 64, "capacity": 32}, "batch = 64: a replay of capacity 32 never stores so many"),
        ({"discount": None}, "discount = None"),
        ({"start": np.full((2, 2), np.inf)}, r"start\[0, 0\] = inf"),
        ({"steps": 0}, "steps = 0"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        learn(Bad(), **{"discount": 0.9, **options})


def test_worlds_that_it_cannot_work_with_are_named():
    with pytest.raises(ValueError, match="mdp_or_env = 'lake'"):
        learn("lake")
    with pytest.raises(ValueError, match="observation_space = Box"):
        learn(gymnasium.make("Pendulum-v1"), discount=0.9)
    with pytest.raises(ValueError, match="the MDP has its own"):
        learn(random_mdp(np.random.default_rng(0)), discount=0.5)
    with pytest.raises(ValueError, match="rng = 0"):
        soft_actor_critic(Bad(), steps=10, rng=0, discount=0.9)


def test_importing_the_package_does_not_import_gymnasium():
    code = "import sys, soft_optimality as so; assert 'gymnasium' not in sys.modules; so.SAC, so.soft_actor_critic; assert 'gymnasium' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert so.soft_actor_critic is actor_critic.soft_actor_critic
    with pytest.raises(AttributeError, match="no attribute 'soft_actor'"):
        so.soft_actor  # noqa: B018


def test_the_animation_shows_the_recorded_angles_and_stands_still_until_asked():
    recorded = so.recorded.load("pendulum_rollouts.json")
    assert [r["steps"] for r in recorded["rollouts"]] == [1000, 3000, 10_000] and recorded["rollouts"][-1]["return"] > -200
    angles = recorded["rollouts"][-1]["angles"]
    html = so.plotting.PendulumAnimation({"<a>": angles}, seconds=10, alt="it swings")._repr_html_()
    turns = re.search(r"@keyframes pendulum0{(.*?}})", html).group(1)
    np.testing.assert_allclose([-float(x) for x in re.findall(r"rotate\((-?\d+)deg", turns)], np.degrees(angles), atol=0.51)
    assert html.count("animation:") == html.count("input:checked~svg .arm0{animation:") == 1
    assert "&lt;a&gt;" in html and "<a>" not in html and 'aria-label="it swings"' in html and "<script" not in html
