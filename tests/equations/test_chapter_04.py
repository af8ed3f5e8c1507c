"""Chapter 4: how the posterior looks ahead, against its definition and against all trajectories."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, conditional, kl, log, log_marginal, lse, paths, worlds
from test_chapter_02 import condition, posterior_of_paths
from test_chapter_03 import values


def no_reward(world: World) -> so.MDP:
    """The world, with nothing to earn: its look-aheads are those of V alone."""
    return world.with_mdp(reward=np.zeros(world.p.shape[:2]))


def gambles(rng: np.random.Generator, count: int) -> tuple[so.MDP, np.ndarray, np.ndarray]:
    """`count` random distributions over six values, as the actions of one state."""
    p, v = np.zeros((6, count, 6)), rng.normal(size=6)
    p[:] = rng.dirichlet(np.ones(6), count)
    return so.MDP(p, np.zeros((6, count))), p[0], v


@equation(
    "jensen-gap",
    "e309a7e1",
    "Looking ahead by η log E exp never gives less than the expectation, and the same only where V is constant on what can occur.",
    so.backups.optimistic_q,
    so.backups.expected_q,
)
def test_jensen_gap(tally):
    for world in tally.over(worlds(1000, possible=False, terminals=False, forbid=False)):
        v, mdp, eta = values(world), no_reward(world), world.eta
        by_hand = eta * lse(np.where(world.p > 0, log(world.p) + v / eta, -np.inf), axis=2)
        mean = np.where(world.p > 0, world.p * np.where(world.p > 0, v, 0.0), 0.0).sum(axis=2)
        optimist, average = so.backups.optimistic_q(mdp, v, eta), so.backups.expected_q(mdp, v)
        tally.equal(by_hand, optimist)
        tally.equal(mean, average)
        tally.at_most(average, optimist)
        # equality: on one support; strictness: the gap is at least what its second-order bound says, where that is above rounding
        level = np.full(v.shape, 1.7)
        tally.equal(so.backups.expected_q(mdp, level), so.backups.optimistic_q(mdp, level, eta), what="the two look-aheads of a constant")
        if np.isfinite(v).all():
            spread = np.where(world.p > 0, v, -np.inf).max(axis=2) - np.where(world.p > 0, v, np.inf).min(axis=2)
            variance = (world.p * (v - mean[:, :, None]) ** 2).sum(axis=2)
            least = variance / (2 * eta) * np.exp(-spread / eta)  # η log E exp(x/η) bends at least this much between the extremes
            tally.at_most(mean + least, optimist)


@equation(
    "gap-variance",
    "3a602e7c",
    "For large η the gap is Var/2η + κ₃/6η², and what is left is of order η⁻³.",
    so.backups.optimistic_q,
    so.backups.expected_q,
    over="random gambles",
)
def test_gap_variance(tally):
    rng, hot = np.random.default_rng(4), np.geomspace(100.0, 600.0, 6)
    mdp, p, v = gambles(rng, 200)
    centered = v - (p @ v)[:, None]
    variance, third, fourth = ((p * centered**k).sum(axis=1) for k in (2, 3, 4))
    kappa = fourth - 3 * variance**2
    gaps = np.array([(so.backups.optimistic_q(mdp, v, eta) - so.backups.expected_q(mdp, v))[0] for eta in hot])
    rest = gaps - variance / (2 * hot[:, None]) - third / (6 * hot[:, None] ** 2)
    for i in tally.over(range(200)):
        # Taylor's remainder: a fourth cumulant is at most 3/16 of the fourth power of the range
        tally.at_most(np.abs(rest[:, i]), np.ptp(v) ** 4 / (128 * hot**3))
        if abs(kappa[i]) > 0.3:  # else the next order is as large
            tally.order(hot, np.abs(rest[:, i]), -3.0, 0.1)


@equation(
    "cold-optimism",
    "2e9b2f70",
    "As η tends to 0 the look-ahead tends to the best successor that can occur, linearly in η.",
    so.backups.optimistic_q,
)
def test_cold_optimism(tally):
    for world in tally.over(worlds(1000, possible=False, terminals=False, forbid=False)):
        v, mdp = np.round(values(world, lost=False), 1), no_reward(world)
        best = np.where(world.p > 0, v, -np.inf).max(axis=2)
        chance = np.where((v == best[:, :, None]) & (world.p > 0), world.p, 0.0).sum(axis=2)
        for eta in (world.eta, 1e-3, 1e-6):
            optimist = so.backups.optimistic_q(mdp, v, eta)
            tally.at_most(optimist, best)
            tally.at_most(best + eta * np.log(chance), optimist)
        # values are tenths, so at η = 0.001 all but the best weigh e⁻¹⁰⁰: the distance is η log 1/p exactly
        for eta in (1e-3, 1e-4):
            tally.equal((best - so.backups.optimistic_q(mdp, v, eta)) / eta, -np.log(chance), 1e-6, what="distance/η and log 1/p")


@equation(
    "luck-is-choice",
    "4d815059",
    "Where no action earns more than another, β depends on the dynamics only through their average over the prior.",
    so.condition_on_optimality,
)
def test_luck_is_choice(tally):
    for world in tally.over(worlds(500, forbid=False)):
        states, actions = world.p.shape[:2]
        world.r = np.broadcast_to(world.r[:, :1], world.p.shape)  # r(s), or r(s,s')
        posterior = so.condition_on_optimality(world.with_mdp(reward=world.r), world.horizon, world.eta, prior=world.prior)
        mean = np.einsum("sa,sat->st", world.rho, world.p)
        beta = np.zeros(states)
        for t in reversed(range(world.horizon)):
            beta = np.where(world.terminal, 0.0, lse(np.where(mean > 0, log(mean) + world.r[:, 0] / world.eta + beta, -np.inf), axis=1))
            tally.equal(beta, posterior.log_backward_s[t])
        # other dynamics of the same average: every action does what the average does
        weight = world.rho.sum(axis=1)[:, None]
        same = so.MDP(np.repeat((mean / weight)[:, None], actions, axis=1), world.r, world.initial, 1.0, world.terminal)
        other = so.condition_on_optimality(same, world.horizon, world.eta, prior=world.prior)
        tally.equal(posterior.log_backward_s, other.log_backward_s, what="messages of two worlds with one average")


@equation(
    "posterior-dynamics",
    "60f3c6c8",
    "The posterior bends the dynamics by the backward message, that is by exp of the advantage of a landing.",
    so.condition_on_optimality,
    so.backups.posterior_dynamics,
)
def test_posterior_dynamics(tally):
    for world in tally.over(worlds(300, discount=0.9, terminals=False, forbid=False)):
        v, q = values(world, lost=False), so.backups.optimistic_q
        advantage = world.r + world.mdp.discount * v - q(world.mdp, v, world.eta)[:, :, None]
        mine = np.exp(np.where(world.p > 0, log(world.p) + advantage / world.eta, -np.inf))
        bent = so.backups.posterior_dynamics(world.mdp, v, world.eta)
        bent = bent if isinstance(bent, np.ndarray) else bent.toarray()
        tally.equal(mine, bent.reshape(mine.shape[1], mine.shape[0], -1).swapaxes(0, 1), what="p exp((r + γV − Q)/η) and the bent dynamics")
    for world in tally.over(worlds(1000)):
        every, logs = posterior_of_paths(world)
        posterior = condition(world)
        moves, shape = posterior.dynamics, world.p.shape
        for t in range(world.horizon - 1):
            live = every.live[t]
            joint = log_marginal(logs[live], every.states[t, live], every.actions[t, live], every.states[t + 1, live], shape=shape)
            seen = joint.max(axis=2) > -np.inf
            tally.equal(conditional(joint[seen]), moves[t][seen])
            q, ahead = posterior.log_backward_sa[t], posterior.log_backward_s[t + 1]
            with np.errstate(invalid="ignore", over="ignore"):
                bent = np.exp(np.where(world.p > 0, log(world.p) + world.r / world.eta + ahead - q[:, :, None], -np.inf))
            able = world.live[:, None] & (q > -np.inf) & (posterior.log_backward_s[t] > -np.inf)[:, None]
            tally.equal(bent[able], moves[t][able], what="p exp((r + V − Q)/η) and the dynamics")


@equation(
    "gibbs-duality",
    "e5cfb401",
    "The log evidence is the largest E[R/η] − KL(q‖p) over all trajectory distributions, attained by the posterior alone.",
    so.condition_on_optimality,
)
def test_gibbs_duality(tally):
    for world in tally.over(worlds(1000)):
        every = paths(world)
        earned = every.rewards.sum(axis=0) / world.eta
        able = (every.log_weight(world.eta) > -np.inf) & (earned > -np.inf)
        log_p = (every.log_start + every.log_moves + every.log_prior.sum(axis=0))[able]
        evidence = condition(world).log_evidence

        def objective(log_q, earned=earned[able], log_p=log_p):
            return np.exp(log_q) @ earned - kl(log_q, log_p)

        best = log_p + earned[able] - lse(log_p + earned[able])
        tally.equal(objective(best), evidence, what="the objective of the posterior and the evidence")
        for power in (1.0, 0.05):
            q = world.rng.dirichlet(np.full(best.size, power))
            tally.at_most(objective(log(q)), evidence)
        # near the maximum it falls off by KL(q ‖ posterior), which is 0 for the posterior alone
        tilted = best + world.rng.normal(size=best.size) * 0.1
        tilted -= lse(tilted)
        tally.equal(evidence - objective(tilted), kl(tilted, best), what="the shortfall and the divergence from the posterior")
