"""Chapter 2 against all trajectories written out."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import World, conditional, log, log_marginal, lse, messages, paths, worlds

POSTERIOR = so.condition_on_optimality


def condition(world: World) -> so.Posterior:
    return POSTERIOR(world.mdp, world.horizon, world.eta, prior=world.prior)


def posterior_of_paths(world: World):
    """All trajectories, and log p(τ | O) of each."""
    every = paths(world)
    logs = every.log_weight(world.eta)
    return every, logs - lse(logs)


@equation(
    "trajectory-posterior",
    "b5018417",
    "The posterior of a trajectory is its prior chance times its exponentiated return, normalized.",
    POSTERIOR,
)
def test_trajectory_posterior(tally):
    for world in tally.over(worlds(1000)):
        every, logs = posterior_of_paths(world)
        posterior = condition(world)
        tally.equal(lse(every.log_weight(world.eta)), posterior.log_evidence)
        # the library's factors multiplied: first state, policy and dynamics, without s_{T+1}
        product = log(posterior.states[0])[every.states[0]] + every.log_policy(posterior.policy).sum(axis=0)
        moves = posterior.dynamics
        for t in range(world.horizon - 1):
            product += log(moves[t, every.states[t], every.actions[t], every.states[t + 1]])
        prefix = np.vstack([every.states[:-1], every.actions])
        _, which = np.unique(prefix, axis=1, return_inverse=True)
        mine, first = log_marginal(logs, which.ravel(), shape=(which.max() + 1,)), np.unique(which, return_index=True)[1]
        tally.equal(np.exp(mine), np.exp(product[first]))


@equation("backward-sa", "1bd39f84", "β(s,a) is the weight of all that can follow the action, and one step of it is the recursion.", POSTERIOR)
def test_backward_sa(tally):
    for world in tally.over(worlds(1000)):
        mine, state = messages(world)
        posterior = condition(world)
        tally.equal(mine, posterior.log_backward_sa)
        ahead = np.vstack([state, np.zeros(len(state[0]))])[1:]
        with np.errstate(invalid="ignore"):
            terms = np.where(world.p > 0, log(world.p) + world.r / world.eta + ahead[:, None, None, :], -np.inf)
        tally.equal(lse(terms, axis=3)[:, world.live], posterior.log_backward_sa[:, world.live], what="recursion and library")


@equation("backward-s", "7db0d590", "β(s) is β(s,a) summed over actions with the prior; 1 at the end.", POSTERIOR)
def test_backward_s(tally):
    for world in tally.over(worlds(1000)):
        action, mine = messages(world)
        posterior = condition(world)
        tally.equal(mine, posterior.log_backward_s)
        tally.equal(lse(log(world.rho) + action, axis=2)[:, world.live], posterior.log_backward_s[:, world.live], what="sum and library")
        tally.equal(0.0, posterior.log_backward_s[:, world.terminal])


@equation("posterior-policy", "d147eca3", "The posterior's policy is the prior times β(s,a)/β(s), and depends on the future only.", POSTERIOR)
def test_posterior_policy(tally):
    for world in tally.over(worlds(1000)):
        every, logs = posterior_of_paths(world)
        posterior = condition(world)
        shape = world.p.shape[:2]
        for t in range(world.horizon):
            live = every.live[t]
            joint = log_marginal(logs[live], every.states[t, live], every.actions[t, live], shape=shape)
            seen = joint.max(axis=1) > -np.inf
            tally.equal(conditional(joint[seen]), posterior.policy[t, seen])
        with np.errstate(invalid="ignore"):
            ratio = np.exp(log(world.rho) + posterior.log_backward_sa - posterior.log_backward_s[:, :, None])
        able = world.live & (posterior.log_backward_s > -np.inf)
        tally.equal(ratio[able], posterior.policy[able], what="ρ β(s,a)/β(s) and the policy")
        elsewhere = POSTERIOR(world.with_mdp(initial=None), world.horizon, world.eta, prior=world.prior)
        tally.equal(elsewhere.policy, posterior.policy, 1e-11, what="policies of two first states")


@equation("forward", "c3b8a4f7", "α is the belief about the state given that all went well so far.", POSTERIOR)
def test_forward(tally):
    for world in tally.over(worlds(1000)):
        posterior, n = condition(world), len(world.initial)
        for t in range(world.horizon):
            so_far = paths(world, t)
            mine = log_marginal(so_far.log_weight(world.eta), so_far.states[-1], shape=(n,))
            tally.equal(mine - lse(mine), posterior.log_forward[t])


@equation("posterior-state", "4df2eaf4", "Where the agent is, given the whole: forward times backward message, normalized.", POSTERIOR)
def test_posterior_state(tally):
    for world in tally.over(worlds(1000)):
        every, logs = posterior_of_paths(world)
        posterior = condition(world)
        for t in range(world.horizon):
            tally.equal(np.exp(log_marginal(logs, every.states[t], shape=world.initial.shape)), posterior.states[t])
            tally.equal(conditional(posterior.log_forward[t] + posterior.log_backward_s[t]), posterior.states[t], what="α β and the states")


@equation(
    "hmm-view",
    "10348927",
    "Trying is an observation of a hidden Markov model over (s,a), with the same evidence up to a constant.",
    so.HMM,
    POSTERIOR,
)
def test_hmm_view(tally):
    # hotter than elsewhere: below η = 0.01 the probability of "tried" is no longer a float
    for world in tally.over(worlds(1000, landing=False, terminals=False, temperatures=(-1.9, 4.0))):
        (states, actions), posterior, steps = world.p.shape[:2], condition(world), world.horizon
        rho = np.full((states, actions), 1 / actions) if world.prior is None else world.prior
        reward = world.r[:, :, 0]
        top = reward.max()
        tried = np.exp((reward.ravel() - top) / world.eta)
        chain = so.HMM(
            (world.initial[:, None] * rho).ravel(),
            (world.p.reshape(-1, states)[:, :, None] * rho).reshape(states * actions, -1),
            np.column_stack([1 - tried, tried]),
        )
        x = np.ones(steps, dtype=int)
        constant = steps * top / world.eta + (steps * np.log(actions) if world.prior is None else 0.0)
        tally.equal(chain.log_evidence(x) + constant, posterior.log_evidence)
        tally.equal(chain.smooth(x).reshape(steps, states, actions).sum(axis=2), posterior.states, what="smoothing and the posterior's states")
        for t in range(1, steps):
            tally.equal(chain.predict(x[:t], 1).reshape(states, actions).sum(axis=1), np.exp(posterior.log_forward[t]), what="prediction and α")
