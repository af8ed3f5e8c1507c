"""Chapter 11: composing what was learned for each of two rewards."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import log, lse, worlds


@equation(
    "composition-bound",
    "6074d593",
    "The mean of two optimal Q is at least the optimal Q of the mean reward, and exceeds it by at most C, which grows as the two policies differ.",
    so.soft_value_iteration,
)
def test_composition_bound(tally):
    for world in tally.over(worlds(500, discount=0.8, forbid=False, possible=False)):
        eta, gamma = world.eta, world.mdp.discount
        other = np.broadcast_to(world.rng.normal(size=world.r[:, :, :1].shape), world.r.shape)

        def optimal(reward, world=world):
            plan = so.soft_value_iteration(world.with_mdp(reward=reward), world.eta, prior=world.prior, tolerance=1e-11)
            return plan.q, plan.v

        (one, v_one), (two, v_two), (both, _) = optimal(world.r), optimal(other), optimal((world.r + other) / 2)
        mean = (one + two) / 2
        tally.at_most(both[world.live], mean[world.live])
        # C = γ E[½ η D_½(π₁‖π₂) + max C], where ½ D_½ = −log Σ √(π₁ π₂)
        halves = (one - v_one[:, None] + two - v_two[:, None]) / (2 * eta) + log(world.rho)
        apart = np.where(world.terminal, 0.0, -eta * lse(halves, axis=1))
        tally.at_most(0.0, apart)
        bound = np.zeros_like(one)
        for _ in range(140):  # 0.8 ** 140 < 1e-13
            bound = gamma * world.p @ (apart + np.where(world.terminal, 0.0, bound.max(axis=1)))
        tally.at_most(mean[world.live], (both + bound)[world.live])
        # nothing is lost where both rewards ask for one policy, as r and r plus a constant do where nothing ends
        if not world.terminal.any():
            shifted, between = optimal(world.r + 1.0)[0], optimal(world.r + 0.5)[0]
            tally.equal((one + shifted) / 2, between, what="the mean of Q and Q of the mean, where the policies agree,")
