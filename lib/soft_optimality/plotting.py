"""Floor 5: the figures' shared style, gridworlds, and graphical models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from numpy.typing import ArrayLike

from .worlds import MOVES, Gridworld

# One colour for each idea, in every figure of the book; told apart in grey and by colour-blind readers (after Okabe and Ito).
COLORS = {
    "hard": "#404650",
    "soft": "#0072b2",
    "optimistic": "#d55e00",
    "exact": "#009e73",
    "prior": "#999999",
    "accent": "#cc79a7",
}
INK, PAPER, WALL, CLIFF, GOAL = "#23272e", "#ffffff", "#5b6270", "#b33c2a", "#1c7c54"
VALUES = LinearSegmentedColormap.from_list("values", ["#fbf3e4", "#cfe0d8", "#7fb8cf", "#4d8fb8"])  # light: ink stays legible on it
_HALO = [patheffects.withStroke(linewidth=2.6, foreground=PAPER)]  # arrows stay visible on dark cells


def use_style() -> None:
    """Set the book's look for all figures that follow."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.4),
            "figure.dpi": 120,
            "figure.facecolor": PAPER,
            "figure.constrained_layout.use": True,
            "savefig.bbox": None,
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e3e6ea",
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=[COLORS[k] for k in ("soft", "optimistic", "hard", "exact", "accent", "prior")]),
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "image.cmap": "cividis",
        }
    )


def draw_gridworld(
    world: Gridworld,
    values: ArrayLike | None = None,
    policy: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    title: str = "",
    limits: tuple[float, float] | None = None,
    numbers: str | None = None,
    label: str | None = None,
) -> Axes:
    """The map of a gridworld: `values` (S,) as colour, `policy` (S, A) as arrows whose length is the probability.

    limits   the values at the two ends of the colour scale; default the smallest and the largest finite value of floor cells
    numbers  a format such as "{:.1f}" writes each floor cell's value into it
    label    adds a colour bar with this label
    """
    if ax is None:
        height, width = len(world.rows), len(world.rows[0])
        ax = plt.subplots(figsize=(0.55 * width + (1.2 if label else 0.3), 0.55 * height + (0.5 if title else 0.2)))[1]
    height, width = len(world.rows), len(world.rows[0])
    floor = ~world.terminal
    if values is not None:
        shown = np.where(floor & np.isfinite(values), np.asarray(values, dtype=float), np.nan)
        low, high = limits if limits is not None else (np.nanmin(shown), np.nanmax(shown))
        image = ax.imshow(world.to_map(shown), cmap=VALUES, vmin=low, vmax=high)
        if label:
            ax.figure.colorbar(image, ax=ax, label=label, shrink=0.9)
    for r, row in enumerate(world.rows):
        for c, letter in enumerate(row):
            face = {"#": WALL, "X": CLIFF, "G": GOAL}.get(letter, "none")
            ax.add_patch(Rectangle((c - 0.5, r - 0.5), 1, 1, facecolor=face, edgecolor="#c3c8cf", linewidth=0.8))
            if letter in ("GX" if policy is not None else "GXS"):
                ax.text(c, r, letter, ha="center", va="center", color=PAPER if letter in "GX" else INK, fontweight="bold", fontsize=9)
    if policy is not None:
        for s in world.where("S"):
            ax.add_patch(Rectangle(world.cells[s][::-1] - 0.44, 0.88, 0.88, fill=False, edgecolor=INK, linestyle=":", linewidth=1.2))
        _draw_arrows(ax, world, np.asarray(policy), floor)
    if numbers and values is not None:
        for s in np.flatnonzero(floor):
            r, c = world.cells[s]
            ax.text(c, r + 0.36, numbers.format(np.asarray(values)[s]), ha="center", va="center", fontsize=6.5, color=INK)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], aspect="equal", title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return ax


