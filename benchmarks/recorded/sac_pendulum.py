"""Record how soft actor–critic learns Pendulum-v1: this library's and Stable-Baselines3's, over seeds, into sac_pendulum.json.

    python benchmarks/recorded/sac_pendulum.py                                     ours (two minutes); what the file has of others stays
    python benchmarks/recorded/sac_pendulum.py --peers PYTHON  the peers' too (40 minutes)

The peers' interpreter is one of a separate environment (pip install torch==2.13.0 stable-baselines3 gymnasium[classic-control]).  All
agents have the same networks (64 × 64, ReLU) and batch (256), one update a step, and every 1,000 steps play 20 episodes with the mean
action from the same 20 starts.  Stable-Baselines3 runs twice: as it comes, and with our settings.  Ours were chosen on seeds 10 to 39,
which are not recorded here.
The file holds no times and no machine's name; benchmarks/sac.py measures speed.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy and torch start their threads

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

FILE = Path(__file__).parents[2] / "lib/soft_optimality/recorded/sac_pendulum.json"
SEEDS, EVERY, STEPS, EPISODES, FIRST_START = range(10), 1_000, 10_000, 20, 1_000
AGENTS = {
    "soft_optimality": "so.SAC with its defaults: learning rate 1e-3, averaging 0.01, 256 random steps first",
    "stable_baselines3": "SAC with its defaults but for net_arch=[64, 64]: learning rate 3e-4, averaging 0.005, 100 random steps first",
    "stable_baselines3_our_settings": "the same with learning rate 1e-3, averaging 0.01, 256 random steps first",
    "cleanrl_style": "the PyTorch loop of benchmarks/sac.py: learning rates 1e-3 (critics, temperature) and 3e-4 (policy), 256 random steps first",
}


def ours(seed: int) -> dict[str, Any]:
    from soft_optimality.sac import SAC

    agent = SAC(gymnasium.make("Pendulum-v1"), rng=np.random.default_rng(seed))
    returns, temperatures = [], []
    while agent.steps < STEPS:
        agent.learn(EVERY, progress=False)
        returns.append(agent.evaluate(EPISODES, seed=FIRST_START).mean())
        temperatures.append(agent.temperature)
    return record("soft_optimality", seed, returns, temperatures, agent.episode_returns)


def stable_baselines3(name: str, seed: int) -> dict[str, Any]:
    import torch
    from stable_baselines3 import SAC

    torch.set_num_threads(1)
    options = {"learning_rate": 1e-3, "tau": 0.01, "learning_starts": 256} if name == "stable_baselines3_our_settings" else {}
    model = SAC("MlpPolicy", gymnasium.make("Pendulum-v1"), policy_kwargs={"net_arch": [64, 64]}, seed=seed, device="cpu", **options)
    assert model.batch_size == 256
    env, returns, temperatures = gymnasium.make("Pendulum-v1"), [], []
    for _ in range(STEPS // EVERY):
        model.learn(EVERY, reset_num_timesteps=False)
        returns.append(np.mean([play(env, lambda x: model.predict(x, deterministic=True)[0], FIRST_START + i) for i in range(EPISODES)]))
        temperatures.append(float(torch.exp(model.log_ent_coef.detach())))
    return record(name, seed, returns, temperatures, [episode["r"] for episode in model.ep_info_buffer])


def cleanrl_style(seed: int) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from sac import CleanRL

    agent, env, returns, temperatures = CleanRL(gymnasium.make("Pendulum-v1"), seed), gymnasium.make("Pendulum-v1"), [], []
    while agent.steps < STEPS:
        agent.learn(EVERY)
        returns.append(np.mean([play(env, agent.mean, FIRST_START + i) for i in range(EPISODES)]))
        temperatures.append(float(np.exp(agent.log_eta.item())))
    return record("cleanrl_style", seed, returns, temperatures, [])


def play(env: gymnasium.Env, act: Any, start: int) -> float:
    """The return of one episode: what SAC.evaluate does."""
    observation, total, over = env.reset(seed=start)[0], 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        total, over = total + float(reward), terminated or truncated
    return total


def record(agent: str, seed: int, returns: list, temperatures: list, episodes: list) -> dict[str, Any]:
    rounded = {"evaluation_return": (returns, 2), "temperature": (temperatures, 4), "training_return": (episodes, 1)}
    return {"agent": agent, "seed": seed, **{key: [round(float(x), digits) for x in values] for key, (values, digits) in rounded.items()}}


def store(runs: dict[tuple[str, int], dict[str, Any]]) -> None:
    """One line a run, so that a difference between two files can be read."""
    about = {
        "command": "python benchmarks/recorded/sac_pendulum.py --peers PYTHON",
        "environment": "Pendulum-v1",
        "networks": "64 x 64, ReLU; batch 256; one update a step",
        "agents": AGENTS,
        "seeds": list(SEEDS),
        "steps": list(range(EVERY, STEPS + 1, EVERY)),
        "evaluation_return": f"mean over {EPISODES} episodes with the mean action, starts env.reset(seed={FIRST_START} + i), at each of `steps`",
        "temperature": "learned, at each of `steps`",
        "training_return": "of each training episode, in order (cleanrl_style: not kept)",
    }
    lines = ",\n".join("    " + json.dumps(run) for _, run in sorted(runs.items()))
    FILE.write_text(json.dumps(about, indent=2)[:-2] + ',\n  "runs": [\n' + lines + "\n  ]\n}\n")


def report(runs: dict[tuple[str, int], dict[str, Any]]) -> None:
    for agent in AGENTS:
        last = np.array([run["evaluation_return"][-1] for (name, _), run in sorted(runs.items()) if name == agent])
        if len(last) > 1:
            error = last.std(ddof=1) / np.sqrt(len(last))
            print(f"{agent:32s} {len(last)} seeds at {STEPS} steps: mean {last.mean():8.2f} ± {error:.2f} (standard error), worst {last.min():8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="an interpreter that has stable_baselines3")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, help="default: ours, and with --peers all")
    parser.add_argument("--one", nargs=2, metavar=("AGENT", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, seed = arguments.one[0], int(arguments.one[1])
        print(json.dumps(cleanrl_style(seed) if name == "cleanrl_style" else stable_baselines3(name, seed)))
        return
    runs = {(run["agent"], run["seed"]): run for run in json.loads(FILE.read_text())["runs"]} if FILE.exists() else {}
    for agent in arguments.agents or (AGENTS if arguments.peers else ["soft_optimality"]):
        for seed in SEEDS:
            if agent == "soft_optimality":
                run = ours(seed)
            else:
                command = [arguments.peers, __file__, "--one", agent, str(seed)]
                run = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
            runs[agent, seed] = run
            print(agent, seed, run["evaluation_return"], file=sys.stderr, flush=True)
            store(runs)
    report(runs)


if __name__ == "__main__":
    main()
