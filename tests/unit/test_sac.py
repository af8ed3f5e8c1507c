"""Soft actor–critic: each gradient against finite differences and against autodiff, the density against quadrature, an agent against a
problem whose soft optimum is known, and a saved agent against the one that went on."""

import copy as copying
import pickle
import re
import signal
import threading
import warnings
from itertools import pairwise

import autograd
import autograd.numpy as anp
import gymnasium
import numpy as np
import pytest
from scipy.integrate import quad

import soft_optimality as so
from soft_optimality import sac
from soft_optimality.sac import SAC, Adam, Replay, Workspace, forward, initial_parameters, layers


class World(gymnasium.Env):
    """A continuous environment in a few lines: observations are uniform in [−1, 1]ⁿ, `reward(s, a)` is the test's, and so is the end."""

    def __init__(self, reward=lambda s, a: 0.0, *, n=1, low=(-2.0,), high=(2.0,), length=1, stop="terminated"):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (n,), np.float32)
        self.action_space = gymnasium.spaces.Box(np.array(low, np.float32), np.array(high, np.float32))
        self.reward, self.length, self.stop, self.t = reward, length, stop, 0

    def _observe(self):
        self.s = self.np_random.uniform(-1, 1, self.observation_space.shape).astype(np.float32)
        return self.s

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        reward = self.reward(self.s, action)
        self.t += 1
        over = self.t == self.length
        return self._observe(), reward, over and self.stop == "terminated", over and self.stop == "truncated", {}


def agent(env=None, seed=0, **options):
    options = {"hidden": (16, 16), "batch": 32, **options}
    return SAC(World(length=20) if env is None else env, rng=np.random.default_rng(seed), **options)


def weights(one):
    return {name: array.copy() for name, array in one._arrays().items()}


def same(a, b):
    """Bit for bit: everything that decides what an agent does next."""
    assert a.steps == b.steps and a.updates == b.updates
    np.testing.assert_equal(a.rng.bit_generator.state, b.rng.bit_generator.state)
    assert a.episode_ends == b.episode_ends and a.episode_returns == b.episode_returns
    for name, array in a._arrays().items():
        np.testing.assert_array_equal(array, b._arrays()[name], err_msg=name)
    np.testing.assert_array_equal(a._replay.rows[: a._replay.size], b._replay.rows[: b._replay.size])


# -- gradients: float64, random networks, (n, d, hidden) of several shapes ------------------------------------------------------------

SHAPES = [(3, 1, (8, 8)), (2, 3, (5, 7)), (4, 2, (6,)), (1, 2, (4, 5, 6))]
ETA, TARGET_ENTROPY, BATCH = 0.3, -0.7, 11


