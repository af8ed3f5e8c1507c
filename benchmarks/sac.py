"""Soft actor–critic: this library, Stable-Baselines3 and a CleanRL-style PyTorch loop, side by side on one thread.

    python benchmarks/sac.py --peers PYTHON

PYTHON is the interpreter of a separate environment (pip install torch==2.13.0 stable-baselines3 gymnasium[classic-control]).  All have
the same networks (64 × 64, ReLU) and batch (256) on Pendulum-v1.  Two speeds, the median over short rounds in which they take turns, in
processor seconds of each one's own process, so that other work on the machine counts little:

    updates/s   gradient updates alone, of critics, policy, temperature and target averages, on a filled replay
    steps/s     learning as a user meets it: a step in the environment and an update, again and again

Half of an update of ours is matrix products.  On an AMD processor with AVX-512, NumPy's OpenBLAS may not recognise it and leave half of
its speed unused; OPENBLAS_CORETYPE=SkylakeX in front of the command shows what it can do (PyTorch's MKL uses AVX-512 either way).

The returns are those that benchmarks/recorded/sac_pendulum.py recorded.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy and torch start their threads

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

RECORDED = Path(__file__).parents[1] / "lib/soft_optimality/recorded/sac_pendulum.json"
FILL = 1_000
NAMES = {"soft_optimality": "soft_optimality (NumPy)", "stable_baselines3": "Stable-Baselines3", "cleanrl_style": "CleanRL-style loop (PyTorch)"}


def soft_optimality() -> tuple[Any, Any]:
    """(n updates, n steps), as functions of n.  The same for the peers below."""
    from soft_optimality.sac import SAC

    agent = SAC(gymnasium.make("Pendulum-v1"), rng=np.random.default_rng(0))
    agent.learn(FILL, progress=False)
    return lambda n: [agent.update() for _ in range(n)], lambda n: agent.learn(n, progress=False)


def stable_baselines3() -> tuple[Any, Any]:
    import torch
    from stable_baselines3 import SAC

    torch.set_num_threads(1)
    model = SAC("MlpPolicy", gymnasium.make("Pendulum-v1"), policy_kwargs={"net_arch": [64, 64]}, learning_rate=1e-3, seed=0, device="cpu")
    model.learn(FILL)
    return lambda n: model.train(gradient_steps=n, batch_size=256), lambda n: model.learn(n, reset_num_timesteps=False)


def cleanrl_style() -> tuple[Any, Any]:
    agent = CleanRL(gymnasium.make("Pendulum-v1"), seed=0)
    agent.learn(FILL)
    return lambda n: [agent.update() for _ in range(n)], agent.learn


class CleanRL:
    """Everything in one place and in plain PyTorch, after cleanrl/sac_continuous_action.py, with its learning rates (1e-3 and 3e-4)."""

    def __init__(self, env: gymnasium.Env, seed: int, warm_up: int = 256, batch: int = 256, capacity: int = 100_000):
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.torch, self.env, self.rng, self.warm_up, self.batch = torch, env, np.random.default_rng(seed), warm_up, batch
        n, d = env.observation_space.shape[0], env.action_space.shape[0]
        mlp = lambda i, o: torch.nn.Sequential(
            torch.nn.Linear(i, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, o)
        )
        self.actor, self.q1, self.q2, self.t1, self.t2 = mlp(n, 2 * d), *(mlp(n + d, 1) for _ in range(4))
        self.t1.load_state_dict(self.q1.state_dict())
        self.t2.load_state_dict(self.q2.state_dict())
        self.log_eta = torch.zeros(1, requires_grad=True)
        self.q_adam = torch.optim.Adam([*self.q1.parameters(), *self.q2.parameters()], lr=1e-3)
        self.actor_adam, self.eta_adam = torch.optim.Adam(self.actor.parameters(), lr=3e-4), torch.optim.Adam([self.log_eta], lr=1e-3)
        self.scale, self.target_entropy = float(env.action_space.high[0]), -float(d)
        self.s, self.after = np.zeros((capacity, n), np.float32), np.zeros((capacity, n), np.float32)
        self.a, self.r, self.end = (np.zeros((capacity, k), np.float32) for k in (d, 1, 1))
        self.steps, self.seed, self.observation = 0, seed, None

    def sample(self, s: Any) -> tuple[Any, Any]:
        torch = self.torch
        mean, log_std = self.actor(s).chunk(2, dim=-1)
        log_std = -5 + 3.5 * (torch.tanh(log_std) + 1)
        normal = torch.distributions.Normal(mean, log_std.exp())
        u = normal.rsample()
        a = torch.tanh(u)
        log_density = (normal.log_prob(u) - torch.log(self.scale * (1 - a * a) + 1e-6)).sum(-1, keepdim=True)
        return a * self.scale, log_density

    def mean(self, observation: np.ndarray) -> np.ndarray:
        with self.torch.no_grad():
            return self.torch.tanh(self.actor(self.torch.as_tensor(observation)[None]).chunk(2, dim=-1)[0])[0].numpy() * self.scale

    def update(self) -> None:
        torch = self.torch
        index = self.rng.integers(min(self.steps, len(self.s)), size=self.batch)
        s, a, after, r, end = (torch.as_tensor(x[index]) for x in (self.s, self.a, self.after, self.r, self.end))
        eta = self.log_eta.exp().detach()
        with torch.no_grad():
            a_after, log_density = self.sample(after)
            x = torch.cat([after, a_after], 1)
            y = r + (1 - end) * 0.99 * (torch.min(self.t1(x), self.t2(x)) - eta * log_density)
        x = torch.cat([s, a], 1)
        loss = torch.nn.functional.mse_loss(self.q1(x), y) + torch.nn.functional.mse_loss(self.q2(x), y)
        self.q_adam.zero_grad()
        loss.backward()
        self.q_adam.step()
        action, log_density = self.sample(s)
        x = torch.cat([s, action], 1)
        loss = (eta * log_density - torch.min(self.q1(x), self.q2(x))).mean()
        self.actor_adam.zero_grad()
        loss.backward()
        self.actor_adam.step()
        loss = (-self.log_eta.exp() * (log_density.detach() + self.target_entropy)).mean()
        self.eta_adam.zero_grad()
        loss.backward()
        self.eta_adam.step()
        with torch.no_grad():
            for q, target in ((self.q1, self.t1), (self.q2, self.t2)):
                for p, t in zip(q.parameters(), target.parameters(), strict=True):
                    t.copy_(0.005 * p + 0.995 * t)

    def learn(self, steps: int) -> None:
        torch, space = self.torch, self.env.action_space
        for _ in range(steps):
            if self.observation is None:
                self.observation, _ = self.env.reset(seed=self.seed if self.steps == 0 else None)
            if self.steps < self.warm_up:
                action = self.rng.uniform(space.low, space.high).astype(np.float32)
            else:
                with torch.no_grad():
                    action = self.sample(torch.as_tensor(self.observation)[None])[0][0].numpy()
            after, reward, terminated, truncated, _ = self.env.step(action)
            i = self.steps % len(self.s)
            self.s[i], self.a[i], self.after[i], self.r[i], self.end[i] = self.observation, action, after, reward, terminated
            self.steps, self.observation = self.steps + 1, None if terminated or truncated else after
            if self.steps > self.warm_up:
                self.update()


def serve(name: str) -> None:
    """For each line "what n" on standard input, run it and answer with the seconds that it took this process."""
    update, learn = {"soft_optimality": soft_optimality, "stable_baselines3": stable_baselines3, "cleanrl_style": cleanrl_style}[name]()
    for line in sys.stdin:
        what, n = line.split()
        start = time.process_time()
        (update if what == "updates" else learn)(int(n))
        print(time.process_time() - start, flush=True)


def print_speeds(peers: str | None, rounds: int, n: int) -> None:
    interpreters = {"soft_optimality": sys.executable, "stable_baselines3": peers, "cleanrl_style": peers}
    workers = {
        name: subprocess.Popen([path, __file__, "--serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for name, path in interpreters.items()
        if path
    }
    print(
        f"Pendulum-v1, 64 × 64, batch 256, one thread; medians of {rounds} rounds of {n}; Python {platform.python_version()}, NumPy {np.__version__}"
    )
    for what in ("updates", "steps"):
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(rounds + 1):
            for name, worker in workers.items():
                assert worker.stdin and worker.stdout
                worker.stdin.write(f"{what} {n}\n")
                seconds[name].append(float(worker.stdout.readline()))
        times = {name: np.array(values[1:]) for name, values in seconds.items()}  # the first round warms up
        for name in workers:
            # each round by itself: the machine may be busier in one than in another
            low, middle, high = np.percentile(times[name] / times["soft_optimality"], [10, 50, 90])
            print(f"  {NAMES[name]:30s} {n / np.median(times[name]):7.0f} {what}/s", end="")
            print("" if name == "soft_optimality" else f"   ours: {middle:.2f} times as fast (most rounds {low:.2f} to {high:.2f})")
    for worker in workers.values():
        worker.communicate()


def print_returns() -> None:
    recorded = json.loads(RECORDED.read_text())
    print(f"Return of the mean action after {recorded['steps'][-1]} steps (recorded), mean over seeds ± standard error, and the worst seed")
    for agent in recorded["agents"]:
        last = np.array([run["evaluation_return"][-1] for run in recorded["runs"] if run["agent"] == agent])
        if len(last) > 1:
            print(f"  {agent:32s} {last.mean():8.2f} ± {last.std(ddof=1) / np.sqrt(len(last)):.2f}   {last.min():8.2f}   {len(last)} seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="an interpreter that has stable_baselines3")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--n", type=int, default=300, help="updates, and steps, in a round")
    parser.add_argument("--serve", choices=NAMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    print_speeds(arguments.peers, arguments.rounds, arguments.n)
    print_returns()


if __name__ == "__main__":
    main()
