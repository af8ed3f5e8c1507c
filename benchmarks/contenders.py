"""One contender of benchmarks/bench.py in a process of its own: it loads a problem, answers once, and then runs whenever it is told to.

    python contenders.py CONTENDER PROBLEM.npz ANSWER.npz

Each function below takes the problem's arrays, does what its library asks for once (building its own model, compiling), and returns what is
timed: a function without arguments that gives the answer as an array.  The first call is never timed; its answer goes to ANSWER.npz.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Problem = dict[str, Any]
Run = Callable[[], Any]
SHORTEST = 0.02  # seconds that are timed at a time, by calling again and again


# -- this library -------------------------------------------------------------------------------------------------------------------


def our_mdp(p: Problem) -> Any:
    import scipy.sparse as sp

    import soft_optimality as so

    size = len(p["reward"])
    transition = p["transition"] if "transition" in p else sp.csr_array((p["data"], p["indices"], p["indptr"]), shape=(p["reward"].size, size))
    return so.MDP(transition, p["reward"], p["initial"], discount=float(p.get("discount", 1.0)), terminal=p.get("terminal"))


def ours_soft_horizon(p: Problem) -> Run:
    import soft_optimality as so

    mdp, horizon = our_mdp(p), int(p["horizon"])
    return lambda: so.soft_value_iteration(mdp, 1.0, horizon=horizon).v


def ours_hard(p: Problem) -> Run:
    import soft_optimality as so

    mdp = our_mdp(p)
    return lambda: so.value_iteration(mdp, tolerance=float(p["tolerance"])).v


def ours_soft(p: Problem) -> Run:
    import soft_optimality as so

    mdp, prior = our_mdp(p), np.full(p["reward"].shape, 1 / p["reward"].shape[1])
    return lambda: so.soft_value_iteration(mdp, float(p["temperature"]), prior=prior, tolerance=float(p["tolerance"])).v


def ours_stopping(p: Problem) -> Run:
    """The policy where only the goal has a fifth action, which ends all; before it nothing ends.  irl-maxent's problem, by forbidden actions."""
    import scipy.sparse as sp

    import soft_optimality as so

    size, actions = p["reward"].shape
    goal, end = size - 1, size
    moves = pairs(p).toarray().reshape(size, actions, size)
    transition = np.zeros((size + 1, actions + 1, size + 1))
    transition[:size, :actions, :size] = moves
    transition[:, actions, end] = transition[end, :, end] = 1.0
    reward = np.full((size + 1, actions + 1), -np.inf)
    reward[:size, :actions] = p["reward"]
    reward[goal, actions] = reward[end, 0] = 0.0
    mdp = so.MDP(sp.csr_array(transition.reshape(-1, size + 1)), reward, discount=float(p["discount"]), terminal=np.arange(size + 1) == end)
    return lambda: so.soft_value_iteration(mdp, 1.0, tolerance=float(p["tolerance"])).policy[:size, :actions]


def our_hmm(p: Problem) -> Any:
    import soft_optimality as so

    return so.HMM(p["initial"], p["transition"], p["emission"])


def ours_smoothing(p: Problem) -> Run:
    model, x = our_hmm(p), p["observations"]
    return lambda: model.smooth(x)


def ours_viterbi(p: Problem) -> Run:
    model, x = our_hmm(p), p["observations"]
    return lambda: model.decode(x).path


# -- the peers ----------------------------------------------------------------------------------------------------------------------


def imitation_soft_horizon(p: Problem) -> Run:
    from types import SimpleNamespace

    from imitation.algorithms.mce_irl import mce_partition_fh

    size, actions = p["reward"].shape
    world = SimpleNamespace(
        horizon=int(p["horizon"]), state_dim=size, action_dim=actions, transition_matrix=p["transition"], reward_matrix=p["reward"][:, 0]
    )
    return lambda: mce_partition_fh(world)[0]


def pairs(p: Problem) -> Any:
    """The rows of the dynamics, one for each state and action."""
    import scipy.sparse as sp

    return sp.csr_matrix((p["data"], p["indices"], p["indptr"]), shape=(p["reward"].size, len(p["reward"])))


