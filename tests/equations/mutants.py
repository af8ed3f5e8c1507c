"""Does the ledger notice?  Each line below breaks one function of the library the way a hand might, and the equations' tests are run on it.

    make mutants          tries all of them and writes chapters/appendix/mutants.json; some minutes
    make mutants NEW=1    tries those that are not in that table yet

A mutant is caught if some equation's test fails. It is tried on a few of the cases first: they are the first of the whole, so what fails there fails
in the whole. Only what survives that is tried on all.
"""

from __future__ import annotations

import ast
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger
import soft_optimality  # noqa: F401  # for what it imports
from book_ledger import place

STORED = ledger.ROOT / "chapters" / "appendix" / "mutants.json"
LIMIT = 300  # seconds for one test


@dataclass(frozen=True)
class Mutant:
    function: str
    what: str
    old: str
    new: str
    why: str = ""  # why nothing notices, where nothing does

    def source(self) -> tuple[Path, str]:
        """The file, and its text with the error in it."""
        file, line = place(ledger.ROOT, f"soft_optimality.{self.function}")
        text = (ledger.ROOT / file).read_text("utf8")
        inside = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.lineno == line]
        assert inside, f"{self.function} is not in the library: mend or delete its mutants, then run `make mutants`"
        lines = text.splitlines(keepends=True)
        body = "".join(lines[line - 1 : inside[0].end_lineno])
        assert body.count(self.old) == 1, f"{self.function} holds {self.old!r} {body.count(self.old)} times: mend the mutant, then run `make mutants`"
        return file, "".join(lines[: line - 1]) + body.replace(self.old, self.new) + "".join(lines[inside[0].end_lineno :])


