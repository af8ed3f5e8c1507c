"""Chapter 3: the three equations against their definitions, and the theorems around them."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, log, lse, messages, worlds

ANY = {"possible": False, "discount": 0.0}  # any world, with a discount drawn at random


def values(world: World, *, lost: bool = True) -> np.ndarray:
    """Any V: from nearly equal to far apart against the temperature, 0 at the end, sometimes -inf."""
    v = world.rng.normal(size=len(world.initial)) * 10 ** world.rng.uniform(-2, 2)
    if lost and world.rng.integers(4) == 0:
        v[0] = -np.inf
    v[world.terminal] = 0.0
    return v


def look_ahead(world: World, v: np.ndarray) -> np.ndarray:
    """η log Σ p exp((r + γ v)/η), with each sum shifted by its own largest term; an ended episode pays nothing more.  (S, A)"""
    gamma = world.mdp.discount
    ahead = np.zeros_like(v) if gamma == 0 else gamma * v
    q = world.eta * lse(np.where(world.p > 0, log(world.p) + (world.r + ahead) / world.eta, -np.inf), axis=2)
    return np.where(world.terminal[:, None], v[:, None] * gamma if gamma else 0.0, q)


def numbers(world: World) -> np.ndarray:
    """Any Q (S, A), some actions forbidden, some tied."""
    q = world.rng.normal(size=world.p.shape[:2]) * 10 ** world.rng.uniform(-2, 2)
    if world.rng.integers(3) == 0:
        q = np.round(q)
    q[:, 1:] = np.where(world.rng.random(q[:, 1:].shape) < 0.2, -np.inf, q[:, 1:])
    return q


@equation(
    "optimistic-q",
    "87c40fc7",
    "Q is the backward message β(s,a) in units of reward: it looks ahead by η log E exp.",
    so.backups.optimistic_q,
    so.optimistic_value_iteration,
)
def test_optimistic_q(tally):
    for world in tally.over(worlds(1000, **ANY)):
        v = values(world)
        for eta in (2 * world.eta, world.eta):  # one world at two temperatures
            world.eta = eta
            tally.equal(look_ahead(world, v), so.backups.optimistic_q(world.mdp, v, world.eta))
    for world in tally.over(worlds(300)):
        plan = so.optimistic_value_iteration(world.mdp, world.eta, prior=world.prior, horizon=world.horizon)
        tally.equal(messages(world)[0] * world.eta, plan.q, what="η log β(s,a) and Q")


@equation(
    "soft-v",
    "14f36e8f",
    "V is the backward message β(s) in units of reward: η log of the prior's mean of exp(Q/η).",
    so.backups.soft_v,
    so.optimistic_value_iteration,
)
def test_soft_v(tally):
    for world in tally.over(worlds(1000, possible=False)):
        q, eta = numbers(world), world.eta
        outside = eta * lse(q / eta, axis=1, b=world.rho)
        inside = eta * lse(q / eta + log(world.rho), axis=1)
        v = so.backups.soft_v(q, eta, world.prior)
        tally.equal(outside, v)
        tally.equal(inside, v)
    for world in tally.over(worlds(300)):
        plan = so.optimistic_value_iteration(world.mdp, world.eta, prior=world.prior, horizon=world.horizon)
        tally.equal(messages(world)[1] * world.eta, plan.v, what="η log β(s) and V")


@equation(
    "boltzmann-policy",
    "c6ffda07",
    "The policy is the prior times exp(advantage/η), and sums to 1.",
    so.backups.boltzmann_policy,
    so.backups.soft_v,
)
def test_boltzmann_policy(tally):
    for world in tally.over(worlds(1000, possible=False)):
        q, eta = numbers(world), world.eta
        v = eta * lse(q / eta, axis=1, b=world.rho)
        with np.errstate(invalid="ignore"):
            mine = np.exp(log(world.rho) + (q - v[:, None]) / eta)
        policy, able = so.backups.boltzmann_policy(q, eta, world.prior), v > -np.inf
        scale = np.maximum(1.0, np.abs(v[able, None]) / eta)  # V is rounded relative to itself, and that is then divided by η
        tally.equal((mine[able] - policy[able]) / scale, 0.0)
        tally.equal(1.0, policy[able].sum(axis=1), what="1 and the sum of probabilities")
        tally.equal(0.0, policy[~able])
        advantage = q - so.backups.soft_v(q, eta, world.prior)[:, None]
        with np.errstate(invalid="ignore"):
            tally.equal((np.exp(log(world.rho) + advantage / eta) - policy)[able] / scale, 0.0)


@equation(
    "hard-limit",
    "02fd78d4",
    "The soft max lies between the max and the max + η log |A| (with a prior: below the max), and tends to it linearly in η.",
    so.backups.soft_v,
    so.backups.hard_v,
)
def test_hard_limit(tally):
    for world in tally.over(worlds(1000, possible=False)):
        q, eta = numbers(world), world.eta
        v, top, actions = so.backups.soft_v(q, eta), q.max(axis=1), q.shape[1]
        tally.equal(top, so.backups.hard_v(q))
        tally.at_most(top, v)
        tally.at_most(v, top + eta * np.log(actions))
        level = np.repeat(q[:, :1], actions, axis=1)
        tally.equal(level[:, 0] + eta * np.log(actions), so.backups.soft_v(level, eta), what="the bound, where all actions tie,")
        if world.prior is not None:
            v = so.backups.soft_v(q, eta, world.prior)
            allowed = np.where(world.prior > 0, q, -np.inf)
            tally.at_most((allowed + eta * log(world.prior)).max(axis=1), v)
            tally.at_most(v, allowed.max(axis=1))
    # η → 0: with k actions tied at the top V − max is η log k up to what vanishes faster than any power; with a prior of mass m there, η log m
    cold = np.geomspace(1e-4, 1e-2, 9)
    for k in (2, 3):
        q = np.array([[1.0] * k + [0.3, -2.0]])
        away = np.array([so.backups.soft_v(q, eta)[0] - 1.0 for eta in cold])
        tally.order(cold, away, 1.0, 0.01)
        tally.equal(away / cold, np.log(k), 1e-9, what="slope and log of the ties")
        prior = np.full(q.shape, 1 / q.size)
        away = np.array([1.0 - so.backups.soft_v(q, eta, prior)[0] for eta in cold])
        tally.order(cold, away, 1.0, 0.01)
        tally.equal(away / cold, -np.log(k / q.size), 1e-9, what="slope and log of the prior's mass")


@equation(
    "deterministic-lookahead",
    "7b1cae3e",
    "Where one state can follow, both look-aheads are r + V(s').",
    so.backups.optimistic_q,
    so.backups.expected_q,
)
def test_deterministic_lookahead(tally):
    for world in tally.over(worlds(1000, possible=False, support="one")):
        v = values(world)
        s, a = np.indices(world.p.shape[:2])
        follows = world.p.argmax(axis=2)
        mine = np.where(world.terminal[:, None], v[:, None], world.r[s, a, follows] + v[follows])
        tally.equal(mine, so.backups.optimistic_q(world.mdp, v, world.eta))
        tally.equal(mine, so.backups.expected_q(world.mdp, v))


@equation(
    "prior-absorbed",
    "87b01815",
    "A prior is the reward η log ρ under the counting measure: V and policy stay, Q gains η log ρ.",
    so.optimistic_value_iteration,
    so.soft_value_iteration,
)
def test_prior_absorbed(tally):
    for world in tally.over(worlds(500)):
        with np.errstate(invalid="ignore"):
            bonus = np.where(world.live[:, None], world.eta * log(world.rho), 0.0)
            r = np.where(world.live[:, None, None], world.r + bonus[:, :, None], 0.0)
        if np.isneginf(np.where(world.p > 0, r, -np.inf)).all(axis=(1, 2)).any():
            tally.skip()  # every action forbidden: as an MDP under the counting measure such a state is refused
            continue
        absorbed = world.with_mdp(reward=r)
        sa, s = messages(world)
        plan = so.optimistic_value_iteration(absorbed, world.eta, horizon=world.horizon)
        tally.equal(s * world.eta, plan.v, what="η log β(s) with the prior, and V'")
        tally.equal(sa * world.eta + bonus, plan.q, what="η log β(s,a) + η log ρ, and Q'")
        for solve in (so.optimistic_value_iteration, so.soft_value_iteration):
            ours, theirs = solve(world.mdp, world.eta, prior=world.prior, horizon=world.horizon), solve(absorbed, world.eta, horizon=world.horizon)
            tally.equal(ours.v, theirs.v)
            tally.equal(ours.q + bonus, theirs.q)
            able = world.live & (ours.v > -np.inf)
            tally.equal(ours.policy[able], theirs.policy[able], what="the two policies")
