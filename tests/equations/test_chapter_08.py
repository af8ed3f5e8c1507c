"""Chapter 8: one update from samples, against the model that the samples come from."""

import numpy as np
from soft_optimality.q_learning import soft_q_learning

import soft_optimality as so
from ledger import equation
from random_worlds import World, log, lse, worlds

WORLDS = {"discount": 0.8, "temperatures": (-2.0, 3.0), "possible": False}


def able(world: World) -> bool:
    """The learner asks for finite rewards where an action is allowed, and for somewhere to begin."""
    rewards = np.where(world.p > 0, world.r, 0.0)[world.live]
    return bool(np.isfinite(rewards).all() and (world.initial[world.live] > 0).any())


def learn(world: World, start: np.ndarray, steps: int, **options):
    return soft_q_learning(
        world.mdp, world.eta, steps=steps, rng=world.rng, prior=world.prior, behavior=1.0, start=start, progress=False, episode_steps=10, **options
    )


def targets(world: World, q: np.ndarray) -> np.ndarray:
    """r + γ V(s') for every landing, V = η log Σ ρ exp(Q/η), 0 at the end.  (S, A, S)"""
    v = np.where(world.terminal, 0.0, world.eta * lse(q / world.eta + log(world.rho), axis=1))
    return world.r + world.mdp.discount * v


@equation(
    "sql-update",
    "",
    "One step moves Q(s,a) by α towards r + γV(s'); soft value iteration's Q is where the expected move is 0.",
    soft_q_learning,
    so.soft_value_iteration,
)
def test_sql_update(tally):
    for world in tally.over(filter(able, worlds(1000, **WORLDS))):
        q, rate = world.rng.normal(size=world.p.shape[:2]) * 3, float(world.rng.uniform(0.05, 1.0))
        ends = targets(world, q)
        run = learn(world, q, 1, step_size=rate)
        (s, a), *others = np.argwhere(run.visits)
        assert not others, "one step moved two pairs"
        # the model allows these landings; the sample was one of them
        possible = q[s, a] + rate * (ends[s, a, world.p[s, a] > 0] - q[s, a])
        tally.equal(possible[np.abs(possible - run.q[s, a]).argmin()], run.q[s, a])
        rest = (run.visits == 0) & (world.rho > 0)
        tally.equal(q[rest], run.q[rest], what="Q elsewhere, before and after")
        exact = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-11).q
        expected = (world.p * np.where(world.p > 0, targets(world, exact), 0.0)).sum(axis=2)
        tally.equal(expected[world.live], exact[world.live], what="the expected target at Q* and Q*")
    # where nothing is random the whole table finds Q*, from anywhere
    for world in tally.over(filter(able, worlds(60, **WORLDS | {"support": "one", "forbid": False, "terminals": False}))):
        exact = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-11).q
        start = exact + world.rng.normal(size=exact.shape)
        run = learn(world, start, 1500, step_size=1.0)
        seen = run.visits > 100
        scale = np.abs(exact).max()
        tally.equal(np.where(seen, run.q, 0.0) / scale, np.where(seen, exact, 0.0) / scale, 1e-6, what="the learned Q and Q*")
