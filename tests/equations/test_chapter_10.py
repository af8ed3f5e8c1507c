"""Chapter 10: the density of a squashed Gaussian, and the temperature as a multiplier."""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

from ledger import equation
from soft_optimality.actor_critic import entropies
from soft_optimality.sac import squashed_gaussian, temperature_gradient


def chance_between(low: np.ndarray, high: np.ndarray, mean: float, std: float) -> np.ndarray:
    """P(low < tanh u < high) for u ~ N(μ, σ²), from the normal distribution function, in the tail where it is small."""
    a, b = (np.arctanh(low) - mean) / std, (np.arctanh(high) - mean) / std
    return np.where(a > 0, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))


@equation(
    "tanh-jacobian",
    "9c0bc9d9",
    "The log-density of c tanh(u) is that of the Gaussian minus log(1 − tanh²) and minus log c, in each dimension.",
    squashed_gaussian,
    over="random policies",
)
def test_tanh_jacobian(tally):
    for seed in tally.over(range(1000)):
        rng = np.random.default_rng([seed, 100])
        d, batch = int(rng.integers(1, 4)), 4
        mean, log_std = rng.normal(size=(batch, d)) * 1.5, rng.uniform(-3.0, 1.0, size=(batch, d))
        noise, scale = rng.normal(size=(batch, d)), np.exp(rng.normal(size=d))
        draw = squashed_gaussian(np.hstack([mean, log_std]), noise, float(np.log(scale).sum()))
        # one dimension at a time: the probability of a small interval of actions, divided by its length
        log_density = np.zeros(batch)
        u = mean + np.exp(log_std) * noise
        half = 1e-4 * np.exp(log_std)
        slope = 1 / np.cosh(u) ** 2
        keep = (np.abs(u) + half < 6).all(axis=1)  # nearer the ends the interval's own numbers run out
        for i in range(d):
            low, high = np.tanh(u[:, i]) - half[:, i] * slope[:, i], np.tanh(u[:, i]) + half[:, i] * slope[:, i]
            chance = chance_between(low, high, mean[:, i], np.exp(log_std[:, i]))
            log_density += np.log(chance / (scale[i] * (high - low)))
        tally.equal(log_density[keep], draw.log_density[keep], 1e-5)
        tally.equal(np.tanh(u), draw.action)
    # and it integrates to 1 over the actions
    for seed in range(20):
        rng = np.random.default_rng([seed, 101])
        mean, log_std, c = rng.normal(), rng.uniform(-1.0, 0.5), float(np.exp(rng.normal()))

        def density(action, mean=mean, log_std=log_std, c=c):
            noise = (np.arctanh(action / c) - mean) / np.exp(log_std)
            return float(np.exp(squashed_gaussian(np.array([[mean, log_std]]), np.array([[noise]]), np.log(c)).log_density[0]))

        tally.equal(quad(density, -c, c, limit=400)[0], 1.0, 1e-6, what="the integral of the density and 1")


def log_sum(x: np.ndarray) -> float:
    return float(np.log(np.exp(x - x.max()).sum()) + x.max())


@equation(
    "temperature-dual",
    "b6882897",
    "The temperature that minimizes the dual is the multiplier of the entropy constraint: its gradient is entropy minus target.",
    temperature_gradient,
    entropies,
    over="random states",
)
def test_temperature_dual(tally):
    for seed in tally.over(range(500)):
        rng = np.random.default_rng([seed, 102])
        actions = int(rng.integers(2, 6))
        q, log_rho = rng.normal(size=actions) * 10 ** rng.uniform(-1, 1), np.zeros(actions)
        if rng.integers(2):
            log_rho = np.log(rng.dirichlet(np.full(actions, 2.0)))
        # between the entropy (with a prior: minus the divergence from it) of the coldest policy and that of the hottest
        cold, hot = log_rho[q.argmax()], log_sum(log_rho)
        target = float(cold + rng.uniform(0.1, 0.95) * (hot - cold))

        def soft(log_eta, q=q, log_rho=log_rho):
            """log π of the Boltzmann policy."""
            x = q / np.exp(log_eta) + log_rho
            return x - log_sum(x)

        def dual(log_eta, q=q, log_rho=log_rho, target=target):
            """max over π of E[Q] + η (H(π) − H̄), attained by the Boltzmann policy."""
            return np.exp(log_eta) * (log_sum(q / np.exp(log_eta) + log_rho) - target)

        def slope(log_eta, log_rho=log_rho, target=target, soft=soft):
            """The library's, whose mean over a sample is here the exact expectation."""
            logs = soft(log_eta)
            return temperature_gradient(len(logs) * np.exp(logs) * (logs - log_rho), target)

        at, step = rng.uniform(-2.0, 3.0), 1e-5
        # the loss is −log η times a constant, so its slope is that of the dual in η, not in log η
        difference = (dual(at + step) - dual(at - step)) / (np.exp(at + step) - np.exp(at - step))
        tally.equal(difference, slope(at), 1e-6, what="the dual's slope and the gradient of the continuous agent")
        tally.equal(difference, entropies(soft(at)[None], log_rho[None])[0] - target, 1e-6, what="the dual's slope and the tabular agent's")
        least = brentq(slope, -12.0, 12.0, xtol=1e-13)
        best = soft(least)
        tally.equal(-np.exp(best) @ (best - log_rho), target, what="the entropy at the least dual value, and the target")
        tally.equal(np.exp(best) @ q, dual(least), what="the return at the least dual value, and that value")
        for other in rng.dirichlet(np.ones(actions), 20):
            if -(other @ (np.log(other) - log_rho)) >= target:
                tally.at_most(other @ q, dual(least))