class Problem:
    """Random networks and a random batch, with the losses as functions of flat parameters that autodiff can follow."""

    def __init__(self, n, d, hidden, seed=0):
        rng = np.random.default_rng(seed)
        self.n, self.d = n, d
        self.policy_sizes, self.critic_sizes = (n, *hidden, 2 * d), (n + d, *hidden, 1)
        self.policy = initial_parameters(self.policy_sizes, 1, rng, np.float64)
        self.critics = initial_parameters(self.critic_sizes, 2, rng, np.float64)
        self.s, self.a = rng.normal(size=(BATCH, n)), rng.uniform(-1, 1, (BATCH, d))
        self.noise, self.y = rng.normal(size=(BATCH, d)), rng.normal(size=BATCH)
        self.log_scale = 0.9
        self.policy_room, self.critic_room = Workspace(self.policy_sizes, 1, BATCH, np.float64), Workspace(self.critic_sizes, 2, BATCH, np.float64)

    @staticmethod
    def network(parameters, sizes, count, x):
        """The textbook's multilayer perceptron, layer by layer, written again."""
        outputs, start, blocks = [], 0, []
        for n, m in pairwise(sizes):
            blocks.append(parameters[start : start + count * (n + 1) * m].reshape((count, n + 1, m)))
            start += count * (n + 1) * m
        for i in range(count):
            h = x
            for level, block in enumerate(blocks):
                h = anp.dot(h, block[i, 1:]) + block[i, 0]
                h = h if level == len(blocks) - 1 else anp.where(h > 0, h, 0.0)
            outputs.append(h)
        return outputs

    def critic_loss(self, critics):
        q1, q2 = self.network(critics, self.critic_sizes, 2, np.hstack([self.s, self.a]))
        return anp.mean((q1[:, 0] - self.y) ** 2) / 2 + anp.mean((q2[:, 0] - self.y) ** 2) / 2

    def draw(self, policy):
        head = self.network(policy, self.policy_sizes, 1, self.s)[0]
        mean, std = head[:, : self.d], anp.exp(anp.clip(head[:, self.d :], *sac.LOG_STD))
        u = mean + std * self.noise
        normal = -0.5 * ((u - mean) / std) ** 2 - anp.log(std) - 0.5 * np.log(2 * np.pi)
        return anp.tanh(u), anp.sum(normal - anp.log(1 - anp.tanh(u) ** 2), axis=1) - self.log_scale

    def policy_loss(self, policy):
        a, log_density = self.draw(policy)
        q1, q2 = self.network(self.critics, self.critic_sizes, 2, anp.concatenate([self.s, a], axis=1))
        return anp.mean(ETA * log_density - anp.minimum(q1, q2)[:, 0])

    def our_critic_gradient(self):
        gradient = np.empty_like(self.critics)
        x = sac.with_one(np.hstack([self.s, self.a]))
        sac.critic_gradient(self.layers(self.critics), x, self.y, self.critic_room, self.layers(gradient))
        return gradient

    def our_critic_loss(self, critics):
        return sac.critic_loss(forward(self.layers(critics), sac.with_one(np.hstack([self.s, self.a])), self.critic_room), self.y)

    def our_draw(self, policy):
        head = forward(layers(policy, self.policy_sizes, 1), sac.with_one(self.s), self.policy_room)[0]
        return sac.squashed_gaussian(head, self.noise, self.log_scale)

    def our_policy_loss(self, policy):
        draw = self.our_draw(policy)
        q = forward(self.layers(self.critics), sac.with_one(np.hstack([self.s, draw.action])), self.critic_room)
        return sac.policy_loss(q, draw.log_density, ETA)

    def our_policy_gradient(self):
        gradient, draw = np.empty_like(self.policy), self.our_draw(self.policy)
        x, work = sac.with_one(np.hstack([self.s, draw.action])), (self.policy_room, self.critic_room)
        policy, out = (layers(flat, self.policy_sizes, 1) for flat in (self.policy, gradient))
        sac.policy_gradient(policy, self.layers(self.critics), x, draw, ETA, work, out)
        return gradient

    def layers(self, flat):
        return layers(flat, self.critic_sizes, 2)


def finite_differences(f, x, step=1e-6):
    result = np.empty_like(x)
    for i in range(x.size):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        result[i] = (f(up) - f(down)) / (2 * step)
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_critic_gradient_is_that_of_the_loss(shape):
    problem = Problem(*shape)
    ours = problem.our_critic_gradient()
    assert np.abs(ours).max() > 1e-3
    np.testing.assert_allclose(ours, autograd.grad(problem.critic_loss)(problem.critics), atol=1e-13)
    np.testing.assert_allclose(ours, finite_differences(problem.our_critic_loss, problem.critics), atol=1e-8)  # step²·f''' + rounding/step


@pytest.mark.parametrize("shape", SHAPES)
def test_policy_gradient_is_that_of_the_loss(shape):
    problem = Problem(*shape)
    ours = problem.our_policy_gradient()
    assert np.abs(ours).max() > 1e-3
    np.testing.assert_allclose(ours, autograd.grad(problem.policy_loss)(problem.policy), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours, finite_differences(problem.our_policy_loss, problem.policy), atol=1e-8)


def test_policy_gradient_vanishes_where_log_std_is_held_at_its_bound():
    problem = Problem(3, 2, (8, 8))
    layers(problem.policy, problem.policy_sizes, 1)[-1][0, 0, 2:] += 10  # the biases of log σ: every σ is now the largest
    ours = problem.our_policy_gradient()
    np.testing.assert_array_equal(layers(ours, problem.policy_sizes, 1)[-1][0, :, 2:], 0.0)
    np.testing.assert_allclose(ours, finite_differences(problem.our_policy_loss, problem.policy), atol=1e-8)
    assert np.abs(ours).max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_losses_are_the_ones_that_autodiff_follows(shape):
    problem = Problem(*shape)
    assert problem.our_critic_loss(problem.critics) == pytest.approx(problem.critic_loss(problem.critics), abs=1e-13)
    assert problem.our_policy_loss(problem.policy) == pytest.approx(problem.policy_loss(problem.policy), abs=1e-9)  # 1 − tanh² loses digits


