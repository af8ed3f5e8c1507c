"""The explorers' static pictures: small SVGs for paper and for pages without JavaScript."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from ..backups import boltzmann_policy, soft_v
from ..hmm import HMM
from ..planning import Plan
from ..worlds import MOVES, Gridworld

BLUE, ORANGE, INK, GREY = "#0072b2", "#d55e00", "#23272e", "#8a93a3"
CELL = {"#": "#5b6270", "X": "#b33c2a", "G": "#1c7c54"}


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">{"".join(parts)}</svg>'
    )


def sentence(text: str) -> str:
    """A text where there is nothing to draw."""
    lines = textwrap.wrap(text, 70)
    return _svg(480, 20 * len(lines) + 12, (f'<text x="4" y="{20 * i + 20}">{html.escape(line)}</text>' for i, line in enumerate(lines)))


def _path(points: Iterable[tuple[float, float]], color: str, dash: str = "") -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="2"{f" stroke-dasharray={chr(34)}{dash}{chr(34)}" if dash else ""}/>'


def gridworld(world: Gridworld, plan: Plan) -> str:
    """The map, the first step's values as shades and its policy as arrows."""
    size = 40
    v, policy = (plan.v, plan.policy) if plan.v.ndim == 1 else (plan.v[0], plan.policy[0])
    floor = ~world.terminal & np.isfinite(v)
    low, spread = v[floor].min(initial=np.inf), max(np.ptp(v[floor]) if floor.any() else 0.0, 1e-12)
    shades = dict(zip(map(tuple, world.cells.tolist()), np.where(floor, 0.05 + 0.5 * (v - low) / spread, 0.05), strict=True))
    parts = []
    for r, row in enumerate(world.rows):
        for c, letter in enumerate(row):
            fill, opacity = (CELL[letter], 1.0) if letter in CELL else (BLUE, shades[r, c])
            parts.append(
                f'<rect x="{c * size}" y="{r * size}" width="{size}" height="{size}" fill="{fill}" fill-opacity="{opacity:.2f}" stroke="{GREY}"/>'
            )
            if letter in "GX":
                parts.append(f'<text x="{(c + 0.5) * size}" y="{(r + 0.6) * size}" text-anchor="middle" fill="#fff">{letter}</text>')
    for s in np.flatnonzero(~world.terminal):
        r, c = world.cells[s]
        for a, (down, right) in enumerate(MOVES):
            if policy[s, a] > 0.05:
                x, y, reach = (c + 0.5) * size, (r + 0.5) * size, 0.42 * size * policy[s, a]
                parts.append(_path([(x, y), (x + right * reach, y + down * reach)], INK))
    return _svg(size * len(world.rows[0]), size * len(world.rows), parts)


def weather(noise: float, stickiness: float, observations: Sequence[int]) -> str:
    """Filtered probabilities as bars, smoothed ones as dots."""
    model = HMM(
        initial=np.array([0.5, 0.5]),
        transition=np.array([[stickiness, 1 - stickiness], [1 - stickiness, stickiness]]),
        emission=np.array([[1 - noise, noise], [noise, 1 - noise]]),
    )
    filtered, smoothed = model.filter(observations)[:, 1], model.smooth(observations)[:, 1]
    step, height = 44, 120
    parts = []
    for day, (f, s, boots) in enumerate(zip(filtered, smoothed, observations, strict=True)):
        x = day * step
        parts.append(f'<rect x="{x + 10}" y="{height * (1 - f) + 10:.1f}" width="24" height="{height * f:.1f}" fill="{BLUE}" fill-opacity=".6"/>')
        parts.append(f'<circle cx="{x + 22}" cy="{height * (1 - s) + 10:.1f}" r="4" fill="{ORANGE}"/>')
        parts.append(f'<text x="{x + 22}" y="{height + 26}" text-anchor="middle" font-size="10">{("clean", "muddy")[boots]}</text>')
    return _svg(step * len(observations), height + 34, parts)


def lottery(sure: float, win: float, lose: float, probability: float) -> str:
    """The gamble's two values against temperature, and the sure door."""
    temperatures = np.geomspace(0.05, 50, 61)
    odds = np.array([[probability, 1 - probability]])
    worth = [soft_v(np.array([[win, lose]]), eta, odds)[0] for eta in temperatures]
    mean = probability * win + (1 - probability) * lose
    low, high = min(win, lose, sure), max(win, lose, sure, min(win, lose, sure) + 0.5)

    def y(value: float) -> float:
        return 150 - 130 * (value - low) / (high - low)

    curve = [(20 + 440 * i / 60, y(value)) for i, value in enumerate(worth)]
    labels = f'<text x="24" y="170">η = 0.05</text><text x="410" y="170">η = 50</text><text x="400" y="{y(sure) - 6:.1f}">sure</text>'
    levels = [_path([(20, y(mean)), (460, y(mean))], BLUE), _path([(20, y(sure)), (460, y(sure))], INK, "6 4")]
    return _svg(480, 180, [_path(curve, ORANGE), *levels, labels])


def backup(values: Sequence[float], temperature: float) -> str:
    """Q-values as bars, the hard and the soft maximum as lines, the policy in numbers."""
    q = np.array([values])
    policy, soft = boltzmann_policy(q, temperature)[0], float(soft_v(q, temperature)[0])

    def y(value: float) -> float:
        return 90 - 36 * float(np.clip(value, -2.2, 2.2))

    parts = []
    for a, (value, p) in enumerate(zip(values, policy, strict=True)):
        top, height = min(y(value), y(0)), abs(y(value) - y(0))
        parts.append(f'<rect x="{20 + 70 * a}" y="{top:.1f}" width="44" height="{height:.1f}" fill="{BLUE}" fill-opacity=".5"/>')
        parts.append(f'<text x="{42 + 70 * a}" y="184" text-anchor="middle">{p:.3f}</text>')
    width = 20 + 70 * len(values)
    parts += [_path([(10, y(max(values))), (width, y(max(values)))], INK), _path([(10, y(soft)), (width, y(soft))], ORANGE)]
    return _svg(width + 20, 194, parts)


def learning(steps: Sequence[int], curves: Sequence[tuple[str, Sequence[Sequence[float]]]]) -> str:
    """The median over seeds of each setting, against the logarithm of the steps."""
    medians = [np.median(np.array(runs), axis=0) for _, runs in curves]
    low, high = min(m.min() for m in medians), max(m.max() for m in medians)
    across = 40 + 420 * np.log(np.array(steps) / steps[0]) / max(np.log(steps[-1] / steps[0]), 1e-12)
    parts = []
    for i, ((label, _), median) in enumerate(zip(curves, medians, strict=True)):
        color = (BLUE, ORANGE)[i]
        parts.append(_path(zip(across, 150 - 130 * (median - low) / max(high - low, 1e-12), strict=True), color, "6 4" if i else ""))
        parts.append(f'<text x="{60 + 210 * i}" y="192" fill="{color}">{html.escape(label)}</text>')
    parts.append(f'<text x="4" y="24">{high:.2f}</text><text x="4" y="154">{low:.2f}</text>')
    parts.append(f'<text x="40" y="172">{steps[0]} steps</text><text x="400" y="172">{steps[-1]} steps</text>')
    return _svg(480, 200, parts)
