"""Chapter 7: the four backups and the way to their fixed points, against dense arrays and plain iteration."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, conditional, log, lse, worlds
from test_chapter_03 import look_ahead

DISCOUNTED = {"possible": False, "terminals": True}


def guess(world: World) -> np.ndarray:
    v = world.rng.normal(size=len(world.initial)) * 10 ** world.rng.uniform(-1, 1.5)
    v[world.terminal] = 0.0
    return v


def average(world: World, v: np.ndarray) -> np.ndarray:
    """E[r + γ v(s')], -inf where a landing that can occur is forbidden.  (S, A)"""
    return np.where(world.p > 0, world.p * np.where(world.p > 0, world.r + world.mdp.discount * v, 0.0), 0.0).sum(axis=2)


def by_hand(world: World, v: np.ndarray, look: str, choose: str) -> np.ndarray:
    q = average(world, v) if look == "expectation" else look_ahead(world, v)
    chosen = q.max(axis=1) if choose == "max" else world.eta * lse(q / world.eta + log(world.rho), axis=1)
    return np.where(world.terminal, 0.0, chosen)


def by_library(world: World, v: np.ndarray, look: str, choose: str) -> np.ndarray:
    q = so.backups.expected_q(world.mdp, v) if look == "expectation" else so.backups.optimistic_q(world.mdp, v, world.eta)
    return np.where(world.terminal, 0.0, so.backups.hard_v(q) if choose == "max" else so.backups.soft_v(q, world.eta, world.prior))


@equation(
    "soft-contraction",
    "88eceb17",
    "Each of the four backups contracts at the rate γ, so each has one fixed point, and every way to it ends there.",
    so.backups.expected_q,
    so.backups.optimistic_q,
    so.backups.hard_v,
    so.backups.soft_v,
    so.value_iteration,
    so.soft_value_iteration,
    so.optimistic_value_iteration,
)
def test_soft_contraction(tally):
    corners = [(look, choose) for look in ("expectation", "log-mean-exp") for choose in ("max", "soft max")]
    for world in tally.over(worlds(1000, discount=0.0, **DISCOUNTED)):
        v, w, gamma = guess(world), guess(world), world.mdp.discount
        for corner in corners:
            one, other = by_library(world, v, *corner), by_library(world, w, *corner)
            tally.equal(by_hand(world, v, *corner), one)
            tally.at_most(np.abs(one - other).max(), gamma * np.abs(v - w).max())
            if not world.terminal.any():
                tally.equal(gamma * 1.5, by_library(world, v + 1.5, *corner) - one, what="γ c and the shift by c")
    planners = {
        ("expectation", "max"): lambda world, method: so.value_iteration(world.mdp, method=method, tolerance=1e-12),
        ("expectation", "soft max"): lambda world, method: so.soft_value_iteration(
            world.mdp, world.eta, prior=world.prior, method=method, tolerance=1e-12
        ),
        ("log-mean-exp", "soft max"): lambda world, method: so.optimistic_value_iteration(
            world.mdp, world.eta, prior=world.prior, method=method, tolerance=1e-12
        ),
    }
    for world in tally.over(worlds(100, discount=0.7, **DISCOUNTED)):
        rough = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, method="value", tolerance=1e-3)
        best = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-12)
        tally.at_most(np.abs(rough.v - best.v), 1e-3, what="the tolerance asked for")
        for corner, plan in planners.items():
            v = np.zeros(len(world.initial))
            for _ in range(110):  # 0.7 ** 110 < 1e-16
                v = by_hand(world, v, *corner)
            for method in ("value", "modified", "newton", "krylov"):
                tally.equal(v, plan(world, method).v, what=f"the fixed point and the plan by {method}")