def test_temperature_gradient_is_that_of_the_dual_and_points_the_right_way():
    log_density = np.random.default_rng(0).normal(size=50)
    dual = lambda log_eta: anp.mean(-log_eta * (log_density + TARGET_ENTROPY))
    ours = sac.temperature_gradient(log_density, TARGET_ENTROPY)
    assert ours == pytest.approx(autograd.grad(dual)(0.4), abs=1e-14)
    assert ours == pytest.approx(finite_differences(lambda x: dual(x[0]), np.array([0.4]))[0], abs=1e-9)
    entropy = -log_density.mean()
    assert sac.temperature_gradient(log_density, entropy + 0.1) < 0 < sac.temperature_gradient(log_density, entropy - 0.1)


def test_ties_between_the_critics_give_the_gradient_to_one_of_them():
    np.testing.assert_array_equal(sac.policy_loss_gradient(np.zeros((2, 4, 1))).sum(axis=0), -0.25 * np.ones((4, 1)))


def test_a_whole_update_uses_these_gradients():
    """The agent's own gradients, in float32, against autodiff on the batch that it drew: the wiring of states, next states, averages, η, γ."""
    one = agent(World(lambda s, a: float(s[0] - a[0] ** 2), n=2, low=(-1.0, 0.0), high=(3.0, 1.0), length=3), discount=0.9)
    one.learn(60, progress=False)
    before, eta, room = weights(one), one.temperature, one._room
    one.update()
    p = Problem(2, 2, (16, 16))
    rows, noise = room.rows.astype(float), room.noise.astype(float)
    p.s, p.a, after, reward, goes_on = rows[:, 1:3], rows[:, 3:5], rows[:, 5:7], rows[:, 7], rows[:, 8]
    assert set(goes_on) == {0.0, 1.0}
    p.log_scale, policy, critics = np.log(2.0) + np.log(0.5), before["policy"][:-1].astype(float), before["critics"].astype(float)

    here, p.s, p.noise = p.s, after, noise[len(after) :]
    a_after, log_density_after = p.draw(policy)
    q_after = np.minimum(*p.network(before["averages"].astype(float), p.critic_sizes, 2, np.hstack([after, a_after])))[:, 0]
    p.y = reward + 0.9 * goes_on * (q_after - eta * log_density_after)
    p.s = here
    np.testing.assert_allclose(one._critics_gradient, autograd.grad(p.critic_loss)(critics), atol=2e-6)  # float32: 1e-7 of sums of order 1

    p.critics, p.noise = one._critics.astype(float), noise[: len(here)]  # the critics have moved by now
    log_density = p.draw(policy)[1]
    loss = lambda policy: p.policy_loss(policy) + (eta - ETA) * anp.mean(p.draw(policy)[1])
    np.testing.assert_allclose(one._policy_gradient[:-1], autograd.grad(loss)(policy), atol=2e-6)
    assert one._policy_gradient[-1] == pytest.approx(-(log_density.mean() + one.options.target_entropy), abs=1e-5)
    np.testing.assert_allclose(one._averages, 0.99 * before["averages"] + 0.01 * one._critics, atol=1e-7)


def test_adam_is_kingma_and_bas():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5)
    expected, m, v, adam = x.copy(), 0.0, 0.0, Adam(5, 0.01, np.float64)
    for t in range(1, 30):
        g = rng.normal(size=5) * 10.0 ** rng.integers(-8, 3, 5)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        expected -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        adam.descend(x, g)
    np.testing.assert_allclose(x, expected, rtol=1e-12)


# -- the density ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean, std, c", [(0.0, 1.0, 1.0), (0.7, 0.4, 2.0), (-1.5, 1.2, 0.1), (0.2, 0.05, 3.0)])
def test_the_density_of_a_scaled_action_integrates_to_one(mean, std, c):
    def density(action):
        noise = (np.arctanh(action / c) - mean) / std
        draw = sac.squashed_gaussian(np.array([[mean, np.log(std)]]), np.array([[noise]]), np.log(c))
        assert c * draw.action[0, 0] == pytest.approx(action, abs=1e-12)
        return float(np.exp(draw.log_density[0]))

    assert quad(density, -c, c, points=[c * np.tanh(mean)], epsabs=1e-9)[0] == pytest.approx(1, abs=1e-7)


