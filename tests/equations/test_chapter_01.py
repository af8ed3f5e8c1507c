"""Chapter 1 against all hidden paths written out."""

import numpy as np

import soft_optimality as so
from ledger import equation
from random_worlds import chains, conditional, hidden_paths, kl, log, log_marginal, lse

CHAINS = "random HMMs"


def belief(chain, t: int, *, steps: int, seen: int) -> np.ndarray:
    """p(Z_t | X_1..seen), t counted from 1."""
    z, logs = hidden_paths(chain, steps, seen)
    return conditional(log_marginal(logs, z[t - 1], shape=chain.initial.shape))


@equation("evidence", "1d468953", "The evidence is the joint, summed over all hidden paths.", so.HMM.log_evidence, over=CHAINS)
def test_evidence(tally):
    for chain in tally.over(chains(1000)):
        steps = len(chain.x)
        tally.equal(lse(hidden_paths(chain, steps, steps)[1]), chain.model.log_evidence(chain.x))


@equation(
    "filtering",
    "8b2bd2b3",
    "Condition on what is seen, predict what comes next: the belief about the present.",
    so.HMM.filter,
    so.HMM.predict,
    over=CHAINS,
)
def test_filtering(tally):
    for chain in tally.over(chains(1000)):
        filtered = chain.model.filter(chain.x)
        for t in range(1, len(chain.x) + 1):
            before = belief(chain, t, steps=t, seen=t - 1)  # p(Z_t | X_1..t-1), all paths
            tally.equal(belief(chain, t, steps=t, seen=t), filtered[t - 1])
            product = before * chain.emission[:, chain.x[t - 1]]
            if product.sum() > 1e-290:  # else the product of plain numbers, not the library, runs out
                tally.equal(product / product.sum(), filtered[t - 1])
            if t > 1:
                tally.equal(before, chain.model.predict(chain.x[: t - 1], 1)[0])
                tally.equal(before, filtered[t - 2] @ chain.transition)


@equation(
    "smoothing",
    "8701131a",
    "The belief about the past is the filter times the backward message, normalized.",
    so.HMM.smooth,
    so.HMM.filter,
    over=CHAINS,
)
def test_smoothing(tally):
    for chain in tally.over(chains(1000)):
        steps = len(chain.x)
        smoothed, filtered = chain.model.smooth(chain.x), chain.model.filter(chain.x)
        for t in range(1, steps + 1):
            tally.equal(belief(chain, t, steps=steps, seen=steps), smoothed[t - 1])
            # b_t(z): what comes after, from each z on its own
            message = np.empty(len(chain.initial))
            for state in range(len(message)):
                z = hidden_paths(chain, steps, steps)[0]
                here = (z[t - 1] == state) & (chain.initial[z[0]] > 0)
                given = log(chain.transition)[z[t - 1 : -1], z[t:]].sum(axis=0) + log(chain.emission)[z[t:], chain.x[t:, None]].sum(axis=0)
                tails = {tuple(tail): value for tail, value in zip(z[t:, here].T.tolist(), given[here])}
                message[state] = lse(np.array(list(tails.values())))
            both = log(filtered[t - 1]) + message
            if filtered[t - 1][filtered[t - 1] > 0].min() > 1e-290:
                tally.equal(conditional(both), smoothed[t - 1])


@equation(
    "prediction",
    "7ab266cf",
    "The k-step forecast of state and observation is the filter, moved k times.",
    so.HMM.predict,
    so.HMM.predict_observations,
    over=CHAINS,
)
def test_prediction(tally):
    for chain in tally.over(chains(1000, longest=4)):
        seen, ahead = len(chain.x), 3
        states, letters = chain.model.predict(chain.x, ahead), chain.model.predict_observations(chain.x, ahead)
        for k in range(1, ahead + 1):
            by_hand = belief(chain, seen + k, steps=seen + k, seen=seen)
            tally.equal(by_hand, states[k - 1])
            tally.equal(by_hand @ chain.emission, letters[k - 1])


