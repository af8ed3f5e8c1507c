"""Soft Q-learning against the planner's exact answer, each of its arguments against what it promises, and what must never enter Q."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import soft_optimality as so
from soft_optimality.hindsight import GoalWorld, goal_world
from soft_optimality.linear_q import FourierFeatures, TileFeatures, linear_soft_q_learning, play
from soft_optimality.q_learning import decaying, double_value, soft_choice, soft_max, soft_q_learning
from soft_optimality.sampling import MDPSampler, Replay, draw
from worlds_and_enumeration import random_world

AVERAGING = decaying(1.0, hold=20)


def world(seed, states=5, actions=3, discount=0.9):
    """Random dynamics, rewards uniform in [0, 1]."""
    rng = np.random.default_rng(seed)
    return so.MDP(rng.dirichlet(np.ones(states), (states, actions)), rng.random((states, actions)), discount=discount)


def learn(mdp, temperature=0.5, steps=20_000, seed=0, **options):
    options = {"behavior": 1.0, "step_size": AVERAGING, **options}
    return soft_q_learning(mdp, temperature, steps=steps, rng=np.random.default_rng(seed), progress=False, **options)


def still(discount=0.5):
    """Deterministic: a walk 0 → 1 → 2 (terminal), either action, rewards by action."""
    transition = np.zeros((3, 2, 3))
    transition[0, :, 1] = transition[1, :, 2] = transition[2, :, 2] = 1
    return so.MDP(transition, [[1.0, 0.0], [2.0, 4.0], [0.0, 0.0]], [1.0, 0, 0], discount, np.array([False, False, True]))


# -- one row of Q -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [None, (0.2, 0.5, 0.3, 0.0)])
def test_the_row_functions_are_the_backups_of_chapter_7(prior):
    rng = np.random.default_rng(0)
    for temperature in (0.01, 0.7, 30.0):
        q = 5 * rng.normal(size=(50, 4))
        rho = None if prior is None else np.broadcast_to(prior, q.shape)
        with np.errstate(divide="ignore"):
            weight = None if prior is None else np.log(prior).tolist()
        rows = q.tolist()
        np.testing.assert_allclose([soft_max(r, temperature, weight) for r in rows], so.backups.soft_v(q, temperature, rho), atol=1e-12)
        np.testing.assert_allclose([soft_choice(r, temperature, weight) for r in rows], so.backups.boltzmann_policy(q, temperature, rho), atol=1e-12)
    assert soft_max([1.0, 3.0, 2.0], 0) == 3.0
    assert soft_choice([1.0, 3.0, 3.0], 0) == [0.0, 0.5, 0.5]


def test_double_value_is_one_table_judging_the_choice_of_the_other():
    chooser, judge, eta = [0.3, 1.0, -np.inf], [2.0, 0.5, -np.inf], 0.7
    pi = soft_choice(chooser, eta)
    assert double_value(chooser, judge, eta) == pytest.approx(sum(p * (q - eta * np.log(p)) for p, q in zip(pi[:2], judge[:2])))
    assert double_value(chooser, chooser, eta) == pytest.approx(soft_max(chooser, eta))
    assert double_value(chooser, judge, 0.0) == 0.5


def test_step_sizes_decay_as_said():
    assert [decaying(1.0)(n) for n in (1, 2, 10)] == [1.0, 0.5, 0.1]
    assert [decaying(0.5 + 1e-9, 3)(n) for n in (1, 13)] == pytest.approx([1.0, 0.5])
    for power in (0.5, 1.1, np.nan):
        with pytest.raises(ValueError, match="power"):
            decaying(power)


# -- samples ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("landing", [False, True])
def test_samples_of_an_mdp_follow_its_dynamics(sparse, landing):
    mdp = random_world(np.random.default_rng(3), discount=0.9, sparse=sparse, support="some", terminals=1, landing=landing)
    sampler, p, r = MDPSampler(mdp, np.random.default_rng(0)), mdp.dense_transition(), mdp.dense_reward()
    for s, a in ((0, 0), (0, 1), (1, 1)):
        seen = np.zeros(mdp.n_states)
        for _ in range(3000):
            sampler.state = s
            after, reward, terminated, truncated = sampler.step(a)
            seen[after] += 1
            assert reward == r[s, a, after] and terminated == mdp.terminal[after] and not truncated
        assert np.abs(seen / 3000 - p[s, a]).max() < 5 * np.sqrt(0.25 / 3000)
        assert (seen[p[s, a] == 0] == 0).all()


def test_an_action_of_probability_zero_is_never_drawn():
    assert [draw([0.0, 0.3, 0.7, 0.0], u) for u in (0.0, 0.29, 0.31, 1 - 1e-16)] == [1, 1, 2, 2]
    assert draw([0.1] * 10 + [0.0], 1 - 1e-16) == 9  # where the sum of the weights rounds to below 1


def test_replay_keeps_the_last_and_refuses_what_it_does_not_have():
    replay, rng = Replay(3), np.random.default_rng(0)
    with pytest.raises(ValueError, match="batch = 1: the replay is empty"):
        replay.sample(1, rng)
    for i in range(5):
        replay.add(i)
        if i == 1:
            with pytest.raises(ValueError, match="batch = 3: only 2 are stored"):
                replay.sample(3, rng)
    assert len(replay) == 3 and {x for _ in range(50) for x in replay.sample(3, rng)} == {2, 3, 4}


def test_one_update_is_the_equation():
    """Q ← α (r + γ η log Σ ρ exp 0), from Q = 0; V is 0 after the last step."""
    for prior, free in ((None, np.log(2)), ([0.5, 0.5], 0.0)):
        learned = learn(still(), 0.7, 2, step_size=0.3, prior=prior)
        first, second = learned.visits[0].argmax(), learned.visits[1].argmax()
        assert learned.q[0, first] == pytest.approx(0.3 * ([1.0, 0.0][first] + 0.5 * 0.7 * free))
        assert learned.q[1, second] == pytest.approx(0.3 * [2.0, 4.0][second])
        assert (learned.q != 0).sum() <= 2 and learned.visits.sum() == 2


# -- convergence --------------------------------------------------------------------------------------------------------------------


def test_q_comes_within_005_of_the_planners_on_20_random_mdps():
    """After 40,000 steps of a uniform behaviour: 5 states, 3 actions, γ = 0.9, η = 0.5, rewards in [0, 1]."""
    for seed in range(20):
        mdp = world(seed)
        learned = learn(mdp, steps=40_000, seed=seed, step_size=decaying(1.0, hold=10))
        assert np.abs(learned.q - so.soft_value_iteration(mdp, 0.5).q).max() < 0.05, seed
        assert learned.errors[-1] == pytest.approx(np.abs(learned.q - so.soft_value_iteration(mdp, 0.5).q).max(), abs=1e-7)
        assert learned.visits.sum() == learned.steps == 40_000


def test_temperature_0_is_hard_q_learning():
    mdp = world(1)
    learned = learn(mdp, 0.0, 40_000)
    assert np.abs(learned.q - so.value_iteration(mdp).q).max() < 0.05
    np.testing.assert_array_equal(learned.policy, so.value_iteration(mdp).policy)
    np.testing.assert_allclose(learned.v, learned.q.max(axis=1))


def test_it_is_off_policy_any_behavior_that_tries_everything_will_do():
    mdp, rng = world(2, 4, 2), np.random.default_rng(5)
    lopsided = rng.dirichlet(np.ones(2), 4) * 0.7 + 0.15
    for behavior in (lopsided, 0.3):
        assert learn(mdp, steps=50_000, behavior=behavior).errors[-1] < 0.05


def test_a_prior_is_chapter_3s_and_forbids_what_it_gives_no_weight():
    mdp = world(3, 4, 3)
    prior = np.array([[0.2, 0.5, 0.3], [0.1, 0.9, 0.0], [1.0, 0.0, 0.0], [0.4, 0.3, 0.3]])
    learned, plan = learn(mdp, steps=40_000, prior=prior), so.soft_value_iteration(mdp, 0.5, prior=prior)
    np.testing.assert_allclose(learned.q[prior > 0], plan.q[prior > 0], atol=0.06)
    np.testing.assert_allclose(learned.policy, plan.policy, atol=0.03)
    assert np.isneginf(learned.q[prior == 0]).all() and (learned.policy[prior == 0] == 0).all()
    assert (learned.visits[prior == 0] == 0).all()


def test_forbidden_actions_are_never_taken_and_terminal_states_are_worth_0():
    mdp = random_world(np.random.default_rng(8), states=4, actions=3, discount=0.5, terminals=1, forbid=0.3)
    forbidden = np.isneginf(mdp.mean_reward)
    learned = learn(mdp, steps=30_000)
    assert forbidden.any() and (learned.visits[forbidden] == 0).all() and np.isneginf(learned.q[forbidden]).all()
    assert learned.v[mdp.terminal] == 0 and learned.errors[-1] < 0.15
    assert np.isfinite(learned.q[~forbidden]).all()


# -- each argument ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"double": True}, {"dueling": True}, {"replay": 20_000, "batch": 3}, {"double": True, "dueling": True, "replay": 500}]
)
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_the_tricks_alone_and_together_keep_the_fixed_point(temperature, options):
    assert learn(world(4, 4, 2), temperature, 30_000, **options).errors[-1] < 0.1


def test_n_step_with_its_entropy_terms_is_exact_on_policy_and_biased_without():
    """On the fixed point's own policy b = π*: the mean of y is Q* with the terms, and below it without."""
    mdp = world(5, 4, 2)
    plan = so.soft_value_iteration(mdp, 0.5)
    final = {}
    for entropy in ("behavior", "policy", "none"):
        learned = learn(mdp, steps=40_000, behavior=plan.policy, n_step=3, n_step_entropy=entropy, start=plan.q)
        final[entropy] = learned.errors[-1]
    assert final["behavior"] < 0.12 and final["policy"] < 0.12 and final["none"] > 0.5