def test_log_slope_keeps_its_digits_where_tanh_has_none_left():
    u = np.array([-300.0, -20.0, 0.0, 1.0, 40.0])
    np.testing.assert_allclose(sac.log_slope(u), np.log(4) - 2 * np.abs(u) - 2 * np.log1p(np.exp(-2 * np.abs(u))), rtol=1e-15)
    assert sac.log_slope(np.array([1.0]))[0] == pytest.approx(np.log(1 - np.tanh(1) ** 2), abs=1e-15)
    assert np.isfinite(sac.log_slope(u.astype(np.float32))).all()


def test_after_a_terminal_state_there_is_no_value():
    q, log_density = np.full((2, 2, 1), 5.0), np.array([1.0, 1.0])
    q[1] = 4
    np.testing.assert_allclose(sac.soft_target(np.array([1.0, 1.0]), np.array([1.0, 0.0]), q, log_density, 0.5, 0.9), [1 + 0.9 * (4 - 0.5), 1.0])


# -- learning ------------------------------------------------------------------------------------------------------------------------


def test_learns_the_soft_optimum_of_a_world_that_is_solved_by_hand():
    """One step, reward −k (a − 0.8 s)², actions in [−2, 2]: the soft optimum is exp(Q/η)/Z, a Gaussian of mean 0.8 s and variance η/2k,
    and V = η log ∫ exp(Q/η) da = ½ η log(π η/k), which E[Q − η log π] matches only if log π is the density of the scaled action."""
    k, eta = 4.0, 0.5
    one = agent(World(lambda s, a: -k * float(a[0] - 0.8 * s[0]) ** 2), temperature=eta, hidden=(32, 32), batch=128)
    one.learn(3000, progress=False)
    s = np.linspace(-0.9, 0.9, 7, dtype=np.float32)[:, None]
    assert one.temperature == eta
    np.testing.assert_allclose(one.act(s), 0.8 * s, atol=0.12)
    many = np.repeat(s, 4000, axis=0)
    drawn = one.act(many, mean=False).reshape(7, 4000)
    np.testing.assert_allclose(drawn.std(axis=1), np.sqrt(eta / (2 * k)), rtol=0.25)
    log_density = _log_density(one, many)
    v = (one.q(many, log_density[0]) - eta * log_density[1]).mean()
    assert v == pytest.approx(0.5 * eta * np.log(np.pi * eta / k), abs=0.08)
    assert one.evaluate(50).mean() > -0.1


def _log_density(one, s):
    """Actions drawn from the agent's policy, in the environment's units, and their log-density."""
    work = Workspace((1, *one.options.hidden, 2), 1, len(s))
    head = forward(one._policy_layers, sac.with_one(s), work)[0]
    draw = sac.squashed_gaussian(head, np.random.default_rng(1).normal(size=(len(s), 1)).astype(np.float32), one._log_scale)
    return one._to_env(draw.action), draw.log_density


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_the_learned_temperature_holds_the_target_entropy_whatever_the_actions_units(c):
    one = agent(World(lambda s, a: -2 * float(a[0] / c - 0.5) ** 2, low=(-c,), high=(c,)), learning_rate=3e-3)
    assert one.options.target_entropy == pytest.approx(np.log(c) - 1)
    one.learn(2500, progress=False)
    s = np.random.default_rng(2).uniform(-1, 1, (2000, 1)).astype(np.float32)
    assert -_log_density(one, s)[1].mean() == pytest.approx(np.log(c) - 1, abs=0.25)
    assert one.temperature < 0.9


def test_pendulum_learns_in_a_few_thousand_steps():
    """From −1,200 of a policy that knows nothing.  The book's claim, 10 seeds at 10,000 steps, is recorded (below)."""
    one = SAC(gymnasium.make("Pendulum-v1"), rng=np.random.default_rng(0))
    one.learn(3000, progress=False)
    assert one.evaluate(10).mean() > -800


