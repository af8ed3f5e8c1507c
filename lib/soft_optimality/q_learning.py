"""Floor 4: soft Q-learning (Fox, Pakman & Tishby 2016; Haarnoja et al. 2017): from samples instead of a model.

    Q(s,a) ← Q(s,a) + α (r + γ V(s') − Q(s,a)),    V(s') = η log Σ_a' ρ(a'|s') exp(Q(s',a')/η)        eq. sql-update

Only V knows whether this is soft or hard: at temperature 0 it is max_a' Q(s',a'), and the same code is Watkins's Q-learning.  After a
terminal state V is 0.  What carries over from hard Q-learning is an argument each, and they may be combined: `double`, `dueling`,
`replay`, `n_step`, `hindsight`.

Rows of Q are plain lists here: on the few numbers of one row, Python's own arithmetic is several times faster than NumPy's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from .backups import boltzmann_policy, greedy_policy, hard_v, soft_v
from .hindsight import GoalWorld, look_back
from .mdp import MDP
from .numerics import Floats, as_count, as_distributions, as_floats, as_number, reject
from .numerics import log as log_array
from .planning import policy_dynamics, reachable, soft_value_iteration, value_iteration
from .sampling import BadSample, Path, Replay, Step, as_generator, as_sampler, draw, uniforms

if TYPE_CHECKING:
    import gymnasium

Row: TypeAlias = list[float]
StepSize: TypeAlias = float | Callable[[int], float]

BAR_DELAY = 3.0  # seconds before a progress bar shows: short runs stay silent
ENTROPIES = ("behavior", "policy", "none")


# -- the two equations, on one row of Q ---------------------------------------------------------------------------------------------


def soft_max(row: Sequence[float], temperature: float, log_prior: Sequence[float] | None = None) -> float:
    """V = η log Σ_a ρ exp(Q/η), eq. soft-v, for one state; max_a Q at temperature 0.  Units of reward."""
    if temperature == 0:
        return max(row)
    if log_prior is not None:
        row = [q + temperature * w for q, w in zip(row, log_prior, strict=True)]  # eq. prior-absorbed
    top = max(row)
    return top + temperature * log(sum([exp((q - top) / temperature) for q in row]))


def soft_choice(row: Sequence[float], temperature: float, log_prior: Sequence[float] | None = None) -> Row:
    """π(a) = ρ exp((Q − V)/η), eq. boltzmann-policy, for one state; at temperature 0 uniform on the best actions."""
    if log_prior is not None:
        row = [q + temperature * w for q, w in zip(row, log_prior, strict=True)]
    top = max(row)
    weights = [exp((q - top) / temperature) if temperature else float(q == top) for q in row]
    total = sum(weights)
    return [w / total for w in weights]


def double_value(chooser: Sequence[float], judge: Sequence[float], temperature: float, log_prior: Sequence[float] | None = None) -> float:
    """V = Σ_a π (Q_judge − η log(π/ρ)) with π soft in Q_chooser: double Q-learning's max_a (van Hasselt 2010), made soft.

    With judge = chooser it is `soft_max`.  At temperature 0 it is Q_judge at the action that Q_chooser likes best.
    """
    policy = soft_choice(chooser, temperature, log_prior)
    difference = sum([p * (q - c) for p, q, c in zip(policy, judge, chooser, strict=True) if p > 0])
    return difference + soft_max(chooser, temperature, log_prior)  # Σ π (Q_chooser − η log(π/ρ)) is its soft max


def decaying(power: float = 0.7, hold: float = 0.0) -> Callable[[int], float]:
    """The step size α_n = ((1 + hold)/(n + hold))^ω at the n-th update of a pair (s,a); with hold = 0 it is 1/n^ω.

    Robbins and Monro ask for ½ < ω ≤ 1.  ω = 1 averages best, but forgets the start only like n^(γ−1) (Even-Dar & Mansour 2003);
    holding on to large steps for the first 1/(1 − γ) updates or more mends that (Wainwright 2019).
    """
    omega, held = as_number("power", power, 0.5, 1.0, open_low=True), as_number("hold", hold, 0.0)
    return lambda n: float(((1 + held) / (n + held)) ** omega)


# -- soft Q-learning ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Learned:
    """What a run of tabular soft Q-learning found, and how.

    q               (S, A), in units of reward; -inf for what is forbidden.  With `double` the mean of the two tables
    v               (S,) the soft max of q; 0 at terminal states
    policy          (S, A) soft in q (greedy at temperature 0)
    visits          (S, A) updates of each pair
    snapshot_steps  (K,) after how many steps each snapshot was taken
    snapshots       (K, S, A) q at those steps
    errors          (K,) max |q − q*| in each snapshot over the pairs that an episode can visit, q* the exact answer; None without one
    exact           (S, A) that exact answer: the planner's for an MDP, or the argument; None without one
    episode_ends    (E,) the step at which each complete episode ended
    returns         (E,) its undiscounted sum of rewards, without entropy
    steps           how many were taken: fewer than asked for where it was `interrupted`
    """

    q: Floats
    v: Floats
    policy: Floats
    visits: NDArray[np.int64]
    snapshot_steps: NDArray[np.int64]
    snapshots: Floats
    errors: Floats | None
    exact: Floats | None
    episode_ends: NDArray[np.int64]
    returns: Floats
    temperature: float
    steps: int
    interrupted: bool


def soft_q_learning(
    mdp_or_env: MDP | gymnasium.Env,
    temperature: float = 1.0,
    *,
    steps: int,
    rng: np.random.Generator,
    prior: ArrayLike | None = None,
    discount: float | None = None,
    behavior: ArrayLike | float = 0.1,
    step_size: StepSize | None = None,
    double: bool = False,
    dueling: bool = False,
    replay: int | None = None,
    batch: int = 1,
    n_step: int = 1,
    n_step_entropy: str = "behavior",
    hindsight: int = 0,
    start: ArrayLike | None = None,
    exact: ArrayLike | None = None,
    snapshots: int | Sequence[int] = 20,
    episode_steps: int = 1000,
    progress: bool = True,
) -> Learned:
    """Tabular soft Q-learning from samples, eq. sql-update; hard Q-learning at temperature 0.

    mdp_or_env      an MDP, of which only samples are used, or a Gymnasium environment with discrete spaces
    temperature     η ≥ 0, in units of reward; 0 means max, and takes no prior
    steps           how many to take in the world; one update (with replay: `batch` updates) goes with each
    rng             numpy.random.Generator: the only source of randomness, of the environment's too
    prior           ρ: None is the counting measure; (A,) or (S, A) rows that sum to 1
    discount        γ, for an environment; an MDP has its own
    behavior        who acts.  A number ε: the soft policy of the present Q, but with probability ε uniform over the allowed actions
                    (0: the soft policy itself; 1: uniform).  An array (S, A): that policy, whatever is learned
    step_size       α: a constant in (0, 1], or a function of how often the pair (s,a) has been updated, this time included; default
                    decaying(0.7)
    double          two tables; one, drawn anew, is moved towards what the other says of its choice (`double_value`)
    dueling         Q = V(s) + A(s,a) − mean_a A, and the gradient step on V and A (Wang et al. 2016), normalised so that Q(s,a) moves by
                    α(y − Q).  In a table that comes to this: the other actions of s move along, by the share (1 − 1/A)/(2 − 1/A)
    replay          None: each step is learned from once.  A number: so many of the last transitions are kept, and each step learns from
                    `batch` of them (as soon as so many are stored), drawn uniformly with replacement
    n_step          y = Σ_{i<n} γ^i r_i + Σ_{0<i<n} γ^i h_i + γ^n V(s_n): what was paid, the entropy terms h between, and V at the end
    n_step_entropy  h_i.  "behavior": −η log(b/ρ)(a_i|s_i) of the behaviour b that acted, so y is what happened; biased unless b is the soft
                    policy itself.  "policy": of the soft policy of the present Q, −η log(π/ρ) = V − Q; right in expectation whoever
                    acts (eq. path-consistency), but no longer a contraction, so it may diverge.  "none": 0, as in hard n-step
    hindsight       in a GoalWorld: at the end of each episode learn again from each of its steps (n-step paths) with this many goals
                    that lie in its future.  A goal picked because it was reached forgets the times it was missed: where dynamics are
                    stochastic Q becomes optimistic, for the reason of chapter 4
    start           (S, A) Q at the start; default 0
    exact           (S, A) the answer that errors are measured against; default for an MDP: the planner's
    snapshots       how many, evenly spaced, or after which steps; the last is always at the end
    episode_steps   an episode that has not ended after so many steps is cut off, and V(s') still counts: for worlds that never end
    progress        a progress bar, which shows after 3 seconds

    With decaying steps and a behaviour that tries everything, Q converges to soft_value_iteration's (also with double or replay; n-step
    only on-policy; dueling couples the actions of a state, and has no such proof).  Ctrl-C returns what was learned, with a warning.
    ValueError for arguments out of range.  BadSample (a ValueError) for a reward that is not finite: a NaN never enters Q, and what was
    learned before it is the error's `learned`.
    """
    world, eta = as_sampler(mdp_or_env, as_generator(rng)), as_number("temperature", temperature, 0.0)
    mdp = mdp_or_env if isinstance(mdp_or_env, MDP) else None
    steps, batch, n_step = as_count("steps", steps), as_count("batch", batch), as_count("n_step", n_step)
    hindsight, episode_steps = as_count("hindsight", hindsight, 0), as_count("episode_steps", episode_steps)
    marks = _marks(snapshots, steps)
    if hindsight and not isinstance(mdp, GoalWorld):
        raise ValueError(f"hindsight = {hindsight}: needs a GoalWorld, such as hindsight.goal_world makes")
    if batch > (1 if replay is None else as_count("replay", replay)):
        raise ValueError(f"batch = {batch}: {'needs a replay' if replay is None else f'a replay of {replay} never stores so many'}")
    rho, allowed = _prior(prior, eta, world.allowed)
    if n_step_entropy not in ENTROPIES:
        raise ValueError(f"n_step_entropy = {n_step_entropy!r}: must be one of {', '.join(ENTROPIES)}")
    learner = _Learner(
        tables=[_start(start, allowed).tolist() for _ in range(2 if double else 1)],
        visits=[np.zeros(allowed.shape, int).tolist() for _ in range(2 if double else 1)],
        allowed=[np.flatnonzero(row).tolist() for row in allowed],
        log_prior=[None] * len(allowed) if rho is None else log_array(rho).tolist(),
        behavior=_behavior(behavior, allowed),
        uniform=(allowed / allowed.sum(axis=1, keepdims=True)).tolist(),
        temperature=eta,
        discount=_discount(discount, mdp),
        step_size=_step_size(step_size),
        dueling=bool(dueling),
        entropy=n_step_entropy,
        random=uniforms(rng),
    )
    answer, visitable = _exact(mdp, allowed, eta, rho, exact)
    stored: Replay[Path] | None = None if replay is None else Replay(replay)
    meet = learner.learn if stored is None else stored.add

    episode: list[Step] = []
    ends: list[int] = []
    returns: list[float] = []
    record: dict[int, Floats] = {}
    state, taken = -1, 0
    over = np.zeros(len(allowed), dtype=bool) if mdp is None else mdp.terminal.copy()

    def finish() -> Learned:
        q = record[taken] = learner.q()
        kept = np.stack(list(record.values()))
        return Learned(
            q=q,
            v=np.where(over, 0.0, hard_v(q) if eta == 0 else soft_v(q, eta, rho)),
            policy=greedy_policy(q) if eta == 0 else boltzmann_policy(q, eta, rho),
            visits=np.sum(learner.visits, axis=0),
            snapshot_steps=np.array(list(record)),
            snapshots=kept,
            errors=None if answer is None else np.abs(kept[:, visitable] - answer[visitable]).max(axis=1, initial=0.0),
            exact=answer,
            episode_ends=np.array(ends, dtype=np.int64),
            returns=np.array(returns, dtype=np.float64),
            temperature=eta,
            steps=taken,
            interrupted=taken < steps,
        )

    try:
        for t in tqdm(range(1, steps + 1), disable=not progress, delay=BAR_DELAY, unit="step", leave=False):
            if not episode:
                state = world.reset()
            action, log_ratio = learner.act(state)
            after, reward, terminated, truncated = world.step(action)
            episode.append(Step(state, action, reward, log_ratio))
            state = after
            if len(episode) >= n_step:
                meet(Path(tuple(episode[-n_step:]), after, terminated))
            if terminated or truncated or len(episode) >= episode_steps:
                for n in range(min(n_step - 1, len(episode)), 0, -1):  # the last steps, which have fewer than n to come
                    meet(Path(tuple(episode[-n:]), after, terminated))
                if hindsight:
                    assert isinstance(mdp, GoalWorld)
                    for path in look_back(mdp, episode, after, hindsight, n_step, rng):
                        meet(path)
                over[after] |= terminated
                ends.append(t)
                returns.append(sum([step.reward for step in episode]))
                episode = []
            if stored is not None and len(stored) >= batch:
                for path in stored.sample(batch, rng):
                    learner.learn(path)
            taken = t
            if t in marks:
                record[t] = learner.q()
    except KeyboardInterrupt:
        warnings.warn(f"interrupted after {taken} of {steps} steps; what was learned is returned", stacklevel=2)
    except BadSample as error:
        error.learned = finish()
        raise
    return finish()


@dataclass
class _Learner:
    """The table of Q (two where double), and how it acts, looks ahead and moves."""

    tables: list[list[Row]]
    visits: list[list[list[int]]]  # updates of each pair, in each table
    allowed: list[list[int]]  # the actions of each state
    log_prior: list[Row | None]
    behavior: list[Row] | float  # a fixed policy, or ε
    uniform: list[Row]
    temperature: float
    discount: float
    step_size: Callable[[int], float]
    dueling: bool
    entropy: str
    random: Iterator[float]

    def q(self) -> Floats:
        return np.mean(self.tables, axis=0)

    def act(self, state: int) -> tuple[int, float]:
        """An action of the behaviour b, and log b(a|s)/ρ(a|s)."""
        rho, epsilon = self.log_prior[state], self.behavior
        if isinstance(epsilon, list):
            weights = epsilon[state]
        elif epsilon == 1:  # no need to look at Q
            weights = self.uniform[state]
        else:
            row = self.tables[0][state]
            if len(self.tables) == 2:
                row = [(x + y) / 2 for x, y in zip(row, self.tables[1][state], strict=True)]
            weights = soft_choice(row, self.temperature, rho)
            if epsilon:
                weights = [(1 - epsilon) * w + epsilon * u for w, u in zip(weights, self.uniform[state], strict=True)]
        action = draw(weights, next(self.random))
        return action, log(weights[action]) - (rho[action] if rho is not None else 0.0)

    def target(self, path: Path, own: list[Row], other: list[Row]) -> float:
        """y = Σ_{i<n} γ^i r_i + Σ_{0<i<n} γ^i h_i + γ^n V(s_n)."""
        y, weight = 0.0, 1.0
        for i, (s, a, reward, log_ratio) in enumerate(path.steps):
            if i and self.entropy == "behavior":
                y -= weight * self.temperature * log_ratio
            elif i and self.entropy == "policy":
                y += weight * (soft_max(own[s], self.temperature, self.log_prior[s]) - own[s][a])
            y += weight * reward
            weight *= self.discount
        if path.ended:
            return y
        s = path.after
        if own is other:
            return y + weight * soft_max(own[s], self.temperature, self.log_prior[s])
        return y + weight * double_value(own[s], other[s], self.temperature, self.log_prior[s])

    def learn(self, path: Path) -> None:
        """Q(s,a) ← Q(s,a) + α (y − Q(s,a)), eq. sql-update."""
        which = int(next(self.random) < 0.5) if len(self.tables) == 2 else 0
        own, other = self.tables[which], self.tables[-1 - which]
        s, a, *_ = path.steps[0]
        self.visits[which][s][a] = n = self.visits[which][s][a] + 1
        rate = self.step_size(n)
        if not 0 < rate <= 1:
            raise ValueError(f"step_size({n}) = {rate}: must be above 0 and at most 1")
        change = rate * (self.target(path, own, other) - own[s][a])
        if not isfinite(own[s][a] + change):
            raise ValueError(f"Q[{s}, {a}] would become {own[s][a] + change}: it diverges")
        own[s][a] += change
        if self.dueling:
            share = (1 - 1 / len(self.allowed[s])) / (2 - 1 / len(self.allowed[s]))
            for b in self.allowed[s]:
                if b != a:
                    own[s][b] += share * change


# -- at the door ----------------------------------------------------------------------------------------------------------------------


def _discount(discount: float | None, mdp: MDP | None) -> float:
    if mdp is None:
        return as_number("discount", discount, 0.0, 1.0)
    if discount is not None and discount != mdp.discount:
        raise ValueError(f"discount = {discount!r}: the MDP has its own, {mdp.discount:g}")
    return mdp.discount


def _prior(prior: ArrayLike | None, eta: float, allowed: NDArray[np.bool_]) -> tuple[Floats | None, NDArray[np.bool_]]:
    """ρ (S, A) or None, and the pairs that are allowed: by the world, and by ρ > 0."""
    rho = None
    if prior is not None:
        if eta == 0:
            raise ValueError("prior: has no say at temperature = 0; give None")
        rho = np.array(np.broadcast_to(as_distributions("prior", prior, allowed.shape[1:] if np.ndim(prior) == 1 else allowed.shape), allowed.shape))
        allowed = allowed & (rho > 0)
    stuck = np.flatnonzero(~allowed.any(axis=1))
    if len(stuck):
        raise ValueError(f"state {stuck[0]}: every action is forbidden, by a reward of -inf or a prior of 0")
    return rho, allowed


def _start(start: ArrayLike | None, allowed: NDArray[np.bool_]) -> Floats:
    """The first Q (S, A): -inf for what is forbidden."""
    first = np.zeros(allowed.shape) if start is None else as_floats("start", start, allowed.shape)
    wrong = np.argwhere(allowed & ~np.isfinite(first))
    if len(wrong):
        reject("start", wrong[0], first[tuple(wrong[0])], "must be finite where the action is allowed")
    return np.where(allowed, first, -inf)


def _behavior(behavior: ArrayLike | float, allowed: NDArray[np.bool_]) -> list[Row] | float:
    """ε, or the rows of a fixed policy."""
    if np.ndim(behavior) == 0:
        return as_number("behavior", behavior, 0.0, 1.0)
    rows = as_distributions("behavior", behavior, allowed.shape)
    wrong = np.argwhere((rows > 0) & ~allowed)
    if len(wrong):
        reject("behavior", wrong[0], rows[tuple(wrong[0])], "takes a forbidden action")
    return rows.tolist()


def _step_size(step_size: StepSize | None) -> Callable[[int], float]:
    if step_size is None:
        return decaying()
    if callable(step_size):
        return step_size
    rate = as_number("step_size", step_size, 0.0, 1.0, open_low=True)
    return lambda n: rate


def _marks(snapshots: int | Sequence[int], steps: int) -> set[int]:
    """The steps after which to keep Q."""
    if np.ndim(snapshots) == 0:
        count = as_count("snapshots", snapshots)
        return {round(steps * (i + 1) / count) for i in range(count)}
    marks = {as_count(f"snapshots[{i}]", m) for i, m in enumerate(np.asarray(snapshots).tolist())}
    if max(marks, default=0) > steps:
        raise ValueError(f"snapshots: step {max(marks)} comes after the last, {steps}")
    return marks


def _exact(
    mdp: MDP | None, allowed: NDArray[np.bool_], eta: float, rho: Floats | None, exact: ArrayLike | None
) -> tuple[Floats | None, NDArray[np.bool_]]:
    """The exact Q, and the pairs (S, A) on which to compare: allowed, and within reach of the first state."""
    if mdp is not None:
        tries = policy_dynamics(mdp, allowed / allowed.sum(axis=1, keepdims=True))
        visitable = allowed & (reachable(tries, mdp.initial > 0) & ~mdp.terminal)[:, None]
    else:
        visitable = allowed
    if exact is not None:
        return as_floats("exact", exact, allowed.shape), visitable
    if mdp is None:
        return None, visitable
    plan = value_iteration(mdp) if eta == 0 else soft_value_iteration(mdp, eta, prior=rho)
    return np.asarray(plan.q), visitable
