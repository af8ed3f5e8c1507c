"""Floor 2: worlds small enough to see through, and Gymnasium's own tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from .hmm import HMM
from .mdp import MDP
from .numerics import Floats, as_count, as_number

NORTH, EAST, SOUTH, WEST = range(4)
MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])  # (row, column) by action: north, east, south, west
LETTERS = {".": "floor", "#": "wall", "S": "start", "G": "goal", "X": "cliff"}


@dataclass(frozen=True, eq=False, repr=False)
class Gridworld(MDP):
    """An MDP that knows its map.  Its states are the cells that are not walls, row by row; its actions north, east, south, west.

    rows   the text map
    cells  (S, 2) row and column of each state
    """

    rows: tuple[str, ...] = ()
    cells: np.ndarray = None  # type: ignore[assignment]

    def state(self, row: int, column: int) -> int:
        """The state at a cell.  ValueError for a wall or a place off the map."""
        found = np.flatnonzero((self.cells == (row, column)).all(axis=1))
        if len(found) == 0:
            raise ValueError(f"(row, column) = ({row}, {column}): a wall, or not on the map")
        return int(found[0])

    def where(self, letter: str) -> np.ndarray:
        """The states whose cell has this letter."""
        return np.flatnonzero([self.rows[r][c] == letter for r, c in self.cells])

    def to_map(self, values: ArrayLike) -> Floats:
        """Numbers of the states laid out on the map, NaN at walls.  (S,) -> (rows, columns)"""
        picture = np.full((len(self.rows), len(self.rows[0])), np.nan)
        picture[tuple(self.cells.T)] = values
        return picture


def gridworld(
    rows: Sequence[str],
    *,
    slip: float = 0.0,
    step_reward: float = -1.0,
    goal_reward: float = 0.0,
    cliff_reward: float = -50.0,
    discount: float = 1.0,
) -> Gridworld:
    """A gridworld from a text map: `.` floor, `#` wall, `S` start, `G` goal, `X` cliff.

    A move goes as intended with probability 1 − slip, and to either side of it with slip/2; against a wall or the edge it stays put.
    Each move pays step_reward, and on top of it goal_reward or cliff_reward (-inf: forbidden) on arrival at G or X, which are terminal.  The first
    state is uniform over the S cells, or over all floor cells where the map has no S.  ValueError for an unknown letter, ragged rows,
    a map without a goal or without a cell to start in, and numbers out of range.
    """
    slip = as_number("slip", slip, 0.0, 1.0)
    step_reward, goal_reward = as_number("step_reward", step_reward, -np.inf), as_number("goal_reward", goal_reward, -np.inf)
    if cliff_reward != -np.inf:  # which forbids the cliff
        cliff_reward = as_number("cliff_reward", cliff_reward, -np.inf)
    letters = _read_map(rows)
    inside = letters != "#"
    cells = np.argwhere(inside)
    index = np.full(letters.shape, -1)
    index[inside] = np.arange(len(cells))
    kind = letters[inside]

    there = cells[:, None, :] + MOVES  # (S, 4, 2)
    held = ((there < 0) | (there >= letters.shape)).any(axis=2)
    there = np.where(held[:, :, None], cells[:, None, :], there)
    landing = index[there[..., 0], there[..., 1]]
    landing = np.where(landing < 0, np.arange(len(cells))[:, None], landing)  # (S, 4): where each direction leads

    turns = np.array([0, 1, -1])  # as intended, to the right, to the left
    to = landing[:, (np.arange(4)[:, None] + turns) % 4]  # (S, 4, 3)
    chance = np.broadcast_to([1 - slip, slip / 2, slip / 2], to.shape)
    shape = (4 * len(cells), len(cells))
    pairs = np.repeat(np.arange(shape[0]), 3)
    transition = sp.csr_array((chance.ravel(), (pairs, to.ravel())), shape=shape)  # equal landings add up
    transition.sum_duplicates()
    transition.eliminate_zeros()
    arrival = np.select([kind == "G", kind == "X"], [goal_reward, cliff_reward], 0.0)
    reward = sp.csr_array((step_reward + arrival[transition.indices], transition.indices, transition.indptr), shape=shape)

    starts = kind == "S" if (kind == "S").any() else kind == "."
    return Gridworld(
        transition=transition,
        reward=reward,
        initial=starts / starts.sum(),
        discount=discount,
        terminal=np.isin(kind, ["G", "X"]),
        rows=tuple(str(row) for row in rows),
        cells=cells,
    )


def _read_map(rows: Sequence[str]) -> np.ndarray:
    if isinstance(rows, str) or len(rows) == 0 or not all(isinstance(row, str) and row for row in rows):
        raise ValueError(f"rows = {rows!r}: expected a list of text rows, such as ['..G', 'S#X']")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"rows[{i}] = {row!r}: has {len(row)} cells where rows[0] has {len(rows[0])}")
        for j, letter in enumerate(row):
            if letter not in LETTERS:
                known = ", ".join(f"{key} {name}" for key, name in LETTERS.items())
                raise ValueError(f"rows[{i}][{j}] = {letter!r}: unknown letter; known are {known}")
    letters = np.array([list(row) for row in rows])
    if not (letters == "G").any():
        raise ValueError(f"rows = {list(rows)!r}: a map without a goal (G)")
    if not np.isin(letters, [".", "S"]).any():
        raise ValueError(f"rows = {list(rows)!r}: a map without a cell to start in (S or .)")
    return letters


def lottery(*, sure: float = 1.0, win: float = 2.0, lose: float = 0.0, probability: float = 0.3) -> MDP:
    """Two doors: action 0 pays `sure`, action 1 pays `win` with the given probability and else `lose`; then the episode ends.

    States: 0 the choice, 1 sure, 2 won, 3 lost; the last three are terminal, and the reward is paid on arrival.
    """
    chance = as_number("probability", probability, 0.0, 1.0)
    paid = [as_number(name, value, -np.inf) for name, value in (("sure", sure), ("win", win), ("lose", lose))]
    transition = np.zeros((4, 2, 4))
    transition[0, 0, 1] = 1.0
    transition[0, 1, 2:] = chance, 1 - chance
    reward = np.broadcast_to([0.0, *paid], (4, 2, 4)).copy()
    return MDP(transition, reward, initial=np.eye(4)[0], terminal=np.arange(4) > 0)


def two_paths(lengths: tuple[int, int] = (2, 2), *, step_rewards: tuple[float, float] = (-1.0, -1.0), discount: float = 1.0) -> MDP:
    """A fork: action i takes path i, which ends after lengths[i] steps that pay step_rewards[i] each.

    States: 0 the fork, then the rest of path 0, the rest of path 1, and the end, which is terminal.  On a path both actions walk on,
    so with a uniform prior nothing but the fork is a choice.
    """
    steps = [as_count(f"lengths[{i}]", n) for i, n in enumerate(lengths)]
    pays = [as_number(f"step_rewards[{i}]", r, -np.inf) for i, r in enumerate(step_rewards)]
    end = sum(steps) - 1
    transition, reward = np.zeros((end + 1, 2, end + 1)), np.zeros((end + 1, 2))
    rests = np.split(np.arange(1, end), [steps[0] - 1])
    for path, rest in enumerate(rests):
        route = [0, *rest, end]
        reward[0, path], reward[rest] = pays[path], pays[path]
        transition[0, path, route[1]] = 1.0
        transition[rest, :, route[2:]] = 1.0
    return MDP(transition, reward, np.eye(end + 1)[0], discount, np.arange(end + 1) == end)


def chain(length: int = 5, *, slip: float = 0.0, step_reward: float = 0.0, goal_reward: float = 1.0, discount: float = 1.0) -> MDP:
    """A corridor of `length` cells and a goal behind the last: action 0 goes back (and stays put in the first cell), 1 goes on.

    With probability `slip` a move goes the other way.  goal_reward is paid on arrival, on top of step_reward; the goal is terminal.
    """
    length, slip = as_count("length", length), as_number("slip", slip, 0.0, 1.0)
    cells = np.arange(length)
    transition, reward = np.zeros((length + 1, 2, length + 1)), np.zeros((length + 1, 2, length + 1))
    for action, step in ((0, -1), (1, 1)):
        transition[cells, action, np.maximum(cells + step, 0)] += 1 - slip
        transition[cells, action, np.maximum(cells - step, 0)] += slip
    reward[:] = step_reward
    reward[:, :, length] += goal_reward
    return MDP(transition, reward, np.eye(length + 1)[0], discount, np.arange(length + 1) == length)


WEATHER = ("dry", "wet")
SOIL = ("dusty", "firm", "muddy")


def footpath() -> HMM:
    """A small HMM with a story: you never see the weather in the hills, only the mud on the boots of walkers who come down.

    Hidden: dry, wet (a spell of either lasts some days).  Observed each evening: dusty, firm or muddy boots.
    """
    return HMM(
        initial=np.array([0.6, 0.4]),
        transition=np.array([[0.8, 0.2], [0.3, 0.7]]),
        emission=np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]]),
    )


def from_gymnasium(env: Any, *, discount: float = 1.0) -> MDP:
    """The table of a Gymnasium environment with discrete states and actions (FrozenLake, CliffWalking, Taxi), as it is.

    Rewards stay on transitions (averaged only where one landing has several), and `terminated` leads to a terminal state.  States
    keep Gymnasium's numbers.  A state counts as terminal when each way into it, from the states an episode can visit, ends the
    episode; where one landing both ends and does not end an episode, one more terminal state, numbered last, takes the endings.
    The time limit that Gymnasium's wrappers add is no part of the table.
    """
    table, start = getattr(env.unwrapped, "P", None), getattr(env.unwrapped, "initial_state_distrib", None)
    if table is None or start is None:
        raise ValueError(f"env = {env}: has no table (`P` and `initial_state_distrib`), so its dynamics cannot be read")
    states, actions = len(table), len(table[0])
    rows = np.array([(s * actions + a, to, p, r, done) for s in range(states) for a in range(actions) for p, to, r, done in table[s][a] if p > 0])
    pair, to, chance, reward, done = rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2], rows[:, 3], rows[:, 4] > 0
    going = sp.csr_array((chance * ~done, (pair // actions, to)), shape=(states, states))
    ending = np.bincount(to, weights=done, minlength=states) > 0
    visited = np.asarray(start) > 0
    while True:
        more = visited | (visited.astype(float) @ going > 0)
        if (more == visited).all():
            break
        visited = more
    terminal = ending & ~visited
    if (ending & visited).any():  # an ending needs a state of its own
        to = np.where(done & visited[to], states, to)
        terminal = np.append(terminal, True)
    size = len(terminal)
    shape = (size * actions, size)
    paid = sp.coo_array((chance * reward, (pair, to)), shape=shape).tocsr()
    transition = sp.coo_array((chance, (pair, to)), shape=shape).tocsr()  # both add up equal landings, in the same order
    paid.data = paid.data / transition.data
    initial = np.append(start, np.zeros(size - states))
    return MDP(transition, paid, initial / initial.sum(), discount, terminal)