def test_recorded_pendulum_runs_reach_what_the_book_says():
    recorded = so.recorded.load("sac_pendulum.json")
    last = lambda name: np.array([run["evaluation_return"][-1] for run in recorded["runs"] if run["agent"] == name])
    ours = last("soft_optimality")
    assert recorded["steps"][-1] == 10_000 and len(ours) == 10 and ours.min() > -200
    for peer in (last("stable_baselines3"), last("stable_baselines3_our_settings")):
        standard_error = np.hypot(ours.std(ddof=1), peer.std(ddof=1)) / np.sqrt(10)
        assert len(peer) == 10 and ours.mean() >= peer.mean() - standard_error


# -- going on ------------------------------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_run_however_it_is_cut_and_looked_at():
    whole, cut, watched = agent(), agent(), agent()
    whole.learn(150, progress=False)
    for steps in (30, 7, 113):
        cut.learn(steps, progress=False)
    for _ in range(3):
        watched.learn(50, progress=False)
        watched.evaluate(2)
    same(whole, cut)
    same(whole, watched)


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937])
@pytest.mark.parametrize("steps", [5, 100, 170])
def test_a_loaded_agent_goes_on_bit_for_bit(tmp_path, steps, bits):
    """Before learning begins, at the end of an episode, and in the middle of one after the replay has wrapped around."""
    make = lambda: World(lambda s, a: -float(np.sum(a * a)), n=2, low=(-1.0, 0.0), high=(1.0, 5.0), length=20, stop="truncated")
    one = SAC(make(), rng=np.random.Generator(bits(3)), hidden=(16, 16), batch=32, capacity=90, learning_rate=3e-3, averaging=0.02)
    one.learn(steps, progress=False)
    one.save(tmp_path / "agent.npz")
    other = SAC.load(tmp_path / "agent.npz", make())
    same(one, other)
    assert other.options == one.options
    first, second = one.learn(60, progress=False), other.learn(60, progress=False)
    same(one, other)
    np.testing.assert_array_equal(first.returns, second.returns)
    np.testing.assert_array_equal(one.evaluate(2), other.evaluate(2))


def test_a_loaded_pendulum_agent_goes_on_bit_for_bit_in_the_middle_of_an_episode(tmp_path):
    one = agent(gymnasium.make("Pendulum-v1"), batch=64)
    one.learn(270, progress=False)
    path = tmp_path / "agent"  # as given: no ending is added
    one.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["agent"]
    other = SAC.load(str(path), gymnasium.make("Pendulum-v1"))
    one.learn(200, progress=False)
    other.learn(200, progress=False)
    same(one, other)
    assert len(one.episode_returns) == 2


def test_an_environment_that_does_not_repeat_itself_begins_a_new_episode_and_says_so(tmp_path):
    class Moody(World):
        def _observe(self):
            self.s = np.random.default_rng().uniform(-1, 1, 1).astype(np.float32)
            return self.s

    one = agent(Moody(length=20))
    one.learn(50, progress=False)
    one.save(tmp_path / "agent.npz")
    other = SAC.load(tmp_path / "agent.npz", Moody(length=20))
    with pytest.warns(UserWarning, match="does not repeat the episode"):
        other.learn(10, progress=False)
    assert other.steps == 60


def test_copies_are_refused_rather_than_broken():
    for copy in (copying.copy, copying.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="use save and load"):
            copy(agent())


def test_load_refuses_other_files_and_other_environments(tmp_path):
    one = agent()
    one.save(tmp_path / "agent.npz")
    with pytest.raises(ValueError, match=r"env: the agent in .* had 1 observations and actions from \[-2\.0\] to \[2\.0\]"):
        SAC.load(tmp_path / "agent.npz", World(high=(3.0,)))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text").write_text("hello")
    (tmp_path / "half.npz").write_bytes((tmp_path / "agent.npz").read_bytes()[:2000])
    for name in ("other.npz", "text", "half.npz"):
        with pytest.raises(ValueError, match=f"{name}.*not a file that SAC.save wrote"):
            SAC.load(tmp_path / name, World())
    with pytest.raises(FileNotFoundError):
        SAC.load(tmp_path / "nowhere.npz", World())


