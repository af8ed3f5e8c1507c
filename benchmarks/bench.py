"""This library and its peers, side by side, in one run: `make bench`.

    python benchmarks/bench.py [--rounds N] [--only WORD]          all of it: some twenty minutes, and as many for the first installation

Each peer is installed in an environment of its own below .venv-bench/; one that cannot be installed is named as skipped.  Two contenders for
one piece of work each get a process, answer once (that compiles what is compiled, and is not timed), and their answers are compared.  Then
they take turns; the median over the rounds counts, and the ratio is taken round by round, so that other work on the machine slows both.

A bound is what NumPy cannot beat on this machine: the time to read the dynamics as often as the method must, or to call what it must call.
It writes speed.csv (a row a contender), speed_growth.csv (this library on growing problems) and speed_machine.json into
lib/soft_optimality/recorded/; chapters/appendix/speed.ipynb shows and draws them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venv-bench"
RECORDED = HERE.parent / "lib" / "soft_optimality" / "recorded"
# One environment each: some of these want an older NumPy than others.  What an old peer needs of its own dependencies is written out, for
# otherwise the installer would search for an hour.
PEERS = {
    "imitation": [
        "--no-deps imitation==1.0.1 stable-baselines3==2.2.1 gymnasium==0.29.1 seals==0.2.1",
        "numpy==1.26.4 scipy==1.17.1 torch==2.2.2 pandas matplotlib cloudpickle typing_extensions Farama-Notifications tqdm rich tensorboard "
        "scikit-learn datasets sacred huggingface_sb3==3.0",
    ],
    "quantecon": ["quantecon==0.11.4"],
    "pymdptoolbox": ["pymdptoolbox==4.0b3"],
    "bettermdptools": ["bettermdptools==0.9.0 scipy"],
    "msdm": ["msdm==0.11"],
    "irl-maxent": ["irl-maxent==0.1.0 numpy==1.23.5 scipy==1.11.4"],
    "hmmlearn": ["hmmlearn==0.3.3"],
    "dynamax": ["dynamax==1.0.3 jax==0.10.2"],
    "stable-baselines3": ["stable-baselines3==2.9.2 torch==2.15.0 gymnasium[classic-control]"],
    "sbx-rl": ["sbx-rl==0.28.0 jax==0.10.2 torch==2.15.0 gymnasium[classic-control]"],
}


# -- problems -----------------------------------------------------------------------------------------------------------------------


def random_world(states: int, horizon: int) -> dict[str, Any]:
    """Dense dynamics, rewards of the state."""
    rng = np.random.default_rng(0)
    transition, reward = rng.dirichlet(np.ones(states), (states, 4)), rng.normal(size=states)
    return {"transition": transition, "reward": np.repeat(reward[:, None], 4, axis=1), "initial": rng.dirichlet(np.ones(states)), "horizon": horizon}


def grid(size: int, discount: float, *, continuing: bool = False, slip: float = 0.2, tolerance: float = 1e-6) -> dict[str, Any]:
    """size × size cells, costs of ½ to 3/2 a move, a goal in the last corner where all ends, or that sends you back to the first."""
    rng = np.random.default_rng(0)
    states, goal = size * size, size * size - 1
    row, column = np.divmod(np.arange(states), size)
    moves = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
    to = np.clip(row[:, None] + moves[:, 0], 0, size - 1) * size + np.clip(column[:, None] + moves[:, 1], 0, size - 1)
    landing = to[:, (np.arange(4)[:, None] + np.array([0, 1, 3])) % 4]  # (S, 4, 3): ahead, and to either side
    landing[goal] = 0 if continuing else goal
    cost = rng.uniform(0.5, 1.5, states)
    cost[goal] = 0.0
    import scipy.sparse as sp

    chances = np.broadcast_to([1 - slip, slip / 2, slip / 2], landing.shape)
    rows = np.broadcast_to(np.arange(4 * states)[:, None], (4 * states, 3))
    matrix = sp.csr_array((chances.ravel(), (rows.ravel(), landing.ravel())), shape=(4 * states, states))
    matrix.sum_duplicates()
    return {
        "data": matrix.data, "indices": matrix.indices.astype(np.int32), "indptr": matrix.indptr.astype(np.int32),
        "reward": np.repeat(-cost[:, None], 4, axis=1), "initial": np.eye(1, states)[0], "discount": discount, "temperature": 0.1,
        "terminal": np.zeros(states, dtype=bool) if continuing else np.arange(states) == goal, "tolerance": tolerance,
    }  # fmt: skip


def hidden_markov(states: int, steps: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    initial, transition, emission = rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), states), rng.dirichlet(np.ones(20), states)
    import soft_optimality as so

    return {
        "initial": initial, "transition": transition, "emission": emission,
        "observations": so.HMM(initial, transition, emission).sample(steps, np.random.default_rng(1)).observations,
    }  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One piece of work: who does it, and the goal as ratios ours/peer.

    peers    contender -> (environment, largest difference allowed between the answers)
    bounds   contender -> what it shows
    """

    name: str
    problem: dict[str, Any]
    ours: str
    peers: dict[str, tuple[str, float]]
    goal: str = ""
    bounds: dict[str, str] = field(default_factory=dict)
    threads: int | None = None


