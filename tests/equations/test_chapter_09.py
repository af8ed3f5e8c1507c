"""Chapter 9: the gradient of reward plus entropy, over all trajectories, against differences of the library's objective."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, log, paths, worlds
from test_chapter_07 import average

STEP = 1e-5
WORLDS = {"possible": False, "forbid": False, "temperatures": (-2.0, 2.0)}


def full_prior(world: World) -> bool:
    """A softmax policy tries every action, so the prior must allow all."""
    return bool((world.rho > 0).all())


def softmax(theta: np.ndarray) -> np.ndarray:
    weights = np.exp(theta - theta.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def expected_score(world: World, theta: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """E_τ Σ_t ∇ log π_θ(a_t|s_t) weight_t over all trajectories; weight (T, N).  (S, A)"""
    every = paths(world)
    policy = softmax(theta)
    chance = np.exp(every.log_chance(np.repeat(policy[None], world.horizon, axis=0)))
    gradient = np.zeros_like(theta)
    for t in range(world.horizon):
        s, a, w = every.states[t], every.actions[t], chance * np.where(every.live[t], weight[t], 0.0)
        np.add.at(gradient, (s, a), w)
        reached = np.zeros(len(theta))
        np.add.at(reached, s, w)
        gradient -= reached[:, None] * policy
    return gradient


def gains(world: World, theta: np.ndarray) -> np.ndarray:
    """r − η log(π/ρ) of each step of each trajectory.  (T, N)"""
    every = paths(world)
    price = every.log_policy(np.repeat(softmax(theta)[None], world.horizon, axis=0)) - every.log_prior
    return every.rewards - world.eta * price


def to_go(gain: np.ndarray) -> np.ndarray:
    """Σ_{t' ≥ t}"""
    return gain[::-1].cumsum(axis=0)[::-1]


def objective(world: World, theta: np.ndarray) -> float:
    """J = E[Σ r − η log(π/ρ)], by the library."""
    return world.eta * so.elbo(world.mdp, softmax(theta), world.horizon, world.eta, prior=world.prior)


@equation(
    "spg",
    "a0bd9bcc",
    "The gradient of reward plus entropy is the expected score times the soft reward to go, less any baseline.",
    so.elbo,
)
def test_spg(tally):
    for world in tally.over(filter(full_prior, worlds(600, **WORLDS))):
        theta = world.rng.normal(size=world.p.shape[:2])
        baseline = world.rng.normal(size=len(theta))
        weight = to_go(gains(world, theta)) - baseline[paths(world).states[:-1]]
        mine, numeric = expected_score(world, theta, weight), np.zeros_like(theta)
        for where in np.ndindex(theta.shape):
            step = np.zeros_like(theta)
            step[where] = STEP
            numeric[where] = (objective(world, theta + step) - objective(world, theta - step)) / (2 * STEP)
        tally.equal(mine, numeric, 1e-6)


@equation(
    "baseline-free",
    "96797a20",
    "A baseline that depends on the state, and the constant −η, vanish in expectation; so does what was paid before.",
    so.elbo,
)
def test_baseline_free(tally):
    for world in tally.over(filter(full_prior, worlds(1000, **WORLDS))):
        theta = world.rng.normal(size=world.p.shape[:2])
        every, gain = paths(world), gains(world, theta)
        baseline = world.rng.normal(size=len(theta))[every.states[:-1]]
        scale = world.eta + 1
        tally.equal(expected_score(world, theta, baseline), 0.0)
        tally.equal(expected_score(world, theta, np.full(gain.shape, -world.eta)) / scale, 0.0)
        whole = np.repeat(gain.sum(axis=0)[None], world.horizon, axis=0)
        tally.equal(expected_score(world, theta, whole) / scale, expected_score(world, theta, to_go(gain)) / scale, what="whole sum and reward to go")


@equation(
    "pg-sql-equivalence",
    "0d401585",
    "With Q = V + η log π the gradient of soft Q-learning is −η times the policy gradient plus the value's, if four things are held.",
    so.backups.soft_v,
    so.backups.boltzmann_policy,
    over="random states",
)
def test_pg_sql_equivalence(tally):
    for seed in tally.over(range(1000)):
        rng = np.random.default_rng([seed, 90])
        actions, eta = int(rng.integers(2, 6)), 10 ** rng.uniform(-2, 2)
        q, target = rng.normal(size=actions) * eta, rng.normal(size=actions)

        def parts(q, eta=eta):
            row = q[None]
            return so.backups.soft_v(row, eta)[0], so.backups.boltzmann_policy(row, eta)[0]

        v, policy = parts(q)
        tally.equal(v + eta * np.log(policy), q, what="V + η log π and Q")
        v_hat = policy @ (target - eta * np.log(policy))

        def squared(q, policy=policy, target=target):
            return 0.5 * policy @ (q - target) ** 2  # a ~ π is held

        def paid(q, target=target, eta=eta, parts=parts):
            pi = parts(q)[1]
            return pi @ (target - eta * np.log(pi))  # E_a[ŷ] + ηH

        def value(q, v_hat=v_hat, parts=parts):
            return 0.5 * (parts(q)[0] - v_hat) ** 2

        step = 1e-5 * eta

        def slope(f, q=q, step=step):
            return np.array([(f(q + e) - f(q - e)) / (2 * step) for e in np.eye(len(q)) * step])

        tally.equal(slope(squared), -eta * slope(paid) + slope(value), 1e-6)


@equation(
    "path-consistency",
    "c364ff37",
    "Along any path V is the discounted soft reward of the optimal policy plus the discounted V at its end, in expectation over the dynamics.",
    so.soft_value_iteration,
)
def test_path_consistency(tally):
    options = {"discount": 0.8, "temperatures": (-1.5, 3.0), "possible": False, "forbid": False, "terminals": True}
    for world in tally.over(filter(full_prior, worlds(600, **options))):
        plan = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-11)
        # log π from Q and V: at a cold temperature the probability itself may be 0 as a float
        log_policy = log(world.rho) + (plan.q - plan.v[:, None]) / world.eta
        tally.equal(average(world, plan.v)[world.live], plan.q[world.live])
        behavior, gamma = world.policy(), world.mdp.discount  # any way of acting
        for s in np.flatnonzero(world.live):
            every = paths(world, initial=np.eye(len(world.initial))[s])
            chance = np.exp(every.log_chance(behavior))
            price = np.where(every.live, log_policy[every.states[:-1], every.actions] - every.log_prior, 0.0)
            weight = gamma ** np.arange(world.horizon)[:, None]
            ahead = (weight * (every.rewards - world.eta * price)).sum(axis=0) + gamma**world.horizon * plan.v[every.states[-1]]
            tally.equal(plan.v[s], chance @ ahead)
            if (world.p.max(axis=2) == 1).all():
                tally.equal(plan.v[s], ahead, what="V and each single path's sum, where nothing is random,")