@equation("decoding", "560e05fd", "The decoded path is the most probable of all hidden paths.", so.HMM.decode, so.HMM.log_joint, over=CHAINS)
def test_decoding(tally):
    for chain in tally.over(chains(1000)):
        for seen in range(1, len(chain.x) + 1):
            z, logs = hidden_paths(chain, seen, seen)
            path, log_prob = chain.model.decode(chain.x[:seen])
            best = logs[(z == path[:, None]).all(axis=0)]
            tally.equal(logs.max(), log_prob)
            tally.equal(logs.max(), best[0], what="the best path and the decoded one")


def counted(chain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected counts given X, as distributions: first states, moves, emissions; NaN in a row that never occurs, or hardly."""
    steps, (hidden, symbols) = len(chain.x), chain.emission.shape
    z, logs = hidden_paths(chain, steps, steps)
    weight = conditional(logs)
    first, moves, shown = np.zeros(hidden), np.zeros((hidden, hidden)), np.zeros((hidden, symbols))
    np.add.at(first, z[0], weight)
    for t in range(steps):
        np.add.at(shown, (z[t], chain.x[t]), weight)
        if t:
            np.add.at(moves, (z[t - 1], z[t]), weight)

    def rows(counts):
        total = counts.sum(axis=1, keepdims=True)
        return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 1e-250)

    return first, rows(moves), rows(shown)


@equation(
    "learning",
    "cc983b3c",
    "Each Baum–Welch step is the exact M-step and never lowers the evidence; with one hidden state it ends at the maximum.",
    so.HMM.fit,
    over=CHAINS,
)
def test_learning(tally):
    for chain in tally.over(chains(500)):
        models: list[so.HMM] = []
        better = chain.model.fit(chain.x, iterations=8, tolerance=0.0, on_step=lambda model, _, models=models: models.append(model))
        evidence = []
        for model in models:
            copy = type(chain)(chain.seed, model.initial, model.transition, model.emission, chain.x, model, chain.rng)
            evidence.append(float(lse(hidden_paths(copy, len(chain.x), len(chain.x))[1])))
        tally.at_most(evidence[:-1], evidence[1:], 1e-12)
        step = models[1]
        for mine, theirs in zip(counted(chain), (step.initial, step.transition, step.emission)):
            occurs = ~np.isnan(mine)
            tally.equal(mine[occurs], theirs[occurs])
        if len(chain.initial) == 1:
            tally.equal(np.bincount(chain.x, minlength=chain.emission.shape[1]) / len(chain.x), better.emission[0])


@equation(
    "hmm-elbo",
    "7e3a9d99",
    "The evidence is the bound plus the KL divergence, for every q; the bound is tight at the posterior.",
    so.HMM.log_evidence,
    so.HMM.smooth,
    so.HMM.smooth_pairs,
    over=CHAINS,
)
def test_hmm_elbo(tally):
    for chain in tally.over(chains(1000)):
        steps = len(chain.x)
        z, logs = hidden_paths(chain, steps, steps)
        z, logs = z[:, logs > -np.inf], logs[logs > -np.inf]
        log_evidence = chain.model.log_evidence(chain.x)
        for power in (1.0, 0.1):
            log_q = log(chain.rng.dirichlet(np.full(logs.size, power)))
            bound = -kl(log_q, logs)
            tally.equal(bound + kl(log_q, logs - lse(logs)), log_evidence)
            tally.at_most(bound, log_evidence)
        # the posterior over paths, from the library's smoothing: p(Z_1) ∏ p(Z_t+1 | Z_t, X)
        pairs, smoothed = chain.model.smooth_pairs(chain.x), chain.model.smooth(chain.x)
        log_q = log(smoothed[0, z[0]])
        for t in range(steps - 1):
            log_q += log(pairs[t, z[t], z[t + 1]]) - log(np.maximum(pairs[t].sum(axis=1), 1e-300)[z[t]])
        tally.equal(np.exp(logs - lse(logs)), np.exp(log_q))
        likely = logs - lse(logs) > np.log(1e-100)
        tally.equal(-kl(np.where(likely, log_q, -np.inf), logs), log_evidence, what="the bound at the posterior and the evidence")