def test_n_step_off_policy_is_biased_unless_the_terms_are_the_learned_policys():
    """y of a uniform behaviour evaluates that behaviour for two steps; with V − Q of the learned policy the path is consistent."""
    mdp = still()
    plan = so.soft_value_iteration(mdp, 0.5)
    uniform = learn(mdp, steps=20_000, n_step=2)
    consistent = learn(mdp, steps=20_000, n_step=2, n_step_entropy="policy")
    biased = 1.0 + 0.5 * (np.mean([2.0, 4.0]) + 0.5 * np.log(2))  # E_b[r − η log b] in place of V
    assert uniform.q[0, 0] == pytest.approx(biased, abs=0.03)
    assert consistent.q[0, 0] == pytest.approx(plan.q[0, 0], abs=1e-3)
    assert abs(biased - plan.q[0, 0]) > 0.2


def test_n_step_pays_the_last_steps_of_an_episode_too():
    learned = learn(still(), 0.0, 2000, n_step=5, step_size=0.5, behavior=0.2)
    np.testing.assert_allclose(learned.q[1], [2.0, 4.0], atol=1e-6)
    assert (learned.visits[:2] > 0).all() and learned.visits[2].sum() == 0


def test_the_dueling_step_is_the_gradient_step_on_v_and_a():
    mdp = so.MDP(np.ones((1, 3, 1)), [[1.0, 1.0, 1.0]], discount=0.0)
    learned = learn(mdp, steps=1, dueling=True, step_size=0.4)
    moved = learned.visits[0].argmax()
    gradient = np.array([1.0, *(np.eye(3)[moved] - 1 / 3)])  # of Q(s, moved) in V, A_1, A_2, A_3
    step = 0.4 * gradient / (gradient @ gradient)
    np.testing.assert_allclose(learned.q[0], step[0] + step[1:] - step[1:].mean())


