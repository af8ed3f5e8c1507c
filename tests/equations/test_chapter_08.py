"""Chapter 8: one update from samples, against the model that the samples come from."""

import gymnasium
import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, log, lse, worlds
from soft_optimality.linear_q import linear_soft_q_learning
from soft_optimality.q_learning import soft_q_learning

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


class Sampled(gymnasium.Env):
    """A world as an environment that shows features of its states and remembers what happened."""

    def __init__(self, world: World):
        self.world, self.action_space = world, gymnasium.spaces.Discrete(world.p.shape[1])
        self.observation_space = gymnasium.spaces.Discrete(len(world.p))

    def reset(self, *, seed=None, options=None):
        live = np.where(self.world.live, self.world.initial, 0.0)
        self.state = int(self.world.rng.choice(len(live), p=live / live.sum()))
        return self.state, {}

    def step(self, action):
        after = int(self.world.rng.choice(len(self.world.p), p=self.world.p[self.state, action]))
        self.seen = self.state, int(action), after
        self.state = after
        return after, float(self.world.r[self.seen]), bool(self.world.terminal[after]), False, {}


@equation(
    "sql-update",
    "723e8304",
    "One step moves Q(s,a) by α towards r + γV(s'); soft value iteration's Q is where the expected move is 0.",
    soft_q_learning,
    linear_soft_q_learning,
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
    # with features: all weights of the action move, along the features
    for world in tally.over(filter(able, worlds(300, **WORLDS | {"forbid": False}))):
        env, features, rate = Sampled(world), world.rng.normal(size=(len(world.p), 4)), float(world.rng.uniform(0.05, 1.0))
        start = world.rng.normal(size=(4, world.p.shape[1]))
        options = {"steps": 1, "rng": world.rng, "discount": world.mdp.discount, "epsilon": 1.0, "step_size": rate, "start": start}
        after = linear_soft_q_learning(env, features.__getitem__, world.eta, progress=False, **options).weights
        s, a, landed = env.seen
        v = 0.0 if world.terminal[landed] else world.eta * lse(features[landed] @ start / world.eta)
        delta = world.r[s, a, landed] + world.mdp.discount * v - features[s] @ start[:, a]
        mine = start.copy()
        mine[:, a] += rate / (features[s] @ features[s]) * delta * features[s]  # the library's α is divided by ‖φ‖²
        tally.equal(mine, after)
    # where nothing is random the whole table finds Q*, from anywhere
    for world in tally.over(filter(able, worlds(60, **WORLDS | {"support": "one", "forbid": False, "terminals": False}))):
        exact = so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, tolerance=1e-11).q
        start = exact + world.rng.normal(size=exact.shape)
        run = learn(world, start, 1500, step_size=1.0)
        seen = run.visits > 100
        scale = np.abs(exact).max()
        tally.equal(np.where(seen, run.q, 0.0) / scale, np.where(seen, exact, 0.0) / scale, 1e-6, what="the learned Q and Q*")
