"""The exact gradient against finite differences and autograd, the sampled one against the exact, and the equivalence and what breaks it."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

import soft_optimality as so
from soft_optimality import policy_gradient as pg


def random_world(seed: int, discount: float = 1.0, landing: bool = False) -> so.MDP:
    rng = np.random.default_rng(seed)
    states, actions = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    reward = rng.normal(size=(states, actions, states) if landing else (states, actions))
    terminal = np.arange(states) == states - 1 if seed % 2 else None
    return so.MDP(rng.dirichlet(np.ones(states), (states, actions)), reward, rng.dirichlet(np.ones(states)), discount, terminal)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["stationary", "by step", "endless"])
def test_the_exact_gradient_is_the_slope_of_the_objective(seed, kind):
    world, rng = random_world(seed, 0.9 if kind == "endless" else 0.95, landing=seed % 3 == 0), np.random.default_rng(seed)
    horizon = None if kind == "endless" else 4
    theta = rng.normal(size=(4, *world.shape) if kind == "by step" else world.shape)
    prior = rng.dirichlet(np.ones(world.n_actions)) if seed % 2 else None
    eta = [0.0, 0.3, 2.0][seed % 3]
    value = lambda logits: pg.soft_return(world, pg.softmax_policy(logits), eta, horizon=horizon, prior=prior)
    numeric, step = np.empty(theta.shape), 1e-5
    for index in np.ndindex(*theta.shape):
        nudge = np.zeros(theta.shape)
        nudge[index] = step
        numeric[index] = (value(theta + nudge) - value(theta - nudge)) / (2 * step)
    np.testing.assert_allclose(pg.policy_gradient(world, theta, eta, horizon=horizon, prior=prior), numeric, atol=2e-8)


@pytest.mark.parametrize("seed", range(12))
def test_the_exact_gradient_agrees_with_automatic_differentiation(seed):
    world, rng = random_world(seed, 0.95), np.random.default_rng(seed)
    theta, eta = rng.normal(size=world.shape), [0.0, 0.3, 2.0][seed % 3]
    goes_on = ~world.terminal

    def objective(logits):
        log_pi = logits - anp.log(anp.sum(anp.exp(logits), axis=1, keepdims=True))
        v = np.zeros(world.n_states)
        for _ in range(4):
            q = world.reward + world.discount * anp.dot(world.transition, v * goes_on)
            v = anp.sum(anp.exp(log_pi) * (q - eta * log_pi), axis=1)
        return anp.dot(world.initial * goes_on, v)

    np.testing.assert_allclose(pg.policy_gradient(world, theta, eta, horizon=4), grad(objective)(theta), atol=1e-11)


def test_it_is_zero_at_the_optimum_and_only_there():
    world = random_world(3, 0.9)
    best = so.soft_value_iteration(world, 0.5, tolerance=1e-12).policy
    assert np.abs(pg.policy_gradient(world, np.log(best), 0.5)).max() < 1e-10
    assert np.abs(pg.policy_gradient(world, np.log(best) + np.eye(*world.shape), 0.5)).max() > 1e-3


def test_a_forbidden_action_stays_forbidden():
    world = so.MDP([[[1.0, 0], [0, 1]], [[0, 1], [1, 0]]], [[1.0, -np.inf], [0.5, 0.0]], [1.0, 0.0])
    theta = np.array([[0.0, -np.inf], [0.0, 1.0]])
    gradient = pg.policy_gradient(world, theta, 1.0, horizon=3)
    assert np.isfinite(gradient).all() and gradient[0, 1] == 0
    sampled = pg.sampled_policy_gradient(world, theta, 1.0, horizon=3, episodes=50, rng=np.random.default_rng(0))
    assert np.isfinite(sampled.gradient).all() and sampled.gradient[0, 1] == 0


@pytest.mark.parametrize("baseline", ["none", "state value", 1.5])
@pytest.mark.parametrize("reward_to_go", [True, False])
@pytest.mark.parametrize("by_step", [False, True])
def test_the_sampled_gradient_agrees_within_its_standard_error(baseline, reward_to_go, by_step):
    world, rng = random_world(5, 0.9, landing=True), np.random.default_rng(1)
    theta = rng.normal(size=(3, *world.shape) if by_step else world.shape)
    exact = pg.policy_gradient(world, theta, 0.7, horizon=3)
    found = pg.sampled_policy_gradient(
        world, theta, 0.7, horizon=3, episodes=40_000, rng=np.random.default_rng(2), baseline=baseline, reward_to_go=reward_to_go
    )
    z = (found.gradient - exact) / np.maximum(found.standard_error, 1e-12)
    assert np.abs(z[found.standard_error > 0]).max() < 4.5  # of at most 60 entries: by chance once in 2,000 seeds; the seed is fixed
    np.testing.assert_array_equal(found.gradient[found.standard_error == 0], exact[found.standard_error == 0])
    assert found.mean_return == pytest.approx(pg.soft_return(world, pg.softmax_policy(theta), 0.7, horizon=3), abs=0.05)


def test_baselines_and_causality_lower_the_variance():
    world, theta = random_world(5, landing=True), np.zeros(random_world(5).shape)
    spread = {}
    for name, how in {"plain": {"reward_to_go": False}, "causal": {}, "baseline": {"baseline": "state value"}}.items():
        found = pg.sampled_policy_gradient(world, theta, 0.5, horizon=6, episodes=4000, rng=np.random.default_rng(3), **how)
        spread[name] = (found.standard_error**2).sum()
    assert spread["baseline"] < spread["causal"] < spread["plain"]


# -- the equivalence ----------------------------------------------------------------------------------------------------------------


def problem(seed: int):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 6, size=2))
    eta = 10.0 ** rng.uniform(-1.5, 1.5)
    rho = rng.dirichlet(np.ones(shape[1]), shape[0]) if seed % 2 else None
    return rng.normal(size=shape), rng.normal(size=shape), eta, rng.random(shape[0]), rho


def autograd_sides(q, y, eta, w, rho, held=("targets", "sampling", "weights", "v target")):
    """Both sides by automatic differentiation, with what is not `held` differentiated too."""
    log_rho = 0.0 if rho is None else np.log(rho)

    def parts(q):
        scaled = q / eta + log_rho
        top = anp.max(scaled, axis=1, keepdims=True)
        v = eta * (top + anp.log(anp.sum(anp.exp(scaled - top), axis=1, keepdims=True)))
        log_pi = scaled - v / eta
        return v[:, 0], log_pi, anp.exp(log_pi)

    _, log_pi0, pi0 = parts(q)
    y_of = lambda q: y if "targets" in held else y + 0.3 * q
    w_of = lambda q: w if "weights" in held else w * anp.exp(0.2 * anp.sum(q, axis=1))
    y_now, w_now = y_of(q), w_of(q)
    v_target_now = (pi0 * (y_now - eta * (log_pi0 - log_rho))).sum(axis=1)

    def left(q):
        pi = pi0 if "sampling" in held else parts(q)[2]
        return anp.sum(w_of(q) * anp.sum(pi * 0.5 * (q - y_of(q)) ** 2, axis=1))

    def right(q):
        v, log_pi, pi = parts(q)
        objective = anp.sum(w_now * anp.sum(pi * (y_now - eta * (log_pi - log_rho)), axis=1))
        target = v_target_now if "v target" in held else anp.sum(pi * (y_now - eta * (log_pi - log_rho)), axis=1)
        return anp.sum(w_now * 0.5 * (v - target) ** 2) - eta * objective

    return grad(left)(q), grad(right)(q)


def test_the_equivalence_on_200_random_problems():
    for seed in range(200):
        q, y, eta, w, rho = problem(seed)
        found = pg.pg_sql_gradients(q, y, eta, weights=w, prior=rho)
        left, right = autograd_sides(q, y, eta, w, rho)
        scale = 1 + np.abs(left).max()
        assert np.abs(found.q_learning - (found.value - found.policy)).max() < 1e-10 * scale
        assert np.abs(found.q_learning - left).max() < 1e-10 * scale
        assert np.abs(found.value - found.policy - right).max() < 1e-10 * scale


@pytest.mark.parametrize("released", ["targets", "sampling", "weights", "v target"])
def test_it_breaks_when_one_of_the_four_is_not_held(released):
    held = tuple(name for name in ("targets", "sampling", "weights", "v target") if name != released)
    broken = 0
    for seed in range(20):
        left, right = autograd_sides(*problem(seed), held=held)
        broken += np.abs(left - right).max() > 1e-3
    assert broken == 20


# -- path consistency ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(0, 20, 2))  # worlds without an end
def test_path_consistency_holds_at_the_optimum_for_every_path(seed):
    world, rng = random_world(seed, 0.9, landing=seed % 4 == 0), np.random.default_rng(seed)
    prior = rng.dirichlet(np.ones(world.n_actions)) if seed % 4 else None
    plan = so.soft_value_iteration(world, 0.6, prior=prior, tolerance=1e-12)
    for n in (1, 2, 5):
        path = rng.integers(world.n_actions, size=n)
        assert np.abs(pg.path_residual(world, plan.v, plan.policy, 0.6, path, prior=prior)).max() < 1e-9
    other = rng.dirichlet(np.ones(world.n_actions), world.n_states)
    assert np.abs(pg.path_residual(world, plan.v, other, 0.6, [0], prior=prior)).max() > 1e-3


# -- learning, and bad input --------------------------------------------------------------------------------------------------------


def test_ascent_finds_the_soft_optimum():
    world = random_world(4)
    best = so.soft_value_iteration(world, 0.5, horizon=5)
    found = so.soft_policy_gradient(world, 0.5, horizon=5, steps=150, episodes=200, rng=np.random.default_rng(0), logits=np.zeros((5, *world.shape)))
    top = float(world.initial @ best.v[0])
    assert found.objective[0] < found.objective[-1] and top - found.objective[-1] < 0.1 * (top - found.objective[0])


def test_an_interrupted_run_keeps_what_it_learned(monkeypatch):
    world, calls, real = random_world(4), [], pg.sampled_policy_gradient

    def stop_at_the_third(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(pg, "sampled_policy_gradient", stop_at_the_third)
    found = so.soft_policy_gradient(world, 0.5, horizon=3, steps=50, episodes=20, rng=np.random.default_rng(0))
    assert found.interrupted and len(found.objective) == 3 and np.abs(found.logits).max() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "value"}, "baseline = 'value'"),
        ({"episodes": 0}, "episodes = 0"),
        ({"horizon": 0}, "horizon = 0"),
        ({"temperature": -1.0}, "temperature = -1.0"),
        ({"rng": 3}, "rng = 3"),
        ({"logits": np.zeros((1, 1))}, "logits has shape"),
        ({"logits": np.full(random_world(4).shape, np.nan)}, "logits: expected"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"logits": np.zeros(random_world(4).shape), "temperature": 0.5, "horizon": 3, "episodes": 5, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=message):
        pg.sampled_policy_gradient(random_world(4), **{**arguments, **change})