def test_double_estimators_mend_the_overestimation_of_the_maximum():
    """One state whose ten actions pay noise of mean 0, reached from the start: the hard maximum is above 0, the double one is not."""
    rng = np.random.default_rng(0)
    transition = np.zeros((23, 10, 23))
    transition[0, :, 1] = 1
    transition[1, :, 2:22] = 1 / 20
    transition[2:, :, 22] = 1
    reward = np.zeros((23, 10, 23))
    reward[1, :, 2:22] = np.repeat([3.0, -3.0], 10)
    mdp = so.MDP(transition, reward, np.eye(23)[0], 1.0, np.arange(23) >= 2)
    q = {double: np.mean([learn(mdp, 0.0, 600, int(s), double=double, step_size=0.1).q[0].mean() for s in rng.integers(2**31, size=40)])
         for double in (False, True)}  # fmt: skip
    assert q[False] > 0.4 and abs(q[True]) < 0.15


def test_hindsight_learns_from_episodes_that_missed_their_goal():
    maze = goal_world(so.worlds.gridworld(["....", ".##.", "....", "...G"]), discount=0.9)
    plain, helped = (learn(maze, 0.05, 8000, behavior=0.2, hindsight=k, step_size=0.5, prior=np.full(4, 0.25), episode_steps=30) for k in (0, 4))
    assert np.mean(helped.returns[-50:]) > np.mean(plain.returns[-50:])
    assert helped.visits.sum() > 3 * plain.visits.sum()
    composed = learn(maze, 0.05, 3000, behavior=0.2, hindsight=2, n_step=3, double=True, dueling=True, replay=1000, batch=2, episode_steps=30)
    assert np.isfinite(composed.q).all()


