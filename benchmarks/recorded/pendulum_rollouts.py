"""Record the pendulum's angle under the mean action, before and after so.SAC has learned, into pendulum_rollouts.json.

    python benchmarks/recorded/pendulum_rollouts.py          half a minute

Seed 0 of rng, so.SAC's defaults, 10,000 steps; each rollout is one episode of Pendulum-v1 from env.reset(seed=1003).
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts its threads

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from soft_optimality.sac import SAC

FILE = Path(__file__).parents[2] / "lib/soft_optimality/recorded/pendulum_rollouts.json"
SEED, START, MARKS = 0, 1003, (1_000, 3_000, 10_000)


def rollout(agent: SAC) -> dict[str, Any]:
    """Angles from upright in radians, without jumps at ±π, and the return."""
    env = gymnasium.make("Pendulum-v1")
    observation, total, over, angles = env.reset(seed=START)[0], 0.0, False, []
    while not over:
        angles.append(np.arctan2(observation[1], observation[0]))
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        total, over = total + float(reward), terminated or truncated
    return {"steps": agent.steps, "return": round(total, 1), "angles": np.unwrap(angles).round(3).tolist()}


def main() -> None:
    agent, rollouts = SAC(gymnasium.make("Pendulum-v1"), rng=np.random.default_rng(SEED)), []
    for mark in MARKS:
        agent.learn(mark - agent.steps, progress=False)
        rollouts.append(rollout(agent))
        print(rollouts[-1]["steps"], rollouts[-1]["return"])
    command = "python benchmarks/recorded/pendulum_rollouts.py"
    about = {"command": command, "environment": "Pendulum-v1", "seed": SEED, "start": START, "seconds": 10.0}
    FILE.write_text(json.dumps({**about, "rollouts": rollouts}) + "\n")


if __name__ == "__main__":
    main()