QUANTECON = {f"quantecon_{name}": ("quantecon", 2e-6) for name in ("value_iteration", "modified_policy_iteration", "policy_iteration")}


def works() -> list[Work]:
    soft_horizon = {"imitation_soft_horizon": ("imitation", 1e-9)}
    hmm = hidden_markov(10, 10_000)
    read = {"read_dense": "bound: reads the dynamics, and nothing else"}
    calls = {"bare_sweeps": "bound: the same sweeps, without a check, a policy or a copy"}
    best = "of QuantEcon's best"  # at γ = .9999 its value iteration takes half a minute, and is left out
    return [
        Work("soft value iteration, S = 100, A = 4, T = 50", random_world(100, 50), "ours_soft_horizon", soft_horizon, "≤ 0.15",
             read | calls),
        Work("soft value iteration, S = 1,000, A = 4, T = 50", random_world(1000, 50), "ours_soft_horizon", soft_horizon,
             "≤ 0.7, and ≤ 1.15 × reading", read),
        Work("100×100 grid that ends, hard, γ = .99", grid(100, 0.99), "ours_hard", QUANTECON, f"≤ 0.7 {best}"),
        Work("100×100 grid that continues, hard, γ = .999", grid(100, 0.999, continuing=True), "ours_hard", QUANTECON, f"≤ 0.2 {best}"),
        Work("100×100 grid that continues, hard, γ = .9999", grid(100, 0.9999, continuing=True), "ours_hard",
             {name: how for name, how in QUANTECON.items() if "policy" in name}, f"≤ 0.35 {best}"),
        Work("100×100 grid that ends, soft, γ = .99 (QuantEcon: hard)", grid(100, 0.99), "ours_soft",
             {name: (where, np.inf) for name, (where, _) in QUANTECON.items()}, f"≤ 1.0 {best}"),
        Work("20×20 grid that ends, soft, γ = .99", grid(20, 0.99), "ours_soft", {
            "msdm_entropy_regularized_policy_iteration": ("msdm", 1e-4)}),
        Work("20×20 grid, soft, with an action that stops at the goal, γ = .99", grid(20, 0.99), "ours_stopping", {
            "irl_maxent_causal": ("irl-maxent", 1e-4)}),
        Work("30×30 grid that ends, hard, γ = .99", grid(30, 0.99), "ours_hard", {
            "pymdptoolbox_value_iteration": ("pymdptoolbox", 2e-6), "bettermdptools_value_iteration": ("bettermdptools", 2e-6)}),
        Work("HMM, K = 10, T = 10,000: smoothing", hmm, "ours_smoothing", {
            "hmmlearn_smoothing": ("hmmlearn", 1e-9), "hmmlearn_smoothing_scaling": ("hmmlearn", 1e-9), "dynamax_smoothing": ("dynamax", 1e-9)},
             "≤ 0.5 of hmmlearn's default"),
        Work("HMM, K = 10, T = 10,000: Viterbi", hmm, "ours_viterbi", {
            "hmmlearn_viterbi": ("hmmlearn", 0), "dynamax_viterbi": ("dynamax", 0)}, "≤ 5 of hmmlearn's"),
        Work("soft actor–critic, 100 updates, one thread", {"updates": 100}, "ours_sac", {
            "stable_baselines3_sac": ("stable-baselines3", np.inf), "cleanrl_style_sac": ("stable-baselines3", np.inf),
            "sbx_sac": ("sbx-rl", np.inf)}, "≤ 0.25 of Stable-Baselines3's", threads=1),
    ]  # fmt: skip