def test_hindsight_is_optimistic_where_dynamics_are_stochastic():
    """Both ways to the goal take one step, but the gamble arrives only with probability ¼: hindsight forgets the misses."""
    transition = np.zeros((4, 2, 4))
    transition[0, 0] = [0, 0.25, 0.75, 0]
    transition[0, 1, 3] = transition[3, :, 1] = transition[2, :, 2] = 1
    transition[1, :, 1] = 1
    dice = so.MDP(transition, np.zeros((4, 2)), np.eye(4)[0], terminal=np.array([False, False, True, False]))
    gamble = goal_world(dice, [1], step_reward=0.0, goal_reward=1.0, discount=0.9)
    assert isinstance(gamble, GoalWorld)
    true, seen = (learn(gamble, 0.0, 20_000, hindsight=k).q[0, 0] for k in (0, 4))
    assert true == pytest.approx(0.25, abs=0.03)
    assert seen > 0.5


def test_the_goal_worlds_shape_and_its_bad_input():
    grid = so.worlds.gridworld(["..", ".G"])
    goals = goal_world(grid, [0, 2], discount=0.9)
    assert goals.shape == (8, 4) and goals.terminal.sum() == 2 + 2 and goals.aim(5, 0) == 1 and goals.aim(5, 1) is None
    assert not goals.initial[goals.terminal].any()
    for wrong in ([0, 0], [4], []):
        with pytest.raises(ValueError, match="goals"):
            goal_world(grid, wrong)


def test_the_same_generator_gives_the_same_run_and_snapshots_are_kept():
    mdp = world(6)
    runs = [learn(mdp, steps=3000, seed=4, double=True, replay=100, batch=2, behavior=0.1, snapshots=(1, 500, 3000)) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].snapshots, runs[1].snapshots)
    assert runs[0].snapshot_steps.tolist() == [1, 500, 3000] and runs[0].snapshots.shape == (3, 5, 3)
    np.testing.assert_array_equal(runs[0].snapshots[-1], runs[0].q)
    assert len(learn(mdp, steps=10, snapshots=20).snapshot_steps) == 10


# -- Gymnasium's environments -------------------------------------------------------------------------------------------------------


def test_frozen_lake_is_learned():
    """The real, slippery one: at least 95 % of the largest chance to reach the goal within its 100 steps, both computed from its table."""
    env = gymnasium.make("FrozenLake-v1")
    table = so.worlds.from_gymnasium(env)
    best = so.value_iteration(table, horizon=100).v[0, 0]
    learned = learn(env, 0.001, 80_000, prior=np.full(4, 0.25), discount=0.99, behavior=0.3, step_size=decaying(0.8, 20), start=np.ones((16, 4)))
    reached = so.occupancy(table, learned.policy, 101)[-1, 15].sum()
    assert 0.74 < best < 0.75 and reached > 0.95 * best
    assert np.mean(play(env, learned.policy, 300, rng=np.random.default_rng(1))) == pytest.approx(reached, abs=4 * np.sqrt(0.2 / 300))