def test_an_interrupt_keeps_what_was_learned():
    def interrupted(s, a):
        calls.append(1)
        if len(calls) == 77:
            raise KeyboardInterrupt
        return 0.0

    calls = []
    one = agent(World(interrupted, length=10))
    with pytest.warns(UserWarning, match="interrupted after 76 of 200 steps"):
        training = one.learn(200, progress=False)
    assert training.interrupted and len(training.returns) == 7 and one.steps == 76 and one.updates == 45
    assert not one.learn(24, progress=False).interrupted and one.steps == 100


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread only")
def test_control_c_waits_for_the_step_under_way():
    def interrupted(s, a):
        calls.append(1)
        if len(calls) == 77:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    calls, before = [], signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        one, other = agent(World(interrupted, length=10)), agent(World(length=10))
        with pytest.warns(UserWarning, match="interrupted after 77 of 200 steps"):
            assert one.learn(200, progress=False).interrupted
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    one.learn(23, progress=False)
    other.learn(100, progress=False)
    same(one, other)  # nothing was lost, not even the place in the episode


def test_learn_reports_its_own_episodes():
    one = agent(World(lambda s, a: 1.0, length=20))
    first, second = one.learn(50, progress=False), one.learn(50, progress=False)
    assert first.steps.tolist() == [20, 40] and first.returns.tolist() == [20.0, 20.0] and not first.interrupted
    assert second.steps.tolist() == [60, 80, 100] and one.episode_ends == [20, 40, 60, 80, 100]
    assert "100 steps, 69 updates, 5 episodes" in repr(one)


# -- actions and episodes ------------------------------------------------------------------------------------------------------------


def test_actions_are_the_environments_own():
    one = agent(World(n=3, low=(-1.0, 2.0), high=(3.0, 2.5)))
    s = np.random.default_rng(0).normal(size=(500, 3)) * 50
    for mean in (True, False):
        actions = one.act(s, mean)
        assert actions.shape == (500, 2) and actions.dtype == np.float32 and all(one.env.action_space.contains(a) for a in actions)
    assert one.act(s[0]).shape == (2,)
    np.testing.assert_allclose(one.act(s[0]), one.act(s)[0], rtol=1e-5)
    assert one.q(s, one.act(s)).shape == (500,)


@pytest.mark.parametrize("stop, goes_on", [("terminated", 0.0), ("truncated", 1.0)])
def test_only_a_terminal_state_ends_the_value(stop, goes_on):
    one = agent(World(length=5, stop=stop))
    one.learn(5, progress=False)
    assert one._replay.rows[:5, -1].tolist() == [1.0] * 4 + [goes_on]


def test_an_environment_that_never_ends_is_cut_off():
    one = agent(World(lambda s, a: 1.0, stop="never"), episode_steps=30)
    assert one.learn(100, progress=False).returns.tolist() == [30.0] * 3
    assert (one._replay.rows[:100, -1] == 1).all()
    assert one.evaluate(2).tolist() == [30.0, 30.0]


def test_an_environment_may_hand_out_the_same_array_at_every_step():
    class Thrifty(World):
        def _observe(self):
            self.s = self.__dict__.setdefault("buffer", np.empty(1, np.float32))
            self.s[:] = self.np_random.uniform(-1, 1, 1)
            return self.s

    one, other = agent(Thrifty(length=20)), agent(World(length=20))
    one.learn(60, progress=False)
    other.learn(60, progress=False)
    same(one, other)