MUTANTS = [
    Mutant("numerics.log_sum_exp", "the shift is not added back", "log(np.exp(x - top).sum(axis=0)) + top", "log(np.exp(x - top).sum(axis=0))"),
    Mutant("numerics.log_sum_exp", "max for sum", ".sum(axis=0)", ".max(axis=0)"),
    Mutant("numerics.log_mean_exp", "the shift looks at actions of weight 0 too", "np.where(weights > 0, x, -np.inf).max(axis=0)", "x.max(axis=0)"),
    Mutant("numerics.log_mean_exp", "weights missing where all values are close", "(weights * np.expm1(spread))", "np.expm1(spread)"),
    Mutant("numerics.log_mean_exp", "weights missing where values are far apart", "(weights * np.exp(spread))", "np.exp(spread)"),
    Mutant("numerics.LogMatrix.matvec", "the rows' scale is forgotten", "(top + self.scale)", "top"),
    Mutant("numerics.LogMatrix.matvec", "rows that underflow stay 0", "low = product < SAFE", "low = product < 0"),
    Mutant(
        "numerics.LogMatrix.condition",
        "divided by the largest weight, not by the sum (dense)",
        "weights.sum(axis=1)[:, None]",
        "weights.max(axis=1, initial=0.0)[:, None]",
    ),
    Mutant("numerics.LogMatrix.condition", "sign of the message (dense)", "terms = self.log_entries + x", "terms = self.log_entries - x"),
    Mutant("numerics.LogMatrix.condition", "sign of the message (sparse)", "self.log_entries.data + x[", "self.log_entries.data - x["),
    Mutant(
        "numerics.LogMatrix.condition",
        "message forgotten (dense)",
        "terms = self.log_entries + x",
        "terms = self.log_entries + 0 * np.where(np.isfinite(x), x, 0.0)",
    ),
    Mutant(
        "numerics.LogMatrix._rows",
        "the shift is not added back (sparse)",
        "(np.diff(chosen.indptr) > 0)) + top",
        "(np.diff(chosen.indptr) > 0))",
    ),
    Mutant("numerics.LogMatrix._rows", "message forgotten (dense)", "self.log_entries[rows] + x", "self.log_entries[rows]"),
    Mutant(
        "mdp.MDP.mean_reward",
        "probabilities missing (dense)",
        "self.operator * np.where(self.operator > 0, self.landing_reward, 0.0)",
        "np.where(self.operator > 0, self.landing_reward, 0.0)",
    ),
    Mutant("mdp.MDP.mean_reward", "probabilities missing (sparse)", "self.operator.data * self.landing_reward", "self.landing_reward"),
    Mutant("mdp.MDP.expectation", "a lost successor is taken for 0", "> 0] = -np.inf", "> 2] = -np.inf"),
    Mutant(
        "mdp.MDP._log_entries",
        "reward on landing with the wrong sign",
        "self.landing_reward / temperature",
        "-self.landing_reward / temperature",
    ),
    Mutant("mdp.MDP._log_entries", "temperature dropped from the reward on landing", "self.landing_reward / temperature", "self.landing_reward"),
    Mutant("mdp.MDP.log_kernel", "kept for one temperature, used for another", "temperature if self.landing_reward is not None else 0.0", "0.0"),
    Mutant("mdp._action_major", "states and actions swapped (dense)", "matrix.transpose(1, 0, 2)", "matrix"),
    Mutant("mdp._action_major", "states and actions swapped (sparse)", "_small_index(matrix[order])", "_small_index(matrix)"),
    Mutant(
        "mdp._as_transition",
        "a terminal state's own row is kept (dense)",
        "array[terminal] = 0.0\n        array[terminal, :, terminal] = 1.0",
        "array = array + 0.0",
    ),
    Mutant("mdp._as_reward", "a terminal state pays (dense)", "array[terminal] = 0.0", "array[terminal] = 1.0"),
    Mutant("mdp._on_pattern", "a terminal state pays (sparse)", "np.where(terminal[rows // actions], 0.0, values)", "values"),
    Mutant("backups.expected_q", "discount missing", "q *= mdp.discount", "q *= 1.0"),
    Mutant("backups.expected_q", "reward missing", "q += mdp.mean_reward", "q += 0.0"),
    Mutant("backups.expected_q", "sign of the reward", "q += mdp.mean_reward", "q -= mdp.mean_reward"),
    Mutant("backups.optimistic_q", "temperature missing before the logarithm", "q = temperature * mdp", "q = mdp"),
    Mutant("backups.optimistic_q", "temperature missing in the exponent", "v * (mdp.discount / temperature)", "v * mdp.discount"),
    Mutant("backups.optimistic_q", "discount missing", "v * (mdp.discount / temperature)", "v / temperature"),
    Mutant("backups.optimistic_q", "reward missing", "else q + mdp.mean_reward", "else q"),
    Mutant(
        "backups.optimistic_q",
        "reward on landing counted twice",
        "q if mdp.landing_reward is not None else q + mdp.mean_reward",
        "q + mdp.mean_reward",
    ),
    Mutant(
        "backups.optimistic_q",
        "expectation for log-mean-exp",
        "q = temperature * mdp.log_kernel(temperature).matvec(ahead).reshape(mdp.n_actions, mdp.n_states).T",
        "q = mdp.expectation(temperature * ahead)",
    ),
    Mutant("backups.hard_v", "mean for max", ".max(axis=0)", ".mean(axis=0)"),
    Mutant("backups.hard_v", "min for max", ".max(axis=0)", ".min(axis=0)"),
    Mutant("backups.soft_v", "max for soft max", "v *= temperature", "v *= 0.0"),
    Mutant("backups.soft_v", "prior missing", "log((weight * np.exp(scaled))", "log((np.exp(scaled))"),
    Mutant("backups.soft_v", "prior counted twice", "log((weight * np.exp", "log((weight**2 * np.exp"),
    Mutant("backups.soft_v", "prior missing where it is hot", "np.log1p((weight *", "np.log1p((1 / len(scaled) *"),
    Mutant("backups.soft_v", "temperature missing before the logarithm", "v *= temperature", "v *= 1.0"),
    Mutant("backups.boltzmann_policy", "prior missing", "policy *= weight", "policy *= 1.0"),
    Mutant("backups.boltzmann_policy", "prior counted twice", "policy *= weight", "policy *= weight**2"),
    Mutant("backups.boltzmann_policy", "divided by the largest weight, not by the sum", "total = policy.sum(axis=0)", "total = policy.max(axis=0)"),
    Mutant("backups._below_the_best", "temperature missing in the exponent", "scaled /= temperature", "scaled /= 1.0"),
    Mutant("backups._below_the_best", "sign of the advantage", "allowed - best", "np.where(np.isfinite(allowed), best - allowed, -np.inf)"),
    Mutant("backups.greedy_policy", "the worst action for the best", ".argmax(axis=0)", ".argmin(axis=0)"),
    Mutant("backups.posterior_dynamics", "discount missing", "v * (mdp.discount / temperature)", "v / temperature"),
    Mutant("backups.posterior_dynamics", "sign of the value", "v * (mdp.discount / temperature)", "-v * (mdp.discount / temperature)"),
    Mutant("backups.posterior_dynamics", "temperature dropped", "v * (mdp.discount / temperature)", "v * mdp.discount"),
    Mutant("planning._backward", "a terminal state goes on", "after[mdp.terminal] = 0.0", "after[mdp.terminal] += 0.0"),
    Mutant("planning._backward", "V after the last step is 1, not 0", "after, ends = np.zeros(states)", "after, ends = np.ones(states)"),
    Mutant("planning._backward", "steps in the wrong order", "q[t] = here", "q[horizon - 1 - t] = here"),
    Mutant("planning.evaluate_policy", "the policy of the step before", "here, pi[t], eta", "here, pi[t - 1], eta"),
    Mutant("planning.evaluate_policy", "the last step is left out", "reversed(range(steps))", "reversed(range(steps - 1))"),
    Mutant("planning._mean_over_actions", "sign of the entropy", "gain -= temperature", "gain += temperature"),
    Mutant("planning._mean_over_actions", "prior missing", "gain += temperature * np.where(taken, log(prior), 0.0)", "gain += 0.0"),
    Mutant("planning._mean_over_actions", "sign of the prior", "gain += temperature", "gain -= temperature"),
    Mutant("planning._mean_over_actions", "temperature dropped", "gain -= temperature * np", "gain -= np"),
    Mutant("planning._mean_over_actions", "a terminal state earns entropy", "np.where(mdp.terminal, 0.0, mean)", "mean"),
    Mutant("planning.policy_dynamics", "states and actions swapped (sparse)", "actions * mdp.n_states + states", "states * mdp.n_actions + actions"),
    Mutant(
        "planning.policy_dynamics",
        "states and actions swapped (dense)",
        "operator.reshape(mdp.n_actions, mdp.n_states, -1))",
        "operator.reshape(mdp.n_states, mdp.n_actions, -1).swapaxes(0, 1))",
    ),
    Mutant("planning.policy_value", "discount counted twice", "solve(mdp.discount * dynamics", "solve(mdp.discount**2 * dynamics"),
    Mutant("planning.policy_reward", "entropy missing", "policy, temperature, prior)", "policy, 0.0, prior)"),
    Mutant(
        "planning.soft_value_iteration",
        "looks ahead as the optimist does",
        "lambda v: expected_q(mdp, v)",
        "lambda v: optimistic_q(mdp, v, eta)",
    ),
    Mutant(
        "planning.soft_value_iteration",
        "max for soft max",
        "lambda q: soft_v(q, eta, rho)",
        "hard_v",
    ),
    Mutant("planning.soft_value_iteration", "prior missing from the policy", "boltzmann_policy(q, eta, rho)", "boltzmann_policy(q, eta)"),
    Mutant(
        "planning.optimistic_value_iteration",
        "looks ahead by expectation",
        "lambda v: optimistic_q(mdp, v, eta)",
        "lambda v: expected_q(mdp, v)",
    ),
    Mutant(
        "planning.optimistic_value_iteration",
        "prior missing from the values",
        "soft_v(q, eta, rho), lambda q: boltzmann_policy(q, eta, rho)",
        "soft_v(q, eta), lambda q: boltzmann_policy(q, eta)",
    ),
    Mutant("planning.value_iteration", "soft max for max", "hard_v, greedy)", "soft_v, greedy)"),
    Mutant("planning._steps_ahead", "stops at a small residual, not at a small error", "mdp.discount / (1 - mdp.discount)", "1e-9"),
    Mutant("planning._Planner.linearised", "the optimist's Newton step uses the true dynamics", "if self.optimistic", "if False"),
    Mutant("posterior.condition_on_optimality", "first state missing from the evidence", "log(mdp.initial) + plan.v[0] / eta", "plan.v[0] / eta"),
    Mutant("posterior.condition_on_optimality", "temperature dropped from the evidence", "plan.v[0] / eta", "plan.v[0]"),
    Mutant("posterior.condition_on_optimality", "the last step's message for the first", "plan.v[0] / eta", "plan.v[-1] / eta"),
    Mutant("posterior.condition_on_optimality", "β(s,a) in units of reward", "plan.q / eta", "plan.q"),
    Mutant("posterior.condition_on_optimality", "β(s) in units of reward", "plan.v / eta", "plan.v"),
    Mutant("posterior._forward", "reward missing", "weight = weight + mdp.mean_reward.T / eta", "weight = weight + 0.0"),
    Mutant(
        "posterior._forward",
        "prior missing",
        "np.zeros((mdp.n_actions, mdp.n_states)) if rho is None",
        "np.zeros((mdp.n_actions, mdp.n_states)) if True",
    ),
    Mutant("posterior._forward", "temperature dropped", "mdp.mean_reward.T / eta", "mdp.mean_reward.T"),
    Mutant("posterior._forward", "each action of a terminal state counts", "-np.log(mdp.n_actions)", "0.0"),
    Mutant(
        "posterior._forward",
        "one step behind",
        "forward[t] = ahead - log_sum_exp(ahead)",
        "forward[t] = forward[t - 1] if t == 1 else ahead - log_sum_exp(ahead)",
    ),
    Mutant("posterior._states", "the policy of the next step", "plan.policy[t - 1]", "plan.policy[t]"),
    Mutant("posterior._states", "temperature dropped", "(plan.v[t] - plan.v[t].max()) / eta", "plan.v[t] - plan.v[t].max()"),
    Mutant("posterior.Posterior.dynamics_at", "the message of the same step", "self.log_backward_s[t + 1]", "self.log_backward_s[t]"),
    Mutant("posterior.Posterior.dynamics_at", "temperature missing", "self.temperature * self.log_backward_s", "self.log_backward_s"),
    Mutant("objectives.elbo", "in units of reward", "v[0]) / eta", "v[0])"),
    Mutant("objectives.elbo", "prior missing", "prior=prior, horizon=steps", "horizon=steps"),
    Mutant("objectives.elbo", "the last step for the first", "v[0])", "v[-1])"),
    Mutant("objectives.expected_return", "the last step for the first", "horizon=horizon).v[0]", "horizon=horizon).v[-1]"),
    Mutant(
        "objectives.posterior_kl",
        "luck in the first state missing",
        "gap = posterior.log_evidence - _mean(mdp.initial, posterior.log_backward_s[0])",
        "gap = 0.0",
    ),
    Mutant("objectives.posterior_kl", "luck in the moves missing", "luck + choice", "choice"),
    Mutant("objectives.posterior_kl", "disagreement about choices missing", "luck + choice", "luck"),
    Mutant("objectives.posterior_kl", "prior missing", "if rho is None else log(rho)", "if True else log(rho)"),
    Mutant("objectives.posterior_kl", "a terminal state counts", "np.where(mdp.terminal[:, None], 0.0, visits[t])", "visits[t]"),
    Mutant("objectives.posterior_kl", "the message of the same step", "optimistic_q(mdp, v[t + 1], eta)", "optimistic_q(mdp, v[t], eta)"),
    Mutant("objectives.occupancy", "always the first step's policy", "states[:, None] * pi[t]", "states[:, None] * pi[0]"),
    Mutant("objectives.occupancy", "starts anywhere", "states = mdp.initial", "states = np.full(mdp.n_states, 1 / mdp.n_states)"),
    Mutant("hmm.HMM.log_joint", "emission missing", "log(self.emission)[states, letters].sum()", "0.0"),
    Mutant("hmm.HMM.log_evidence", "the first observation left out", "log_scales.sum()", "log_scales[1:].sum()"),
    Mutant("hmm.HMM.predict", "one step behind", "p = ahead[k] = self._predict(p)", "ahead[k], p = p, self._predict(p)"),
    Mutant("hmm.HMM.predict", "from the first belief, not the last", "self.filter(x)[-1]", "self.filter(x)[0]"),
    Mutant("hmm.HMM._predict", "transition transposed", "p @ self.transition", "p @ self.transition.T"),
    Mutant("hmm.HMM.smooth", "the filter for the smoother", "scan.smoothed(scan.backward()).T", "scan.numbers.plain(scan.filtered).T"),
    Mutant("hmm.HMM.smooth_pairs", "transition transposed", "scan.move[:, :, None]", "scan.move.T[:, :, None]"),
    Mutant("hmm._Viterbi._before", "the least likely predecessor", ".argmax(axis=0)", ".argmin(axis=0)"),
    Mutant("hmm.HMM._step", "the last state counted as the first", "smoothed[:, 0]", "smoothed[:, -1]"),
    Mutant("hmm.HMM._step", "letters counted at every step", "smoothed[:, x == letter]", "smoothed"),
    Mutant("hmm._rows", "columns normalized, not rows", "counts.sum(axis=1, keepdims=True)", "counts.sum(axis=0, keepdims=True)"),
    Mutant("hmm._Scaled.predict", "transition transposed", "move.T @ p", "move @ p"),
    Mutant("hmm._Scaled.condition", "likelihood forgotten", "joint = p * likelihood", "joint = p * np.where(likelihood > 0, 1.0, 0.0)"),
    Mutant("hmm._Scaled.expected_moves", "not divided by the evidence of the step", "after / total", "after"),
    Mutant("hmm._Logs.predict", "max for sum", "return log_sum_exp(p[:, None]", "return np.max(p[:, None]"),
    Mutant("hmm._Logs.condition", "not normalized", "joint -= np.maximum(total, LOWEST)", "joint -= 0.0"),
    Mutant("hmm._Viterbi._predict", "transition transposed", "self.move[:, :, None]", "self.move.T[:, :, None]"),
    Mutant("hmm._Scan.in_range", "scaled numbers also where they underflow", "> IN_RANGE", "> -1.0"),
    Mutant("hmm._Scan.around_moves", "the same step on both sides of a move", "backward)[:, 1:]", "backward)[:, :-1]"),
    Mutant("hmm._Scan._forward", "each step predicted from the block's start", "numbers.predict(p, self.move) if j else p, now", "p, now"),
]