def test_the_recorded_runs_are_what_this_code_records():
    recorded = so.recorded.load("tabular_q.json")
    grid, setting = recorded["grid"], recorded["grid"]["settings"][0]
    mdp = so.worlds.gridworld(grid["rows"], **grid["options"])
    again = learn(mdp, grid["temperature"], grid["steps"][-1], 0, prior=np.full(4, 0.25), snapshots=grid["steps"])
    np.testing.assert_allclose(again.snapshots, setting["q_seeds"][0], atol=0.006)
    np.testing.assert_allclose(again.errors, setting["errors"][0], atol=6e-4)
    lake = recorded["lake"]
    assert min(run[-1] for run in lake["settings"]["soft"]["reached"]) > 0.95 * lake["best"]


def test_mountain_car_is_learned_with_tiles():
    env = gymnasium.make("MountainCar-v0")
    tiles = TileFeatures(env.observation_space.low, env.observation_space.high)
    learned = linear_soft_q_learning(env, tiles, 0.05, steps=40_000, step_size=0.3, discount=1.0, rng=np.random.default_rng(0), progress=False)
    assert learned.returns[:5].tolist() == [-200.0] * 5 and learned.returns[-30:].mean() > -170
    assert play(env, learned.policy, 20, rng=np.random.default_rng(1)).mean() > -170


def test_linear_features_that_are_a_table_learn_what_the_table_learns():
    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    learned = linear_soft_q_learning(env, lambda s: np.eye(16)[s], 0.1, steps=20_000, step_size=1.0, discount=0.9, epsilon=1.0,
                                     rng=np.random.default_rng(0), progress=False)  # fmt: skip
    plan = so.soft_value_iteration(so.worlds.from_gymnasium(env, discount=0.9), 0.1)
    seen = ~np.isin(np.arange(16), [5, 7, 11, 12, 15])
    np.testing.assert_allclose(learned.weights[seen], plan.q[seen], atol=1e-3)


def test_features_are_what_their_sources_define():
    tiles = TileFeatures([0, 0], [1, 2], tilings=4, tiles=5)
    for x in ([0.0, 0.0], [1.0, 2.0], [9.0, -9.0], [0.33, 1.2]):
        phi = tiles(x)
        assert phi.shape == (tiles.size,) and phi.sum() == 4 and set(phi) == {0.0, 1.0}
    fourier = FourierFeatures([0, -1], [1, 1], order=2)
    np.testing.assert_allclose(fourier([0.25, 0.0]), [np.cos(np.pi * (i * 0.25 + j * 0.5)) for i in range(3) for j in range(3)])
    with pytest.raises(ValueError, match=r"high\[1\] = inf"):
        TileFeatures([0, 0], [1, np.inf])


# -- what must never happen ---------------------------------------------------------------------------------------------------------


class Bad(gymnasium.Env):
    """Never ends; its rewards, and from some step on something worse."""

    def __init__(self, reward=np.nan, after=50, observation=0):
        self.observation_space, self.action_space = spaces.Discrete(2), spaces.Discrete(2)
        self.reward, self.after, self.observation, self.steps = reward, after, observation, 0

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        self.steps += 1
        if self.steps <= self.after:
            return self.steps % 2, 1.0, False, False, {}
        if isinstance(self.reward, type):
            raise self.reward
        return self.observation, self.reward, False, False, {}


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_not_finite_never_enters_q(reward):
    with pytest.raises(ValueError, match=r"reward = -?(nan|inf): not a finite number, from env at step 51") as caught:
        learn(Bad(reward), discount=0.9)
    assert caught.value.learned.steps == 50 and (caught.value.learned.q > 0).all() and caught.value.learned.interrupted
    with pytest.raises(ValueError, match="at step 51") as caught:
        linear_soft_q_learning(Bad(reward), lambda s: np.eye(2)[s], steps=100, rng=np.random.default_rng(0))
    assert caught.value.learned.steps == 50 and np.isfinite(caught.value.learned.weights).all()


def test_an_interrupted_run_returns_what_it_learned():
    with pytest.warns(UserWarning, match="interrupted after 50 of 1000 steps"):
        learned = learn(Bad(KeyboardInterrupt), steps=1000, discount=0.9)
    assert learned.interrupted and learned.steps == 50 and learned.visits.sum() == 50 and (learned.q > 0).all()
    with pytest.warns(UserWarning, match="interrupted after 50 of 1000 steps"):
        linear = linear_soft_q_learning(Bad(KeyboardInterrupt), lambda s: np.eye(2)[s], steps=1000, rng=np.random.default_rng(0))
    assert linear.interrupted and linear.steps == 50 and linear.weights.any()