def quantecon(p: Problem, method: str) -> Run:
    from quantecon.markov import DiscreteDP

    size, actions = p["reward"].shape
    states, choices = np.divmod(np.arange(size * actions), actions)
    world = DiscreteDP(p["reward"].ravel(), pairs(p), float(p["discount"]), states, choices)
    world.max_iter = 10**7
    return lambda: world.solve(method, epsilon=float(p["tolerance"])).v


def quantecon_value_iteration(p: Problem) -> Run:
    return quantecon(p, "vi")


def quantecon_modified_policy_iteration(p: Problem) -> Run:
    return quantecon(p, "mpi")


def quantecon_policy_iteration(p: Problem) -> Run:
    return quantecon(p, "pi")


def pymdptoolbox_value_iteration(p: Problem) -> Run:
    import mdptoolbox.mdp

    matrix, (size, actions) = pairs(p), p["reward"].shape
    by_action = [matrix[np.arange(size) * actions + a] for a in range(actions)]
    world = mdptoolbox.mdp.ValueIteration(by_action, p["reward"], float(p["discount"]), epsilon=float(p["tolerance"]))

    def run() -> Any:  # without the constructor, which bounds the number of iterations at some cost
        world.iter, world.V = 0, np.zeros(size)
        world.run()
        v = np.array(world.V)
        return v - v[-1]  # it stops by the span of the change, which leaves V off by a constant; at the goal V is 0

    return run


def bettermdptools_value_iteration(p: Problem) -> Run:
    from bettermdptools.algorithms.planner import Planner

    matrix, (size, actions) = pairs(p), p["reward"].shape
    row = lambda i: slice(matrix.indptr[i], matrix.indptr[i + 1])
    table = {
        s: {
            a: [
                (float(chance), int(after), float(p["reward"][s, a]), False)
                for chance, after in zip(matrix.data[row(s * actions + a)], matrix.indices[row(s * actions + a)], strict=True)
            ]
            for a in range(actions)
        }
        for s in range(size)
    }
    gamma, planner = float(p["discount"]), Planner(table)
    theta = float(p["tolerance"]) * (1 - gamma) / gamma
    return lambda: planner.value_iteration_vectorized(gamma=gamma, n_iters=10_000, theta=theta, dtype=np.float64)[0]


def msdm_entropy_regularized_policy_iteration(p: Problem) -> Run:
    import torch
    from msdm.algorithms.entregpolicyiteration import entropy_regularized_policy_iteration

    size, actions = p["reward"].shape
    dynamics = torch.tensor(pairs(p).toarray().reshape(size, actions, size))
    reward = torch.tensor(p["reward"])[:, :, None]
    prior = torch.full((1, actions), 1 / actions, dtype=torch.float64)
    eta = torch.tensor([float(p["temperature"])], dtype=torch.float64)
    return lambda: entropy_regularized_policy_iteration(dynamics, reward, float(p["discount"]), eta, 1000, policy_prior=prior).state_values.numpy()


def irl_maxent_causal(p: Problem) -> Run:
    """Its discounted planner: η = 1, the counting measure, and at the goal an action more, which stops there.  Returns the policy."""
    from irl_maxent import maxent

    size, actions = p["reward"].shape
    dynamics = pairs(p).toarray().reshape(size, actions, size).transpose(0, 2, 1).copy()
    gamma, terminal = float(p["discount"]), np.where(p["terminal"], 0.0, -np.inf)
    return lambda: maxent.local_causal_action_probabilities(dynamics, terminal, p["reward"][:, 0], gamma, eps=float(p["tolerance"]))


def hmmlearn_model(p: Problem, implementation: str) -> Any:
    from hmmlearn.hmm import CategoricalHMM

    model = CategoricalHMM(len(p["initial"]), implementation=implementation)
    model.n_features = p["emission"].shape[1]
    model.startprob_, model.transmat_, model.emissionprob_ = p["initial"], p["transition"], p["emission"]
    return model


def hmmlearn_smoothing(p: Problem) -> Run:
    model, x = hmmlearn_model(p, "log"), p["observations"][:, None]
    return lambda: model.predict_proba(x)


def hmmlearn_smoothing_scaling(p: Problem) -> Run:
    model, x = hmmlearn_model(p, "scaling"), p["observations"][:, None]
    return lambda: model.predict_proba(x)


def hmmlearn_viterbi(p: Problem) -> Run:
    model, x = hmmlearn_model(p, "log"), p["observations"][:, None]
    return lambda: model.decode(x)[1]