# Mutants of what a later chapter brings, tried once it is in the book.
LATER = {
    "08": [
        Mutant("q_learning.soft_max", "temperature missing before the logarithm", "top + temperature * log", "top + log"),
        Mutant("q_learning.soft_max", "prior missing", "if log_prior is not None:", "if False:"),
        Mutant("q_learning.soft_max", "max for soft max", "if temperature == 0:", "if temperature >= 0:"),
        Mutant("q_learning._Learner.target", "discount missing", "weight *= self.discount", "weight *= 1.0"),
        Mutant("q_learning._Learner.target", "looks ahead at the end too", "if path.ended:", "if False:"),
        Mutant("q_learning._Learner.target", "the value of the state before", "s = path.after", "s = path.steps[-1].state"),
        Mutant("q_learning._Learner.learn", "the target alone, not the difference", "own, other) - own[s][a]", "own, other)"),
        Mutant("q_learning._Learner.learn", "step size missing", "change = rate * (", "change = ("),
        Mutant("linear_q.linear_soft_q_learning", "features missing from the step", "* here\n", "* (here != 0)\n"),
        Mutant("linear_q.linear_soft_q_learning", "discount missing", "paid + gamma * ahead", "paid + ahead"),
        Mutant("linear_q.linear_soft_q_learning", "looks ahead at the end too", "0.0 if terminated else soft_max", "0.0 if False else soft_max"),
    ],
    "10": [
        Mutant("sac.squashed_gaussian", "the slope of tanh missing from the density", "+ log_slope(u)", ""),
        Mutant("sac.squashed_gaussian", "sign of the slope of tanh", "+ log_slope(u)", "- log_slope(u)"),
        Mutant("sac.squashed_gaussian", "the actions' scale missing", "+ log_scale)", ")"),
        Mutant("sac.squashed_gaussian", "log σ missing", "+ log_std +", "+"),
        Mutant("sac.squashed_gaussian", "log 2π counted once, not in each dimension", "d * HALF_LOG_2PI", "HALF_LOG_2PI"),
        Mutant("sac.temperature_gradient", "sign of the target", "+ target_entropy", "- target_entropy"),
        Mutant("sac.temperature_gradient", "sign of the gradient", "return -(", "return ("),
        Mutant("actor_critic.entropies", "sign of the entropy", "return -(", "return ("),
        Mutant("actor_critic.entropies", "prior missing", " - np.where(taken, log_prior, 0.0)", ""),
    ],
}
MUTANTS += [mutant for chapter, more in LATER.items() if chapter in ledger.chapters() for mutant in more]