def test_an_environment_that_never_ends_is_cut_off():
    learned = learn(Bad(1.0), 0.0, 5000, discount=0.5, episode_steps=10, step_size=0.5)
    assert learned.episode_ends.tolist() == list(range(10, 5001, 10))
    np.testing.assert_allclose(learned.q, 2.0, atol=0.05)  # 1/(1 − γ): the cut is no end


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ("temperature = -0.1", {"temperature": -0.1}),
        ("temperature = nan", {"temperature": np.nan}),
        ("temperature = inf", {"temperature": np.inf}),
        ("prior: has no say", {"temperature": 0.0, "prior": np.full(3, 1 / 3)}),
        ("prior", {"prior": [0.5, 0.6, 0.1]}),
        ("steps = 0", {"steps": 0}),
        ("batch = 2: needs a replay", {"batch": 2}),
        ("batch = 9: a replay of 5 never stores so many", {"batch": 9, "replay": 5}),
        ("replay = 0", {"replay": 0}),
        ("n_step = 0", {"n_step": 0}),
        ("n_step_entropy = 'all'", {"n_step_entropy": "all"}),
        ("hindsight = 1: needs a GoalWorld", {"hindsight": 1}),
        ("hindsight = -1", {"hindsight": -1}),
        ("behavior = 1.2", {"behavior": 1.2}),
        ("behavior has shape", {"behavior": np.ones((2, 2))}),
        ("step_size = 0", {"step_size": 0.0}),
        (r"step_size\(1\) = nan", {"step_size": lambda n: np.nan}),
        (r"step_size\(1\) = 2", {"step_size": lambda n: 2.0}),
        (r"start\[0, 1\] = nan", {"start": [[0, np.nan, 0]] * 5}),
        (r"start\[0, 1\] = inf", {"start": [[0, np.inf, 0]] * 5}),
        ("exact has shape", {"exact": np.zeros((2, 2))}),
        ("discount = 0.5: the MDP has its own", {"discount": 0.5}),
        ("comes after the last", {"snapshots": [30_000]}),
        ("episode_steps = 0", {"episode_steps": 0}),
    ],
)
def test_bad_arguments_are_named_with_their_value(match, options):
    with pytest.raises(ValueError, match=match):
        learn(world(0), **options)


def test_bad_worlds_and_generators_are_named():
    with pytest.raises(ValueError, match="rng = 3"):
        soft_q_learning(world(0), steps=10, rng=3)
    with pytest.raises(ValueError, match="mdp_or_env = 'lake'"):
        learn("lake")
    with pytest.raises(ValueError, match="observation_space = Box"):
        learn(gymnasium.make("MountainCar-v0"), discount=0.9)
    with pytest.raises(ValueError, match="discount = None"):
        learn(Bad())
    with pytest.raises(ValueError, match="observation = 7: not in"):
        learn(Bad(1.0, 3, observation=7), discount=0.9)
    with pytest.raises(ValueError, match="action_space = Box"):
        linear_soft_q_learning(gymnasium.make("Pendulum-v1"), lambda s: s, steps=10, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"features\(0\)"):
        linear_soft_q_learning(Bad(), lambda s: np.array([np.nan, 1.0]), steps=10, rng=np.random.default_rng(0))
    ended = so.MDP(np.ones((1, 1, 1)), [[0.0]], terminal=np.array([True]))
    with pytest.raises(ValueError, match="every first state is terminal"):
        learn(ended)


def test_a_short_run_is_silent(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        soft_q_learning(world(0), 0.5, steps=2000, rng=np.random.default_rng(0))
    assert capsys.readouterr() == ("", "")


def test_divergence_is_an_error_not_a_nan():
    endless = so.MDP(np.ones((1, 1, 1)), [[1e308]], discount=0.9999)
    with pytest.raises(ValueError, match="it diverges"):
        learn(endless, 0.0, 100, step_size=1.0, exact=[[0.0]])
