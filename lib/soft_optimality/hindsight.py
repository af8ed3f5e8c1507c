"""Floor 4: worlds with many goals, and hindsight relabelling (Andrychowicz et al. 2017): learn what a path would have taught, had its goal
been a place that it reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import scipy.sparse as sp

from .mdp import MDP
from .numerics import as_count, as_number
from .sampling import Path, Step


@dataclass(frozen=True, eq=False, repr=False)
class GoalWorld(MDP):
    """An MDP whose state is a place and a goal: state g·N + p means "at place p, on the way to goals[g]".  It ends on arrival.

    goals   (G,) the places that may be a goal
    places  N
    """

    goals: np.ndarray = None  # type: ignore[assignment]
    places: int = 0
    step_reward: float = -1.0
    goal_reward: float = 0.0

    def aim(self, state: int, place: int) -> int | None:
        """The same place with another goal in mind, `place`; None where that is no goal."""
        g = np.flatnonzero(self.goals == place)
        return int(g[0]) * self.places + state % self.places if len(g) else None


def goal_world(
    mdp: MDP, goals: Sequence[int] | None = None, *, step_reward: float = -1.0, goal_reward: float = 0.0, discount: float = 0.95
) -> GoalWorld:
    """The dynamics of `mdp` with a goal to reach, drawn anew in each episode.

    Each move pays step_reward, and goal_reward on top of it on arrival; the rewards of `mdp` are not used, and it must not forbid actions.
    Its terminal states end the episode whatever the goal.  goals: places (default all that are not terminal).  The episode starts in
    `mdp.initial`, away from the goal.
    """
    places, actions = mdp.shape
    if not np.isfinite(mdp.mean_reward).all():
        raise ValueError("mdp: a reward of -inf forbids an action; goal_world does not use its rewards")
    chosen = np.flatnonzero(~mdp.terminal) if goals is None else np.array([as_count(f"goals[{i}]", g, 0) for i, g in enumerate(goals)])
    if len(chosen) == 0 or chosen.max() >= places or len(np.unique(chosen)) < len(chosen):
        raise ValueError(f"goals = {goals!r}: must be different states below {places}")
    step, bonus = as_number("step_reward", step_reward, -inf), as_number("goal_reward", goal_reward, -inf)
    moves = sp.csr_array(mdp.transition if sp.issparse(mdp.transition) else mdp.transition.reshape(places * actions, places))
    transition = sp.csr_array(sp.block_diag([moves] * len(chosen), format="csr"))
    arrived = (np.arange(places) == chosen[:, None]).ravel()
    ends = arrived | np.tile(mdp.terminal, len(chosen))
    first = np.where(ends, 0.0, np.tile(mdp.initial, len(chosen)))
    if first.sum() == 0:
        raise ValueError(f"goals = {goals!r}: every episode would start at its goal")
    paid = step + np.where(arrived[transition.indices], bonus, 0.0)
    reward = sp.csr_array((paid, transition.indices, transition.indptr), shape=transition.shape)
    return GoalWorld(transition, reward, first / first.sum(), discount, ends, goals=chosen, places=places, step_reward=step, goal_reward=bonus)


def look_back(world: GoalWorld, episode: Sequence[Step], last: int, count: int, n_step: int, rng: np.random.Generator) -> Iterator[Path]:
    """From each step of an episode that ended in the state `last`: its path of n steps again, towards `count` places reached later on."""
    visited = [*(step.state for step in episode), last]
    for t in range(len(episode)):
        for later in rng.integers(t + 1, len(visited), size=count).tolist():
            path = _relabelled(world, episode[t : t + n_step], visited[t : t + n_step + 1], visited[later] % world.places)
            if path is not None:
                yield path


def _relabelled(world: GoalWorld, steps: Sequence[Step], visited: Sequence[int], goal: int) -> Path | None:
    """The same moves with another goal, up to arrival; None where the place is no goal, or where they start at it."""
    here = world.aim(visited[0], goal)
    if here is None or world.terminal[here]:
        return None
    taken: list[Step] = []
    for step, after in zip(steps, visited[1:], strict=True):
        there = world.aim(after, goal)
        assert there is not None
        reward = world.step_reward + world.goal_reward * (after % world.places == goal)
        taken.append(step._replace(state=here, reward=reward))
        here = there
        if world.terminal[here]:
            break
    return Path(tuple(taken), here, bool(world.terminal[here]))
