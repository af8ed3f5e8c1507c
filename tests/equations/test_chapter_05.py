"""Chapter 5: the divergence from the posterior, over all trajectories."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, kl, log, log_marginal, worlds
from test_chapter_02 import condition, posterior_of_paths


def divergence(world: World, policy: np.ndarray) -> float:
    """KL(q(τ) ‖ p(τ|O)) over all trajectories."""
    every, logs = posterior_of_paths(world)
    return kl(every.log_chance(policy), logs)


def policy_entropies(world: World, policy: np.ndarray) -> float:
    """Σ_t E[−log π(a_t|s_t) (+ log ρ)], where the library's occupancy says how often; nothing is chosen at the end."""
    visits = so.occupancy(world.mdp, policy, world.horizon)
    visits[:, world.terminal] = 0.0
    some = visits > 0
    rho = np.broadcast_to(world.rho, policy.shape)
    return float(-(visits[some] @ (log(policy[some]) - log(rho[some]))))


@equation(
    "kl-is-maxent",
    "5c7c3cf9",
    "A policy's divergence from the posterior is the log evidence minus its expected reward and its entropy, whatever the dynamics.",
    so.condition_on_optimality,
    so.expected_return,
    so.occupancy,
)
def test_kl_is_maxent(tally):
    for world in tally.over(worlds(1000)):
        policy = world.policy()
        earned = so.expected_return(world.mdp, policy, world.horizon) / world.eta
        right = condition(world).log_evidence - (earned + policy_entropies(world, policy))
        tally.equal(divergence(world, policy), right)


@equation(
    "maxent-attained",
    "e3638b5a",
    "With deterministic dynamics the posterior policy comes as near the posterior as any can: what is left is luck in the first state.",
    so.condition_on_optimality,
    so.posterior_kl,
)
def test_maxent_attained(tally):
    for world in tally.over(worlds(1000, support="one")):
        every, logs = posterior_of_paths(world)
        posterior = condition(world)
        luck = kl(log(world.initial), log_marginal(logs, every.states[0], shape=world.initial.shape))
        best = so.posterior_kl(world.mdp, posterior.policy, world.horizon, world.eta, prior=world.prior)
        tally.equal(luck, best)
        if np.isfinite(luck):
            tally.equal(divergence(world, posterior.policy), best, what="over all trajectories and by the library")
        tally.at_most(luck, divergence(world, world.policy()))
        if (world.initial == 1).any():
            tally.equal(0.0, best, what="0, where the first state is known, and the minimum")