def _draw_arrows(ax: Axes, world: Gridworld, policy: np.ndarray, floor: np.ndarray) -> None:
    for a, (down, right) in enumerate(MOVES):
        for s in np.flatnonzero(floor & (policy[:, a] > 0.05)):
            r, c = world.cells[s]
            reach = 0.45 * policy[s, a]
            ax.add_patch(
                FancyArrowPatch(
                    (c, r), (c + right * reach, r + down * reach), arrowstyle="-|>", mutation_scale=3 + 5 * policy[s, a],
                    linewidth=1.1, color=INK, shrinkA=0, shrinkB=0, path_effects=_HALO,
                )
            )  # fmt: skip


def draw_graphical_model(
    nodes: Mapping[str, tuple[float, float]],
    edges: Sequence[tuple[str, str]],
    *,
    observed: Sequence[str] = (),
    highlight: Sequence[tuple[str, str]] = (),
    ax: Axes | None = None,
) -> Axes:
    """A directed graphical model: `nodes` label -> (x, y), arrows along `edges`, observed nodes shaded, some edges highlighted."""
    x, y = np.array(list(nodes.values()), dtype=float).T
    if ax is None:
        ax = plt.subplots(figsize=(0.95 * (np.ptp(x) + 1.2), 0.95 * (np.ptp(y) + 1.1)))[1]
    for edge in edges:
        strong = edge in highlight
        ax.add_patch(
            FancyArrowPatch(
                nodes[edge[0]], nodes[edge[1]], arrowstyle="-|>", mutation_scale=12, shrinkA=17, shrinkB=17,
                linewidth=2.2 if strong else 1.2, color=COLORS["optimistic"] if strong else INK,
            )
        )  # fmt: skip
    for name, (cx, cy) in nodes.items():
        ax.add_patch(Circle((cx, cy), 0.3, facecolor="#d5dbe3" if name in observed else PAPER, edgecolor=INK, linewidth=1.2))
        ax.text(cx, cy, name, ha="center", va="center", fontsize=11)
    ax.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.min() - 0.5, y.max() + 0.5), aspect="equal")
    ax.axis("off")
    return ax


class PendulumAnimation:
    """Pendulums side by side that swing when asked to: SVG moved by CSS alone, so that it works in a page without scripts or server.

    It stands still until its box is ticked, plays three times at most, and goes back to the start when the box is cleared.

    rollouts   label -> angles from upright in radians, evenly spaced in time and without jumps at ±π
    seconds    how long an episode takes
    alt        what is to be seen, for those who do not see it
    """

    def __init__(self, rollouts: Mapping[str, Sequence[float]], *, seconds: float, alt: str, name: str = "pendulum"):
        self.rollouts, self.seconds, self.alt, self.name = rollouts, seconds, alt, name

    def __repr__(self) -> str:
        return f"PendulumAnimation({', '.join(self.rollouts)})"

    def _repr_html_(self) -> str:
        name, rules, arms = self.name, [], []
        for i, (label, angles) in enumerate(self.rollouts.items()):
            turns = [f"transform:rotate({-np.degrees(x):.0f}deg)" for x in angles]
            frames = "".join(f"{100 * t / (len(turns) - 1):.1f}%{{{turn}}}" for t, turn in enumerate(turns))
            rules.append(f"@keyframes {name}{i}{{{frames}}}.{name} .arm{i}{{{turns[0]}}}")
            rules.append(f".{name} input:checked~svg .arm{i}{{animation:{name}{i} {self.seconds:g}s linear 3 both}}")
            arms.append(
                f'<g transform="translate({50 + 100 * i} 50)"><g class="arm{i}">'
                f'<line y2="-36" stroke="{COLORS["soft"]}" stroke-width="8" stroke-linecap="round"/></g><circle r="3" fill="currentColor"/>'
                f'<text y="64" text-anchor="middle" font-size="11" fill="currentColor">{escape(label)}</text></g>'
            )
        return (
            f'<div class="{name}"><style>{"".join(rules)}</style><input type="checkbox" id="{name}-play"> '
            f'<label for="{name}-play">Let them swing</label><svg viewBox="0 0 {100 * len(self.rollouts)} 122" role="img" '
            f'aria-label="{escape(self.alt)}" style="display:block;width:100%;max-width:32rem">{"".join(arms)}</svg></div>'
        )
