"""Chapter 6: the bound, its best policy and its gap, over all trajectories."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, conditional, kl, log, lse, mean_reward, paths, worlds
from test_chapter_02 import condition
from test_chapter_05 import divergence


def bound(world: World, policy: np.ndarray) -> float:
    """E_q[Σ r/η − log q + log ρ] over all trajectories."""
    every = paths(world)
    log_q = every.log_chance(policy)
    taken = log_q > -np.inf
    gain = (every.rewards / world.eta + every.log_prior)[:, taken] - every.log_policy(policy)[:, taken]
    return float(np.exp(log_q[taken]) @ gain.sum(axis=0))


def plan_of(world: World) -> so.Plan:
    return so.soft_value_iteration(world.mdp, world.eta, prior=world.prior, horizon=world.horizon)


def start(world: World, v: np.ndarray) -> float:
    some = world.initial > 0
    return float(world.initial[some] @ v[some])


@equation("elbo", "8e5b82c9", "The ELBO is E[Σ r/η − log q + log ρ], and never exceeds the log evidence.", so.elbo, so.condition_on_optimality)
def test_elbo(tally):
    for world in tally.over(worlds(1000)):
        evidence = condition(world).log_evidence
        for policy in (world.policy(), np.repeat(world.policy(0)[None], world.horizon, axis=0)):
            lower = so.elbo(world.mdp, policy, world.horizon, world.eta, prior=world.prior)
            tally.equal(bound(world, policy), lower)
            tally.at_most(lower, evidence)


@equation(
    "evidence-gap",
    "e27a5220",
    "What the ELBO misses of the log evidence is the divergence from the trajectory posterior, for every policy.",
    so.condition_on_optimality,
    so.elbo,
    so.posterior_kl,
)
def test_evidence_gap(tally):
    for world in tally.over(worlds(1000)):
        policy = world.policy()
        gap = condition(world).log_evidence - so.elbo(world.mdp, policy, world.horizon, world.eta, prior=world.prior)
        mine = divergence(world, policy)
        tally.equal(mine, gap)
        tally.equal(mine, so.posterior_kl(world.mdp, policy, world.horizon, world.eta, prior=world.prior), what="the divergence, twice")


@equation(
    "last-step",
    "7c9b29f3",
    "The last policy is ρ exp(r/η), normalized, and its best contribution to the bound is E[V/η].",
    so.soft_value_iteration,
)
def test_last_step(tally):
    for world in tally.over(worlds(1000)):
        plan = plan_of(world)
        v, policy = plan.v[-1], plan.policy[-1]
        logs = log(world.rho) + mean_reward(world) / world.eta
        able = world.live & (logs.max(axis=1) > -np.inf)
        tally.equal(conditional(logs[able]), policy[able])
        tally.equal(np.where(world.live, lse(logs, axis=1), 0.0), v / world.eta, what="the log normalizer and V/η")
        # the last step's own terms, at any distribution over states that can go on, under this policy and under others
        states = world.rng.dirichlet(np.ones(len(v))) * (v > -np.inf)

        def contribution(choice, world=world, logs=logs, states=states):
            taken = (choice > 0) & world.live[:, None]
            terms = np.where(taken, choice * (np.where(taken, logs, 0.0) - np.where(taken, log(choice), 0.0)), 0.0).sum(axis=1)
            return float(states[states > 0] @ terms[states > 0])

        best = float(states[states > 0] @ v[states > 0]) / world.eta
        tally.equal(contribution(policy), best, what="the contribution and E[V/η]")
        tally.at_most(contribution(world.policy(0)), best)


def optimal_ahead(world: World, plan: so.Plan, t: int) -> np.ndarray:
    """What it is worth to take a in s at step t and then to follow the plan: E[Σ r − η log(π/ρ)] over all ways to go on.  (S, A)"""
    value = np.zeros(world.p.shape[:2])
    for s in np.flatnonzero(world.live):
        ahead = paths(world, world.horizon - t, np.eye(len(world.initial))[s])
        later = ahead.log_policy(plan.policy[t:])[1:]
        log_q = ahead.log_moves + later.sum(axis=0)
        for a in range(value.shape[1]):
            taken = (ahead.actions[0] == a) & (log_q > -np.inf)
            price = later[:, taken] - ahead.log_prior[1:, taken]
            gain = ahead.rewards[:, taken].sum(axis=0) - world.eta * price.sum(axis=0)
            # what may be lost is lost, even where its probability is 0 as a float
            value[s, a] = -np.inf if np.isneginf(gain).any() else np.exp(log_q[taken]) @ gain
    return value


@equation(
    "variational-q",
    "b9ea2cd7",
    "Q is the reward plus the expectation of the next V under the true dynamics: the worth of the action if the best policy follows.",
    so.soft_value_iteration,
    so.backups.expected_q,
)
def test_variational_q(tally):
    for world in tally.over(worlds(500)):
        plan = plan_of(world)
        after = np.vstack([plan.v, np.zeros(len(world.initial))])[1:]
        for t in range(world.horizon):
            able = world.live & (plan.v[t] > -np.inf)
            tally.equal(optimal_ahead(world, plan, t)[able], plan.q[t, able])
            landing = np.where(world.p > 0, world.r + after[t], 0.0)
            mine = np.where(world.p > 0, world.p * landing, 0.0).sum(axis=2)
            tally.equal(mine[world.live], plan.q[t, world.live], what="r + E V and Q")
            tally.equal(mine[world.live], so.backups.expected_q(world.mdp, after[t])[world.live], what="r + E V and the backup")


@equation(
    "variational-policy",
    "b8a0e7d4",
    "The best policy is ρ exp((Q − V)/η) with V = η log Σ ρ exp(Q/η); any step away from it lowers the bound.",
    so.soft_value_iteration,
)
def test_variational_policy(tally):
    for world in tally.over(worlds(1000)):
        plan, eta = plan_of(world), world.eta
        logs = log(world.rho) + plan.q / eta
        v = np.where(world.terminal, 0.0, eta * lse(logs, axis=2))
        tally.equal(v, plan.v)
        able = world.live & (v > -np.inf)
        tally.equal(conditional(logs[able]), plan.policy[able], what="ρ exp((Q − V)/η) and the policy")
        if start(world, plan.v[0]) > -np.inf:
            with np.errstate(invalid="ignore"):
                tilted = plan.policy * np.exp(world.rng.normal(size=plan.policy.shape) * 0.3)
            tilted /= tilted.sum(axis=2, keepdims=True)
            tally.at_most(bound(world, tilted), bound(world, plan.policy))


@equation(
    "elbo-optimum",
    "a50af79c",
    "The best bound is E[V₁]/η; every policy falls short of it by its divergence from the best one, step by step.",
    so.soft_value_iteration,
    so.elbo,
    so.occupancy,
)
def test_elbo_optimum(tally):
    for world in tally.over(worlds(1000)):
        plan, policy = plan_of(world), world.policy()
        best = start(world, plan.v[0]) / world.eta
        tally.at_most(bound(world, policy), best)
        if best == -np.inf:
            continue
        tally.equal(bound(world, plan.policy), best)
        tally.equal(so.elbo(world.mdp, plan.policy, world.horizon, world.eta, prior=world.prior), best, what="the library's ELBO and E[V]/η")
        if bound(world, policy) > -np.inf:
            visits = so.occupancy(world.mdp, policy, world.horizon)
            visits[:, world.terminal] = 0.0
            taken = visits > 0
            # log of the best policy from Q: at a cold temperature its smallest probabilities are 0 as floats
            logs = log(world.rho) + plan.q / world.eta - np.where(plan.v > -np.inf, plan.v, 0.0)[:, :, None] / world.eta
            short = visits[taken] @ (log(policy[taken]) - logs[taken])
            tally.equal(best - bound(world, policy), short, what="the shortfall and the divergences")


@equation(
    "gap-decomposition",
    "f0f9812d",
    "The gap is luck in the first state, luck in the moves, and disagreement about the choices.",
    so.posterior_kl,
    so.condition_on_optimality,
    so.occupancy,
)
def test_gap_decomposition(tally):
    for world in tally.over(worlds(1000, landing=False, temperatures=(-1.5, 4.5))):  # colder, the posterior's smallest probabilities are 0 as floats
        policy, posterior = world.policy(), condition(world)
        mine = divergence(world, policy)
        tally.equal(mine, so.posterior_kl(world.mdp, policy, world.horizon, world.eta, prior=world.prior))
        if mine == np.inf:
            continue
        visits = so.occupancy(world.mdp, policy, world.horizon)
        visits[:, world.terminal] = 0.0
        total = kl(log(world.initial), log(posterior.states[0]))
        for t, s, a in np.argwhere(visits > 0):
            if t < world.horizon - 1:
                total += visits[t, s, a] * kl(log(world.p[s, a]), log(posterior.dynamics_at(t)[s, a]))
            total += visits[t, s, a] * (log(policy[t, s, a]) - log(posterior.policy[t, s, a]))
        tally.equal(mine, total, what="the divergence and the sum of its three parts")