def stored() -> list[dict[str, Any]]:
    """The table of the last run."""
    return json.loads(STORED.read_text("utf8"))["mutants"] if STORED.exists() else []


def run(mutant: Mutant) -> dict[str, Any]:
    """Which equation's test notices: first on a few of the cases, then on all."""
    file, text = mutant.source()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ledger.ROOT / "lib", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        Path(folder, file.relative_to("lib")).write_text(text, "utf8")
        caught_by = first_failure(folder)
    print(f"{caught_by or 'SURVIVED':24} {mutant.function}: {mutant.what}", flush=True)
    return {"function": f"soft_optimality.{mutant.function}", "what": mutant.what, "caught_by": caught_by, "why": mutant.why}


def first_failure(library: str) -> str | None:
    """The label of the first equation whose test fails with this library.  Only for a process that does nothing else: it is imported here."""
    sys.path.insert(0, library)
    for name in list(sys.modules):
        if name.startswith(("soft_optimality", "random_worlds", "test_chapter_")):
            del sys.modules[name]
    worlds = importlib.import_module("random_worlds")
    warnings.simplefilter("ignore")
    for worlds.SHARE in (0.02, 0.2, 1.0):
        for test, mark in ledger.tests():
            file, name = test.split("::")
            signal.alarm(LIMIT)
            try:
                getattr(importlib.import_module(Path(file).stem), name)(ledger.Tally())
            except Exception:  # an error is noticed as a wrong number is
                return str(mark.kwargs["label"])
            finally:
                signal.alarm(0)
    return None


def main() -> None:
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("took too long")))
    # a process for each, forked from this one, which has imported all that takes time
    known = {(row["function"], row["what"]): row for row in stored()} if os.environ.get("NEW") else {}
    names = [(f"soft_optimality.{mutant.function}", mutant.what) for mutant in MUTANTS]
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        tried = iter(pool.map(run, [mutant for mutant, name in zip(MUTANTS, names, strict=True) if name not in known], chunksize=1))
    results = [known[name] if name in known else next(tried) for name in names]
    STORED.write_text(json.dumps({"mutants": results}, indent=1, ensure_ascii=False) + "\n", "utf8")
    survivors = [f"{mutant['function']}: {mutant['what']}" for mutant in results if not mutant["caught_by"]]
    print(f"{len(results) - len(survivors)} of {len(results)} caught", *survivors, sep="\n  survived: ")


if __name__ == "__main__":
    main()