# -- contenders, taking turns -------------------------------------------------------------------------------------------------------


class Unavailable(Exception):
    """Why a peer cannot take part."""


def interpreter(peer: str) -> str:
    """The Python of a peer's environment, made if it is not there."""
    place = ENVIRONMENTS / peer
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        print(f"installing {peer} in {place.relative_to(HERE.parent)}", flush=True)
        venv.create(place, with_pip=True, clear=True)
        for packages in PEERS[peer]:
            command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages.split()]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise Unavailable(f"cannot be installed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        (place / "ready").touch()
    return str(python)


def version(peer: str) -> str:
    question = f"import importlib.metadata; print(importlib.metadata.version({peer!r}))"
    return subprocess.run([interpreter(peer), "-c", question], capture_output=True, text=True, check=True).stdout.strip()


class Contender:
    """A process that answers once, and then runs whenever it is told to."""

    def __init__(self, name: str, python: str, problem: Path, threads: int | None):
        self.name, self.seconds, self.peak = name, list[float](), 0.0
        self.answer_file = problem.with_name(f"{name}.npz")
        environment = {**os.environ, **({f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")} if threads else {})}
        command = [python, str(HERE / "contenders.py"), name, str(problem), str(self.answer_file)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.first = float(self._line().split()[1])

    def _line(self) -> str:
        assert self.process.stdout and self.process.stderr
        line = self.process.stdout.readline()
        while line and not line.startswith(("ready", "run")):  # what a peer prints is not for us
            line = self.process.stdout.readline()
        if not line:
            raise Unavailable(f"fails: {(self.process.stderr.read().strip().splitlines() or ['no reason given'])[-1]}")
        return line

    @property
    def answer(self) -> np.ndarray:
        return np.asarray(np.load(self.answer_file)["answer"])

    def run(self) -> None:
        assert self.process.stdin
        time.sleep(0.3)  # the threads of whoever ran before wait for more work at first, and keep a processor busy with it
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        _, seconds, peak = self._line().split()
        self.seconds.append(float(seconds))
        self.peak = float(peak)


@contextmanager
def contenders(work: Work) -> Iterator[tuple[list[Contender], dict[str, str]]]:
    """Those who can take part, ours first, and why the others cannot."""
    running: list[Contender] = []
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        np.savez(problem, **work.problem)
        try:
            running.append(Contender(work.ours, sys.executable, problem, work.threads))
            for name, (peer, _) in work.peers.items():
                try:
                    running.append(Contender(name, interpreter(peer), problem, work.threads))
                except Unavailable as error:
                    skipped[name] = str(error)
            running += [Contender(name, sys.executable, problem, work.threads) for name in work.bounds]
            yield running, skipped
        finally:
            for contender in running:
                contender.process.kill()
                contender.process.communicate()


def measure(work: Work, rounds: int) -> list[dict[str, Any]]:
    """A row for each contender: seconds, ratio ours/theirs with its quartiles, agreement."""
    with contenders(work) as (running, skipped):
        for _ in range(rounds):
            for contender in running:
                contender.run()
        ours, rows = running[0], []
        for contender in running:
            ratio = np.array(ours.seconds) / np.array(contender.seconds)
            low, middle, high = np.percentile(ratio, [25, 50, 75])
            row = {"work": work.name, "contender": contender.name, "milliseconds": f"{1e3 * np.median(contender.seconds):.3g}",
                   "ours/theirs": f"{middle:.2f}", "quartiles": f"{low:.2f}–{high:.2f}",
                   "first call, s": f"{contender.first:.2f}", "note": ""}  # fmt: skip
            if contender is ours:
                row["note"] = f"goal: {work.goal}" if work.goal else ""
            elif contender.name in work.bounds:
                row["note"] = work.bounds[contender.name]
            else:
                allowed = work.peers[contender.name][1]
                row["note"] = agreement(ours.answer, contender.answer, allowed)
            rows.append(row)
    empty = dict.fromkeys(rows[0], "")
    return rows + [{**empty, "work": work.name, "contender": name, "note": f"skipped: {reason}"} for name, reason in skipped.items()]


def agreement(ours: np.ndarray, theirs: np.ndarray, allowed: float) -> str:
    """The largest difference between two answers; AssertionError where it is more than is allowed."""
    if allowed == np.inf:
        return "another quantity: not compared"
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    worst = float(np.abs(ours - theirs).max())
    assert worst <= allowed, f"the answers differ by {worst:.1e}, more than {allowed:.0e}"
    return f"answers differ by {worst:.0e}" if worst else "the same answer"


# -- how cost grows -----------------------------------------------------------------------------------------------------------------


def growth(rounds: int) -> Iterator[dict[str, Any]]:
    """This library alone, along one axis at a time; the sizes take turns."""
    sizes, discounts, steps = (10, 32, 100, 316, 1000), (0.9, 0.99, 0.999, 0.9999), (10, 100, 1000, 10_000)
    for name in ("ours_hard", "ours_soft"):
        yield from grown("states", name, {size**2: grid(size, 0.99) for size in sizes}, min(rounds, 3))
        yield from grown("1/(1 − γ)", name, {round(1 / (1 - g)): grid(100, g, continuing=True) for g in discounts}, rounds)
    yield from grown("T", "ours_soft_horizon", {T: random_world(100, T) for T in steps}, rounds)
    for name in ("ours_smoothing", "ours_viterbi"):
        yield from grown("T", name, {T: hidden_markov(10, T) for T in steps}, rounds)


def grown(axis: str, name: str, problems: dict[int, dict[str, Any]], rounds: int) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        running = {value: stack.enter_context(contenders(Work("", problem, name, {})))[0][0] for value, problem in problems.items()}
        for _ in range(rounds):
            for contender in running.values():
                contender.run()
        for value, contender in running.items():
            milliseconds = 1e3 * np.median(contender.seconds)
            yield {"axis": axis, "value": value, "work": name, "milliseconds": f"{milliseconds:.3g}", "peak MiB": round(contender.peak)}


# -- the report ---------------------------------------------------------------------------------------------------------------------


def machine() -> str:
    """The machine in one line."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}, NumPy {np.__version__}"


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf8") as out:
        table = csv.DictWriter(out, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def show(rows: list[dict[str, Any]]) -> None:
    for i, row in enumerate(rows):
        if i == 0 or row["work"] != rows[i - 1]["work"]:
            print(f"\n{row['work']}")
        print(f"  {row['contender']:44s} {row['milliseconds']:>9s} ms   ours/theirs {row['ours/theirs']:>5s} ({row['quartiles']})  {row['note']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="only work whose name contains this; then nothing is written")
    arguments = parser.parse_args()
    print(machine())
    rows: list[dict[str, Any]] = []
    chosen = [work for work in works() if arguments.only in work.name]
    for work in tqdm(chosen, disable=None):
        found = measure(work, arguments.rounds)
        show(found)
        rows += found
    if arguments.only:
        return
    grew = list(tqdm(growth(arguments.rounds), desc="growth", disable=None))
    write(RECORDED / "speed.csv", rows)
    write(RECORDED / "speed_growth.csv", grew)
    versions = {peer: version(peer) for peer in PEERS if (ENVIRONMENTS / peer / "ready").exists()}
    about = {"command": "make bench", "machine": machine(), "peers": versions}
    (RECORDED / "speed_machine.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf8")
    for row in grew:
        print("  ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