def test_replay_keeps_the_last_and_gives_the_latest_in_order():
    replay = Replay(5, 2, 1)
    for i in range(8):
        replay.add(np.full(2, i), np.array([i / 10]), np.full(2, i + 1), i, True)
    assert replay.size == 5 and sorted(replay.rows[:, -2]) == [3, 4, 5, 6, 7]
    np.testing.assert_allclose(replay.latest_actions(4)[:, 0], [0.4, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(replay.rows[replay.next], [1, 3, 3, 0.3, 4, 4, 3, 1])


# -- bad input -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rng": 0}, "rng = 0: must be a numpy.random.Generator"),
        ({"hidden": ()}, r"hidden = \(\)"),
        ({"hidden": 64}, "hidden = 64"),
        ({"hidden": (64, 0)}, r"hidden\[1\] = 0"),
        ({"discount": 1.1}, "discount = 1.1"),
        ({"discount": float("nan")}, "discount = nan"),
        ({"batch": 0}, "batch = 0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"averaging": 2}, "averaging = 2"),
        ({"temperature": 0.0}, "temperature = 0.0"),
        ({"temperature": -1.0}, "temperature = -1.0"),
        ({"temperature": float("inf")}, "temperature = inf"),
        ({"target_entropy": np.log(4.0)}, r"target_entropy = .*: must be below 1.38629 nats, the entropy of uniform actions"),
        ({"target_entropy": float("nan")}, "target_entropy = nan"),
        ({"target_entropy": -40.0}, "target_entropy = -40.0"),
        ({"target_entropy": -1.0, "temperature": 0.2}, "target_entropy = -1.0: there is none where temperature = 0.2 is fixed"),
        ({"warm_up": 10}, "warm_up = 10: must lie between batch = 32 and capacity"),
        ({"capacity": 20}, "capacity = 20"),
        ({"episode_steps": 0}, "episode_steps = 0"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SAC(World(), **{"rng": np.random.default_rng(0), "hidden": (16, 16), "batch": 32, **options})


def test_spaces_that_sac_cannot_work_with_are_named():
    discrete = gymnasium.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"env.action_space = Discrete\(2\)"):
        agent(discrete)
    with pytest.raises(ValueError, match=r"env.action_space: action 1 lies between -inf and 1.0; its bounds must be finite"):
        agent(World(low=(-1.0, -np.inf), high=(1.0, 1.0)))
    with pytest.raises(ValueError, match=r"env.action_space: action 0 lies between 1.0 and 1.0"):
        agent(World(low=(1.0,), high=(1.0,)))
    with pytest.raises(ValueError, match=r"env = 'Pendulum-v1': must be a gymnasium.Env"):
        agent("Pendulum-v1")
    env = World()
    env.observation_space = gymnasium.spaces.Box(0, 255, (4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"env.observation_space = Box.*FlattenObservation"):
        agent(env)


def test_updates_need_enough_transitions():
    one = agent()
    with pytest.raises(ValueError, match="batch = 32: the replay is empty"):
        one.update()
    one.learn(31, progress=False)
    with pytest.raises(ValueError, match="batch = 32: only 31 transitions are stored"):
        one.update()
    assert one.updates == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e39])
@pytest.mark.parametrize("what", ["reward", "observation"])
def test_what_is_not_finite_never_enters(what, bad):
    class Faulty(World):
        def step(self, action):
            after, reward, *rest = super().step(action)
            calls.append(1)
            if len(calls) == 70:
                after, reward = (np.array([bad]), reward) if what == "observation" else (after, bad)
            return after, reward, *rest

    calls = []
    one = agent(Faulty(length=20))
    with pytest.raises(ValueError, match=rf"{what}(\[0\])? = {re.escape(str(bad))}: not a finite float32, from env at step 69"):
        one.learn(200, progress=False)
    assert one.steps == 69 and np.isfinite(one._replay.rows[:69]).all()
    one.learn(50, progress=False)  # the broken episode is left behind
    assert one.steps == 119 and all(np.isfinite(array).all() for array in weights(one).values())


def test_rewards_that_overflow_do_not_reach_the_weights():
    one = agent(World(lambda s, a: 1e37, length=20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="the gradient of the critics has the square norm inf: rewards or observations are too large"):
            one.learn(100, progress=False)
    assert one.updates == 0 and all(np.isfinite(array).all() for array in weights(one).values())


def test_evaluate_refuses_a_broken_environment_and_learning_goes_on():
    one, other = agent(), agent()
    one.learn(50, progress=False)
    one.env.reward = lambda s, a: float("nan")
    with pytest.raises(ValueError, match="reward = nan"):
        one.evaluate(1)
    one.env.reward = lambda s, a: 0.0
    one.learn(50, progress=False)
    other.learn(100, progress=False)
    same(one, other)


def test_observations_of_another_shape_are_named():
    one = agent()
    with pytest.raises(ValueError, match=r"observation has shape \(2,\), expected \(1,\) or \(any, 1\)"):
        one.act([0.0, 1.0])
    with pytest.raises(ValueError, match="observation = nan"):
        one.act([float("nan")])
    with pytest.raises(ValueError, match=r"shapes \(2, 1\) and \(3, 1\)"):
        one.q(np.zeros((2, 1)), np.zeros((3, 1)))
    for name in ("steps", "episodes"):
        with pytest.raises(ValueError, match=f"{name} = 0"):
            (one.learn if name == "steps" else one.evaluate)(0)