def dynamax_inputs(p: Problem) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    return jnp.array(p["initial"]), jnp.array(p["transition"]), jnp.log(jnp.array(p["emission"])).T[p["observations"]]


def dynamax_smoothing(p: Problem) -> Run:
    import jax
    from dynamax.hidden_markov_model import hmm_smoother

    inputs, smoother = dynamax_inputs(p), jax.jit(hmm_smoother)
    return lambda: np.asarray(smoother(*inputs).smoothed_probs.block_until_ready())


def dynamax_viterbi(p: Problem) -> Run:
    import jax
    from dynamax.hidden_markov_model import hmm_posterior_mode

    inputs, mode = dynamax_inputs(p), jax.jit(hmm_posterior_mode)
    return lambda: np.asarray(mode(*inputs).block_until_ready())


# -- soft actor–critic: gradient updates on a filled replay, one thread (benchmarks/sac.py says more) ------------------------------------


def ours_sac(p: Problem) -> Run:
    import sac

    update, _ = sac.soft_optimality()
    return lambda: update(int(p["updates"])) and 0


def stable_baselines3_sac(p: Problem) -> Run:
    import sac

    update, _ = sac.stable_baselines3()
    return lambda: update(int(p["updates"])) or 0


def cleanrl_style_sac(p: Problem) -> Run:
    import sac

    update, _ = sac.cleanrl_style()
    return lambda: update(int(p["updates"])) and 0


def sbx_sac(p: Problem) -> Run:
    import gymnasium
    from sbx import SAC

    model = SAC("MlpPolicy", gymnasium.make("Pendulum-v1"), policy_kwargs={"net_arch": [64, 64]}, learning_rate=1e-3, seed=0)
    model.learn(1_000)
    return lambda: model.train(gradient_steps=int(p["updates"]), batch_size=256) or 0


# -- what this machine can do at most ------------------------------------------------------------------------------------------------


def read_dense(p: Problem) -> Run:
    """Reads the dynamics once a step, by BLAS: what a dense sweep cannot beat."""
    matrix = p["transition"].reshape(-1, len(p["reward"]))
    v, out, steps = np.ones(len(p["reward"])), np.empty(len(matrix)), int(p["horizon"]) - 1

    def run() -> Any:
        for _ in range(steps):
            np.dot(matrix, v, out=out)
        return out

    return run


def bare_sweeps(p: Problem) -> Run:
    """Soft value iteration at η = 1 and γ = 1 as a row of NumPy's calls into arrays that are there already: none of them can be left out."""
    matrix = np.ascontiguousarray(p["transition"].transpose(1, 0, 2)).reshape(-1, len(p["reward"]))
    reward, steps = np.ascontiguousarray(p["reward"].T), int(p["horizon"])
    q, best, v, scaled = np.empty((4, len(matrix) // 4)), np.empty(len(matrix) // 4), np.empty((steps + 1, len(matrix) // 4)), np.empty_like(reward)

    def run() -> Any:
        v[steps] = 0.0
        for t in reversed(range(steps)):
            np.dot(matrix, v[t + 1], out=q.reshape(-1))
            np.add(q, reward, out=q)
            np.maximum.reduce(q, out=best)
            np.subtract(q, best, out=scaled)
            np.exp(scaled, out=scaled)
            np.add.reduce(scaled, out=v[t])
            np.log(v[t], out=v[t])
            np.add(v[t], best, out=v[t])
        return v[:steps]

    return run


def main() -> None:
    contender, problem, answer = sys.argv[1:4]
    warnings.filterwarnings("ignore")
    with np.load(problem) as arrays:
        run = globals()[contender](dict(arrays))
    begin = time.perf_counter()
    first = run()
    np.savez(answer, answer=first)
    print("ready", time.perf_counter() - begin, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()  # what was put to sleep since the last time wakes up
        times = 1 + int(SHORTEST / (time.perf_counter() - begin))
        begin = time.perf_counter()
        for _ in range(times):
            run()
        print("run", (time.perf_counter() - begin) / times, peak(), flush=True)


def peak() -> float:
    """The most memory that this process has held, in MiB.  (getrusage would count what its parent held when it was started.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


if __name__ == "__main__":
    main()
