"""Record how soft Q-learning learns, over ten seeds, into tabular_q.json: for chapter 8 and for its LearningExplorer.

    python benchmarks/recorded/tabular_q.py          everything (a few minutes)
    python benchmarks/recorded/tabular_q.py grid     one part; the others stay as the file has them

Seeds 0 to 9 throughout: run s of each setting draws from np.random.default_rng(s).  The file holds no times and no machine's name.  Its parts:

grid      a gridworld of S states (so.worlds.gridworld(rows, **options); states are its cells that are not walls, row by row; actions north, east,
          south, west), learned from samples under several settings.  `temperature` η; the prior is uniform.
            steps       (K,) after how many steps each snapshot was taken
            exact       {"soft": (S, A), "hard": (S, A)} the planner's Q
            settings    a list; each one has
              name, label   a short name, and the words for a menu
              arguments     of so.soft_q_learning, as far as they differ from the first setting's
              answer        "soft" or "hard": which of the two exact Q it aims at
              errors        (10, K) max |Q − exact| over the pairs an episode can visit, of each seed
              v_errors      (10, K) max |V − exact| over the states that are not terminal, of each seed: blind to actions that are never good
              returns       (10, K) expected discounted return of the snapshot's policy (Boltzmann, or greedy), computed exactly, of each seed
              q_mean        (K, S, A) mean of Q over the ten seeds
              q_seeds       (2, K, S, A) Q of seeds 0 and 1
            Q is rounded to 2 digits.  π = softmax(Q/η) for "soft", argmax for "hard"; V = η log mean exp(Q/η), or max; V = 0 at terminal states.
lake      FrozenLake-v1 (slippery): `best`, the largest chance to reach the goal within 100 steps, and for each setting `reached` (10, K), the
          chance of the policy in hand at `steps`, exact from the table
goals     a maze whose goal changes from episode to episode, with and without hindsight: `reached` (10, K), the chance to be at the goal within
          30 steps of the greedy policy in hand at `steps`, exact, mean over starts and goals
car       MountainCar-v0 with tile features: `returns` (10, K), mean return of the last 20 episodes that ended by `steps`
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts its threads

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import soft_optimality as so
from soft_optimality.hindsight import goal_world
from soft_optimality.linear_q import TileFeatures, linear_soft_q_learning
from soft_optimality.q_learning import decaying

FILE = Path(__file__).parents[2] / "lib/soft_optimality/recorded/tabular_q.json"
SEEDS = range(10)
QUARTERS = [0.25] * 4

ROWS, TEMPERATURE = ["...G", ".#.X", "...."], 0.5
OPTIONS = {"slip": 0.2, "step_reward": -0.5, "goal_reward": 5.0, "cliff_reward": -5.0, "discount": 0.9}
MARKS = [50, 100, 200, 500, 1000, 2000, 4000, 8000, 15_000, 30_000]
SCHEDULES: dict[str, Any] = {"decaying(0.7)": decaying(0.7), "decaying(1.0)": decaying(1.0), "decaying(1.0, hold=20)": decaying(1.0, 20)}
SETTINGS = [  # name, label, arguments; first of all come the first one's
    ("soft", "soft, uniform behavior", {"behavior": 1.0, "step_size": "decaying(1.0, hold=20)"}),
    ("soft_own", "soft, its own policy acts", {"behavior": 0.0}),
    ("hard", "hard, uniform behavior", {"temperature": 0.0}),
    ("hard_greedy", "hard, ε-greedy (ε = 0.1)", {"temperature": 0.0, "behavior": 0.1}),
    ("constant", "step size 0.1", {"step_size": 0.1}),
    ("one_over_n", "step size 1/n", {"step_size": "decaying(1.0)"}),
    ("root", "step size 1/n^0.7", {"step_size": "decaying(0.7)"}),
    ("double", "double", {"double": True}),
    ("dueling", "dueling", {"dueling": True}),
    ("replay", "replay, 4 a step", {"replay": 30_000, "batch": 4}),
    ("n_step_own", "3-step, its own policy acts", {"behavior": 0.0, "n_step": 3}),
    ("n_step_off", "3-step, uniform behavior", {"n_step": 3}),
    ("n_step_path", "2-step, V − Q between", {"n_step": 2, "n_step_entropy": "policy"}),
]


def rounded(values: Any, digits: int) -> Any:
    return (np.round(np.asarray(values, dtype=float), digits) + 0.0).tolist()


def grid() -> dict[str, Any]:
    world = so.worlds.gridworld(ROWS, **OPTIONS)
    exact = {"soft": so.soft_value_iteration(world, TEMPERATURE, prior=QUARTERS).q, "hard": so.value_iteration(world).q}
    return {
        "rows": ROWS, "options": OPTIONS, "temperature": TEMPERATURE, "steps": MARKS, "exact": {k: rounded(q, 3) for k, q in exact.items()},
        "settings": [grid_setting(world, *setting) for setting in SETTINGS],
    }  # fmt: skip


def grid_setting(world: so.worlds.Gridworld, name: str, label: str, arguments: dict[str, Any]) -> dict[str, Any]:
    print("grid:", name, file=sys.stderr, flush=True)
    given = {"temperature": TEMPERATURE, **SETTINGS[0][2], **arguments}
    given["step_size"] = SCHEDULES.get(given["step_size"], given["step_size"])
    hard = given["temperature"] == 0
    prior = None if hard else np.full(world.shape, 0.25)
    runs = [
        so.soft_q_learning(world, steps=MARKS[-1], rng=np.random.default_rng(s), snapshots=MARKS, prior=prior, progress=False, **given)
        for s in SEEDS
    ]
    act = so.backups.greedy_policy if hard else lambda q: so.backups.boltzmann_policy(q, TEMPERATURE)
    value = so.backups.hard_v if hard else lambda q: so.backups.soft_v(q, TEMPERATURE, prior)
    v_errors = [[np.abs(value(q) - value(run.exact))[~world.terminal].max() for q in run.snapshots] for run in runs]
    return {
        "name": name, "label": label, "arguments": arguments, "answer": "hard" if hard else "soft",
        "errors": rounded([run.errors for run in runs], 3), "v_errors": rounded(v_errors, 3),
        "returns": rounded([[so.expected_return(world, act(q)) for q in run.snapshots] for run in runs], 3),
        "q_mean": rounded(np.mean([run.snapshots for run in runs], axis=0), 2),
        "q_seeds": rounded([run.snapshots for run in runs[:2]], 2),
    }  # fmt: skip


def lake() -> dict[str, Any]:
    env = gymnasium.make("FrozenLake-v1")
    table, marks = so.worlds.from_gymnasium(env), [500, 1000, 2000, 5000, 10_000, 20_000, 40_000, 80_000]
    found = {}
    for name, temperature, start in (("soft", 0.001, 1.0), ("hard", 0.0, 1.0), ("soft_from_0", 0.001, 0.0), ("warm", 0.01, 1.0)):
        print("lake:", name, file=sys.stderr, flush=True)
        runs = [
            so.soft_q_learning(
                env, temperature, steps=marks[-1], discount=0.99, prior=QUARTERS if temperature else None, behavior=0.3, snapshots=marks,
                step_size=decaying(0.8, 20), start=np.full((16, 4), start), rng=np.random.default_rng(s), progress=False,
            )
            for s in SEEDS
        ]  # fmt: skip
        act = (lambda q, t=temperature: so.backups.boltzmann_policy(q, t)) if temperature else so.backups.greedy_policy
        found[name] = {
            "temperature": temperature, "start": start,
            "reached": rounded([[so.occupancy(table, act(q), 101)[-1, 15].sum() for q in run.snapshots] for run in runs], 4),
        }  # fmt: skip
    best = so.value_iteration(table, horizon=100).v[0, 0]
    return {"environment": "FrozenLake-v1", "steps": marks, "best": round(float(best), 4), "settings": found}


def goals() -> dict[str, Any]:
    maze = so.worlds.gridworld(["..#..", ".#...", "....#", ".#..G"])
    world = goal_world(so.MDP(maze.transition, np.zeros(maze.shape), maze.initial), discount=0.95)
    marks = [500, 1000, 2000, 4000, 8000, 15_000, 30_000]
    arrived = np.isin(np.arange(world.n_states), np.arange(len(world.goals)) * world.places + world.goals)
    found = {}
    for name, hindsight in (("plain", 0), ("hindsight", 4)):
        print("goals:", name, file=sys.stderr, flush=True)
        runs = [
            so.soft_q_learning(
                world, 0.05, steps=marks[-1], prior=QUARTERS, behavior=0.2, step_size=0.5, hindsight=hindsight, episode_steps=30, snapshots=marks,
                rng=np.random.default_rng(s), exact=np.zeros(world.shape), progress=False,
            )
            for s in SEEDS
        ]  # fmt: skip
        greedy = so.backups.greedy_policy
        found[name] = {
            "hindsight": hindsight,
            "reached": rounded([[so.occupancy(world, greedy(q), 31)[-1, arrived].sum() for q in run.snapshots] for run in runs], 4),
        }
    return {"rows": list(maze.rows), "steps": marks, "settings": found}


def car() -> dict[str, Any]:
    env = gymnasium.make("MountainCar-v0")
    tiles, marks, found = TileFeatures(env.observation_space.low, env.observation_space.high), list(range(5000, 60_001, 5000)), {}
    for name, temperature in (("hard", 0.0), ("soft", 0.05), ("warm", 0.2), ("hot", 0.5)):
        print("car:", name, file=sys.stderr, flush=True)
        runs = [
            linear_soft_q_learning(
                env, tiles, temperature, steps=marks[-1], step_size=0.3, discount=1.0, rng=np.random.default_rng(s), progress=False
            ) for s in SEEDS
        ]  # fmt: skip
        returns = [[run.returns[run.episode_ends <= m][-20:].mean() for m in marks] for run in runs]
        found[name] = {"temperature": temperature, "returns": rounded(returns, 1)}
    return {"environment": "MountainCar-v0", "steps": marks, "settings": found}


PARTS = {"grid": grid, "lake": lake, "goals": goals, "car": car}


def store(parts: dict[str, Any]) -> None:
    """One line a setting, so that a difference between two files can be read."""

    def lines(value: Any, depth: int) -> str:
        if depth == 0 or not value or not isinstance(value, (dict, list)) or not isinstance(next(iter(value)), (str, dict)):
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        rows = [f"{json.dumps(k)}: {lines(v, depth - 1)}" for k, v in value.items()] if isinstance(value, dict) else [lines(v, 0) for v in value]
        return "{["[isinstance(value, list)] + "\n" + ",\n".join(rows) + "\n" + "}]"[isinstance(value, list)]

    about = {"command": "python benchmarks/recorded/tabular_q.py", "seeds": list(SEEDS)}
    FILE.write_text(lines({**about, **{name: parts[name] for name in PARTS if name in parts}}, 3) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default all")
    wanted = parser.parse_args().parts or list(PARTS)
    parts = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in wanted:
        parts[name] = PARTS[name]()
        store(parts)


if __name__ == "__main__":
    main()
