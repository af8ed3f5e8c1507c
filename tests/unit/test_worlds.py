"""Maps become the dynamics that they promise, and Gymnasium's tables stay what they are."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

import soft_optimality as so
from soft_optimality.worlds import EAST, NORTH, SOUTH, WEST

UNIFORM = np.full(4, 0.25)
CLIFF = ["........", "........", "........", "SXXXXXXG"]


def test_a_move_slips_to_either_side_and_a_bump_stays():
    world = so.worlds.gridworld(["S.", "#G"], slip=0.2, step_reward=-1.0, goal_reward=10.0)
    start, right, goal = world.state(0, 0), world.state(0, 1), world.state(1, 1)
    p, r = world.dense_transition(), world.dense_reward()
    np.testing.assert_allclose(p[start, EAST], np.eye(3)[right] * 0.8 + np.eye(3)[start] * 0.2)  # edge above, wall below
    np.testing.assert_allclose(p[right, SOUTH], np.eye(3)[goal] * 0.8 + np.eye(3)[right] * 0.1 + np.eye(3)[start] * 0.1)
    np.testing.assert_allclose(p[start, NORTH], np.eye(3)[start] * 0.9 + np.eye(3)[right] * 0.1)
    np.testing.assert_allclose(p[start, WEST], np.eye(3)[start])
    assert r[right, SOUTH, goal] == 9.0 and r[right, SOUTH, start] == -1.0
    assert world.terminal.tolist() == [False, False, True]
    assert world.initial.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("slip", [0.0, 1.0])
def test_slip_zero_and_one_leave_no_stored_zero(slip):
    world = so.worlds.gridworld(["...", ".G."], slip=slip)
    assert (world.transition.data > 0).all()
    assert world.transition.nnz == world.reward.nnz or slip


def test_states_know_their_cells():
    world = so.worlds.gridworld(["S#G", "..."])
    assert world.n_states == 5
    assert world.state(1, 0) == 2 and world.where("G").tolist() == [1]
    picture = world.to_map(np.arange(5.0))
    assert np.isnan(picture[0, 1]) and picture[1].tolist() == [2.0, 3.0, 4.0]
    for place in ((0, 1), (5, 5)):
        with pytest.raises(ValueError, match="row, column"):
            world.state(*place)


def test_without_a_start_any_floor_cell_may_be_first():
    world = so.worlds.gridworld([".XG", "..."])
    assert world.initial.tolist() == [0.25, 0.0, 0.0, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(
    "rows, message",
    [
        (["..G", ".."], r"rows\[1\] = '..': has 2 cells where rows\[0\] has 3"),
        (["..G", ".o."], r"rows\[1\]\[1\] = 'o': unknown letter"),
        (["...", "S.."], "without a goal"),
        (["G"], "without a cell to start in"),
        ([], "expected a list of text rows"),
        ("..G", "expected a list of text rows"),
        ([""], "expected a list of text rows"),
    ],
)
def test_bad_maps_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        so.worlds.gridworld(rows)


@pytest.mark.parametrize(
    "arguments, message",
    [({"slip": 1.5}, "slip = 1.5"), ({"slip": -0.1}, "slip = -0.1"), ({"step_reward": np.nan}, "step_reward = nan")],
)
def test_bad_numbers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        so.worlds.gridworld(["SG"], **arguments)


@pytest.mark.parametrize(
    "slip, returns, falls",
    [
        (0.0, (-9.00, -9.25, -9.25), (0, 0, 0)),
        (0.05, (-12.93, -13.62, -23.00), (3, 4, 28)),
        (0.1, (-15.02, -15.65, -32.22), (5, 6, 47)),
        (0.2, (-19.40, -20.36, -43.49), (11, 12, 70)),
    ],
)
def test_the_cliff_of_chapter_4(slip, returns, falls):
    world = so.worlds.gridworld(CLIFF, slip=slip)
    plans = (
        so.value_iteration(world, horizon=60),
        so.soft_value_iteration(world, 0.5, prior=UNIFORM, horizon=60),
        so.optimistic_value_iteration(world, 0.5, prior=UNIFORM, horizon=60),
    )
    ends = [so.occupancy(world, plan.policy, 60)[-1].sum(axis=1) for plan in plans]
    assert [so.expected_return(world, plan.policy, 60) for plan in plans] == pytest.approx(returns, abs=0.005)
    assert [100 * end[world.where("X")].sum() for end in ends] == pytest.approx(falls, abs=0.5)
    assert plans[2].v[0, world.where("S")[0]] == pytest.approx(-15.14, abs=0.005)


def test_the_lottery_is_taken_below_its_closed_form_temperature():
    world = so.worlds.lottery(sure=1.0, win=2.0, lose=0.0, probability=0.3)
    threshold = 1 / np.log(0.7 / 0.3)
    for temperature, gamble in ((threshold * 0.999, True), (threshold * 1.001, False)):
        q = so.optimistic_value_iteration(world, temperature, prior=[0.5, 0.5], horizon=1).q[0, 0]
        assert (q[1] > q[0]) == gamble
    assert so.value_iteration(world, horizon=1).q[0, 0].tolist() == [1.0, pytest.approx(0.6)]


def test_two_paths_of_different_length_are_chosen_by_what_a_step_pays():
    for pay, short in ((-2.0, 0.88), (0.0, 0.5), (2.0, 0.12)):
        world = so.worlds.two_paths((1, 2), step_rewards=(pay, pay))
        policy = so.condition_on_optimality(world, 2, prior=[0.5, 0.5]).policy
        assert policy[0, 0, 0] == pytest.approx(short, abs=0.005)


def test_two_paths_have_the_lengths_and_rewards_that_were_asked_for():
    world = so.worlds.two_paths((3, 2), step_rewards=(-1.0, -4.0))
    values = so.value_iteration(world).q[0]
    assert values.tolist() == [-3.0, -8.0]
    with pytest.raises(ValueError, match=r"lengths\[1\] = 0"):
        so.worlds.two_paths((1, 0))


def test_chain_goes_on_and_back():
    world = so.worlds.chain(3, step_reward=-1.0, goal_reward=10.0)
    assert so.value_iteration(world).v.tolist() == [7.0, 8.0, 9.0, 0.0]
    slippery = so.worlds.chain(3, slip=0.25).dense_transition()
    assert slippery[0, 1].tolist() == [0.25, 0.75, 0, 0] and slippery[1, 0].tolist() == [0.75, 0, 0.25, 0]


TABLES = {"FrozenLake-v1": {}, "FrozenLake8x8-v1": {}, "CliffWalking-v1": {}, "CliffWalkingSlippery": {"is_slippery": True}, "Taxi-v4": {}}


def make(name, arguments):
    return gymnasium.make("CliffWalking-v1" if name.startswith("Cliff") else name, **arguments)


@pytest.mark.parametrize("name", TABLES)
def test_a_gymnasium_table_gives_the_values_of_its_own_loop(name):
    env = make(name, TABLES[name])
    mdp = so.worlds.from_gymnasium(env, discount=0.95)
    table = env.unwrapped.P
    assert mdp.n_states == env.observation_space.n and mdp.n_actions == env.action_space.n
    v = np.zeros(len(table))
    for _ in range(500):
        v = np.array([max(sum(p * (r + 0.95 * v[z] * (not done)) for p, z, r, done in row) for row in moves.values()) for moves in table.values()])
    found = so.value_iteration(mdp, tolerance=1e-10).v
    visited = np.asarray(so.occupancy(mdp, np.full(mdp.shape, 1 / mdp.n_actions)).sum(axis=1) > 0) & ~mdp.terminal
    np.testing.assert_allclose(found[visited], v[visited], atol=1e-8)
    assert (found[mdp.terminal] == 0).all() and mdp.terminal.any()


def test_an_ending_in_a_state_that_also_goes_on_gets_a_state_of_its_own():
    table = {0: {0: [(0.5, 1, 1.0, True), (0.5, 1, 0.0, False)]}, 1: {0: [(1.0, 0, 2.0, False)]}}
    env = SimpleNamespace(unwrapped=SimpleNamespace(P=table, initial_state_distrib=np.array([1.0, 0.0])))
    mdp = so.worlds.from_gymnasium(env, discount=0.5)
    assert mdp.terminal.tolist() == [False, False, True]
    np.testing.assert_allclose(so.value_iteration(mdp).v, [1 / (1 - 0.125), 2 + 0.5 / (1 - 0.125), 0], atol=1e-8)


def test_an_environment_without_a_table_is_refused():
    with pytest.raises(ValueError, match="has no table"):
        so.worlds.from_gymnasium(gymnasium.make("CartPole-v1"))