def worth(world: World, policy: np.ndarray) -> np.ndarray:
    """V^π by one dense solve: reward and price of the decisions, along the policy's own moves."""
    taken = (policy > 0) & world.live[:, None]
    gain = np.where(taken, average(world, np.zeros(len(world.initial))), 0.0)
    price = np.where(taken, log(np.where(taken, policy, 1.0)) - log(np.where(taken, world.rho, 1.0)), 0.0)
    weight = np.where(taken, policy, 0.0)
    moves = np.einsum("sa,sat->st", weight, world.p)
    return np.linalg.solve(np.eye(len(moves)) - world.mdp.discount * moves, (weight * (gain - world.eta * price)).sum(axis=1))


def softened(world: World, v: np.ndarray) -> np.ndarray:
    """The Boltzmann policy of the look-ahead from V."""
    q = average(world, v)
    policy = conditional(np.where(world.live[:, None], q / world.eta, 0.0) + log(world.rho))
    return policy / policy.sum(axis=1, keepdims=True)


@equation(
    "soft-policy-improvement",
    "988840ac",
    "The Boltzmann policy of a policy's Q is worth at least one soft backup of the policy's V, and that at least V itself.",
    so.evaluate_policy,
    so.backups.boltzmann_policy,
    so.soft_value_iteration,
)
def test_soft_policy_improvement(tally):
    for world in tally.over(worlds(1000, discount=0.9, **DISCOUNTED)):
        policy = world.policy(0)
        plan = so.evaluate_policy(world.mdp, policy, world.eta, prior=world.prior)
        v = worth(world, policy)
        tally.equal(v, plan.v)
        tally.equal(average(world, v)[world.live], plan.q[world.live])
        better = so.backups.boltzmann_policy(plan.q, world.eta, world.prior)
        tally.equal(softened(world, v)[world.live], better[world.live], 1e-8)  # V is rounded, and that is divided by η
        step, improved = by_hand(world, v, "expectation", "soft max"), worth(world, softened(world, v))
        tally.at_most(v, step)
        tally.at_most(step, improved)
        best = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-10)
        tally.at_most(improved, best.v)
        tally.equal(worth(world, softened(world, best.v)), best.v, what="V* and the worth of its own improvement")


@equation(
    "newton-quadratic",
    "21fb31ce",
    "One round of soft policy iteration is one Newton step on TV − V = 0; the error is squared, times at most γ²/2η(1 − γ).",
    so.evaluate_policy,
    so.soft_value_iteration,
)
def test_newton_quadratic(tally):
    for world in tally.over(worlds(500, discount=0.9, **DISCOUNTED)):
        eta, gamma = world.eta, world.mdp.discount
        best = so.soft_value_iteration(world.mdp, eta, prior=world.prior, tolerance=1e-10).v
        v = guess(world)
        for k in range(3):
            policy = softened(world, v)
            moves = np.where(world.live[:, None], np.einsum("sa,sat->st", policy, world.p), 0.0)
            step = v + np.linalg.solve(np.eye(len(v)) - gamma * moves, by_hand(world, v, "expectation", "soft max") - v)
            after = so.evaluate_policy(world.mdp, policy, eta, prior=world.prior).v
            tally.equal(step, after, 1e-8, what="the Newton step and the policy's worth")
            bound = gamma**2 / (2 * eta * (1 - gamma)) * np.abs(best - v).max() ** 2
            scale = np.abs(best).max() + eta
            tally.at_most(np.abs(best - after).max() / scale, bound / scale)
            tally.at_most(after, best)
            if k:
                tally.at_most(v, after)
            v = after
    # the order: from V* + ε d the error after one step is as ε²
    near = np.geomspace(1e-4, 1e-2, 7)
    for world in tally.over(worlds(100, discount=0.9, temperatures=(-0.5, 0.5), sizes=((3, 3, 2),), terminals=False, forbid=False, possible=False)):
        best = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-12).v
        away = world.rng.normal(size=len(best))
        errors = [
            np.abs(best - so.evaluate_policy(world.mdp, softened(world, best + eps * away), world.eta, prior=world.prior).v).max() for eps in near
        ]
        if errors[0] > 1e-10:  # less is rounding: all actions nearly alike
            tally.order(near, errors, 2.0, 0.02)
