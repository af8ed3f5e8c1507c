"""Floor 5: explorers, alive in the built page and in a live notebook, from one script.

An explorer is a small Python object with traits.  Shown in a notebook it is a custom element (`<so-gridworld>` …) that the book's script,
explorers.js, brings to life in any built page, with no kernel; inside the element stands a static picture for paper and for readers without
JavaScript.  In a live kernel the same script is the front end of a widget, and the traits follow both ways:

    explorer = so.GridworldExplorer(slip=0.2)
    explorer                       # move its sliders ...
    explorer.slip                  # ... and read them here, or set them here and see the picture follow

The environment variable SOFT_OPTIMALITY_STATIC keeps the widget out of stored outputs: the page then needs no widget manager.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t

from ..numerics import NotConverged
from ..planning import Plan, optimistic_value_iteration, soft_value_iteration, value_iteration
from ..worlds import Gridworld, gridworld
from . import pictures

HERE = Path(__file__).parent
SCRIPT = (HERE / "explorers.js").read_text(encoding="utf8")
LEARNING_SCRIPT = (HERE / "learning.js").read_text(encoding="utf8")
STYLE = (HERE / "explorers.css").read_text(encoding="utf8")
FRONT_END = (
    SCRIPT
    + LEARNING_SCRIPT
    + """
export default {
  render({ model, el }) {
    const explorer = globalThis.SoftOptimality.mount(model.get("kind"), el, { ...model.get("settings"), solution: model.get("solution") },
      (key, value) => { model.set("settings", { ...model.get("settings"), [key]: value }); model.save_changes(); });
    model.on("change:settings", () => explorer.update(model.get("settings")));
    model.on("change:solution", () => explorer.update({ solution: model.get("solution") }));
    return () => explorer.destroy();
  },
};
"""
)
UNIFORM = np.full(4, 0.25)


class Number(t.Float[Any, Any]):
    """A finite number: JSON has no other, and a picture needs none."""

    def validate(self, obj: Any, value: Any) -> Any:
        value = super().validate(obj, value)
        if not np.isfinite(value):
            raise t.TraitError(f"The value of the {self.name!r} trait of {type(obj).__name__} should be finite, but a value of {value} was specified")
        return value


class Explorer(t.HasTraits):
    """What all explorers share: traits tagged `key` are the settings of the front end, under that name."""

    kind = ""
    title = t.Unicode().tag(key="title")

    def __init__(self, **settings: Any):
        unknown = sorted(set(settings) - set(self._keys()))
        if unknown:
            raise ValueError(f"{unknown[0]} = {settings[unknown[0]]!r}: unknown setting; known are {', '.join(self._keys())}")
        # An array's numbers are not int and float; what is shown again as text, or sent as JSON, should be.
        self._given = {name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value for name, value in settings.items()}
        self._live: Any = None
        try:
            super().__init__(**self._given)
        except t.TraitError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def _keys(cls) -> dict[str, str]:
        return {name: trait.metadata["key"] for name, trait in cls.class_traits().items() if "key" in trait.metadata}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._given.items())})"

    def settings(self) -> dict[str, Any]:
        """All settings under the names that the front end knows."""
        return {key: getattr(self, name) for name, key in self._keys().items()}

    @property
    def widget(self) -> Any:
        """The anywidget, made when it is first asked for: a built page needs none."""
        if self._live is None:
            self._live = _widget_class()(kind=self.kind, settings=self.settings())
            self._live.observe(self._from_front_end, "settings")
            self.observe(self._to_front_end, list(self._keys()))
        return self._live

    def _from_front_end(self, change: Any) -> None:
        for name, key in self._keys().items():
            if key in change["new"] and change["new"][key] != getattr(self, name):
                setattr(self, name, change["new"][key])

    def _to_front_end(self, change: Any) -> None:
        key = self._keys()[change["name"]]
        if self._live.settings.get(key) != change["new"]:
            self._live.settings = {**self._live.settings, key: change["new"]}

    def _picture(self) -> str:
        raise NotImplementedError

    def to_svg(self) -> str:
        """A static picture of the explorer as it is set now; where its settings are impossible, the sentence that says so."""
        try:
            return self._picture()
        except (ValueError, NotConverged) as error:
            return pictures.sentence(str(error))

    def _shape(self) -> str:
        """What the style sheet needs to know to keep the element's place before the script has come."""
        return ""

    def to_html(self) -> str:
        """The custom element with its settings, and inside it the static picture."""
        config = html.escape(json.dumps(self.settings(), sort_keys=True, ensure_ascii=False, allow_nan=False), quote=True)
        figure = f"<figure>{self.to_svg()}<figcaption>{html.escape(self.title)}</figcaption></figure>"
        return f'<so-{self.kind} data-config="{config}"{self._shape()}>{figure}</so-{self.kind}>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        static = {"text/plain": repr(self), "text/html": self.to_html(), "image/svg+xml": self.to_svg()}
        if os.environ.get("SOFT_OPTIMALITY_STATIC"):
            return static
        live = self.widget._repr_mimebundle_()
        data, metadata = live if isinstance(live, tuple) else (live, {})
        return {**static, **data, "text/plain": repr(self)}, metadata


def _widget_class() -> Any:
    """The anywidget class; imported here so that the library needs no widgets to be imported."""
    import anywidget

    class ExplorerWidget(anywidget.AnyWidget):
        _esm = FRONT_END
        _css = STYLE
        kind = t.Unicode().tag(sync=True)
        settings = t.Dict().tag(sync=True)
        solution = t.Dict(allow_none=True, default_value=None).tag(sync=True)

        def __repr__(self) -> str:  # without a memory address
            return f"ExplorerWidget({self.kind})"

    return ExplorerWidget


class GridworldExplorer(Explorer):
    """Plan in a gridworld: slip, temperature, horizon or discount, up to two planners side by side, a map to paint.

    planner, second  "hard", "soft", "optimistic", for `second` also "none", and "yours" where a solver is given
    show             "policy", "values", "visits" or "dynamics"
    time             "horizon" (γ = 1, T steps) or "discount" (no horizon)
    solver           in a live kernel: your own planner, called as solver(world, temperature, prior=…, horizon=…) and drawn as a planner
                     named "yours".  It returns a Plan, or (q, v, policy), with or without a leading axis of steps.  Where it raises, the
                     explorer says so and stays usable.
    """

    kind = "gridworld"
    title = t.Unicode("Gridworld explorer").tag(key="title")
    rows = t.List(t.Unicode(), ["........", "........", "........", "SXXXXXXG"]).tag(key="rows")
    slip = Number(0.1, min=0.0, max=1.0).tag(key="slip")
    temperature = Number(0.5, min=0.01, max=100.0).tag(key="temperature")
    time = t.Enum(["horizon", "discount"], "horizon").tag(key="time")
    horizon = t.Int(60, min=1, max=100).tag(key="horizon")
    discount = Number(0.95, min=0.0, max=1.0).tag(key="discount")
    planner = t.Enum(["hard", "soft", "optimistic", "yours"], "optimistic").tag(key="planner")
    second = t.Enum(["none", "hard", "soft", "optimistic", "yours"], "none").tag(key="second")
    show = t.Enum(["policy", "values", "visits", "dynamics"], "policy").tag(key="show")
    step_reward = Number(-1.0).tag(key="stepReward")
    goal_reward = Number(0.0).tag(key="goalReward")
    cliff_reward = Number(-50.0).tag(key="cliffReward")
    selected = t.List(t.Int(min=0), default_value=None, allow_none=True, minlen=2, maxlen=2).tag(key="selected")

    def __init__(self, rows: Any = None, *, solver: Callable[..., Any] | None = None, **settings: Any):
        if solver is not None and not callable(solver):
            raise ValueError(f"solver = {solver!r}: not a function")
        self.solver = solver
        super().__init__(**({} if rows is None else {"rows": list(rows)}), **settings)
        self.world()  # a bad map is refused here, by name; one painted in the picture gets a sentence there

    @t.validate("planner", "second")
    def _yours_needs_a_solver(self, proposal: Any) -> Any:
        if proposal["value"] == "yours" and self.solver is None:
            raise t.TraitError(f"{proposal['trait'].name} = 'yours': needs a solver")
        return proposal["value"]

    def world(self) -> Gridworld:
        """The gridworld as it is set now."""
        return gridworld(
            self.rows,
            slip=self.slip,
            step_reward=self.step_reward,
            goal_reward=self.goal_reward,
            cliff_reward=self.cliff_reward,
            discount=1.0 if self.time == "horizon" else self.discount,
        )

    def plan(self, planner: str | None = None) -> Plan:
        """The library's plan for a planner as it is set now (for the one shown, by default): what the picture draws."""
        world, steps = self.world(), self.horizon if self.time == "horizon" else None
        name = planner or self.planner
        if name == "hard":
            return value_iteration(world, horizon=steps)
        if name == "yours":
            return _as_plan(self.solver(world, self.temperature, prior=UNIFORM, horizon=steps), world, steps)  # type: ignore[misc]
        plan = soft_value_iteration if name == "soft" else optimistic_value_iteration
        return plan(world, self.temperature, prior=UNIFORM, horizon=steps)

    def settings(self) -> dict[str, Any]:
        shown = super().settings()
        if self.solver is None:
            return shown
        if os.environ.get("SOFT_OPTIMALITY_STATIC"):  # no kernel will answer there
            return {key: "soft" if value == "yours" else value for key, value in shown.items()}
        return {**shown, "solver": True}

    @property
    def widget(self) -> Any:
        first = self._live is None
        widget = super().widget
        if first and self.solver is not None:
            self._solve()
            self.observe(self._solve, ["rows", "slip", "temperature", "time", "horizon", "discount"])
        return widget

    def _solve(self, change: Any = None) -> None:
        """Ask the student's planner, and send what it says or how it failed."""
        try:
            plan = self.plan("yours")
            steps = (1, *plan.q.shape) if plan.q.ndim == 2 else plan.q.shape
            self._live.solution = {
                "q": _finite_or_text(plan.q.reshape(steps[0], -1)),
                "v": _finite_or_text(plan.v.reshape(steps[0], -1)),
                "policy": plan.policy.reshape(steps[0], -1).tolist(),
            }
        except Exception as error:  # whatever a student's function raises belongs in the picture, not in a log
            self._live.solution = {"error": _fault(error)}

    def _picture(self) -> str:
        planner = self.settings()["planner"]
        try:
            return pictures.gridworld(self.world(), self.plan(planner))
        except Exception as error:
            if planner != "yours":
                raise
            return pictures.sentence(_fault(error))

    def _shape(self) -> str:
        return f' style="--rows:{len(self.rows)};--columns:{len(self.rows[0])}"'


def _fault(error: Exception) -> str:
    return f"Your solver: {type(error).__name__}: {error}"


def _as_plan(answer: Any, world: Gridworld, steps: int | None) -> Plan:
    """A planner's answer, checked for shape, with one row of steps for each step."""
    q, v, policy = (answer.q, answer.v, answer.policy) if hasattr(answer, "policy") else answer
    lead = () if steps is None else (steps,)
    arrays = []
    for name, array, tail in (("q", q, world.shape), ("v", v, world.shape[:1]), ("policy", policy, world.shape)):
        array = np.asarray(array, dtype=float)
        if array.shape not in (tail, (*lead, *tail)):
            raise ValueError(f"{name} has shape {array.shape}, expected {tail}" + (f" or {(*lead, *tail)}" if lead else ""))
        if np.isnan(array).any():
            raise ValueError(f"{name} contains NaN")
        arrays.append(np.broadcast_to(array, (*lead, *tail)))
    total = arrays[2].sum(axis=-1)
    worst = np.unravel_index(np.abs(total - 1).argmax(), total.shape)
    if not abs(total[worst] - 1) < 1e-6 or (arrays[2] < 0).any():
        raise ValueError(f"policy[{', '.join(map(str, worst))}] is no distribution: {arrays[2][worst].tolist()}")
    return Plan(arrays[0], arrays[1], arrays[2], 0, 0.0)


def _finite_or_text(rows: np.ndarray) -> list[list[Any]]:
    """Numbers as JSON has them; -inf, which it has not, as a text that JavaScript's Number understands."""
    return [[x if np.isfinite(x) else ("-Infinity" if x < 0 else "Infinity") for x in row] for row in rows.tolist()]


class HMMExplorer(Explorer):
    """A two-state hidden Markov model of the weather behind clean (0) and muddy (1) boots; flip a day and see what changes."""

    kind = "hmm"
    title = t.Unicode("What the boots say about the weather").tag(key="title")
    noise = Number(0.2, min=0.0, max=1.0).tag(key="noise")
    stickiness = Number(0.8, min=0.0, max=1.0).tag(key="stickiness")
    day = t.Int(6, min=1).tag(key="day")
    observations = t.List(t.Int(min=0, max=1), [0, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0], minlen=2, maxlen=20).tag(key="observations")

    def __init__(self, **settings: Any):
        if "observations" in settings and "day" not in settings:
            settings["day"] = max(1, min(6, len(settings["observations"])))
        super().__init__(**settings)

    @t.validate("day", "observations")
    def _day_is_among_the_observations(self, proposal: Any) -> Any:
        changed = {"day": self.day, "observations": self.observations, proposal["trait"].name: proposal["value"]}
        if changed["day"] > len(changed["observations"]):
            raise t.TraitError(f"day = {changed['day']}: there are {len(changed['observations'])} observations")
        return proposal["value"]

    def _picture(self) -> str:
        return pictures.weather(self.noise, self.stickiness, self.observations)


class LotteryExplorer(Explorer):
    """A sure door beside a gamble, as the expectation and as the optimist see it, against temperature."""

    kind = "lottery"
    title = t.Unicode("Two doors").tag(key="title")
    sure = Number(1.0, min=-10.0, max=10.0).tag(key="sure")
    win = Number(2.0, min=-10.0, max=10.0).tag(key="win")
    lose = Number(0.0, min=-10.0, max=10.0).tag(key="lose")
    probability = Number(0.3, min=0.0, max=1.0).tag(key="probability")
    temperature = Number(0.5, min=0.05, max=50.0).tag(key="temperature")

    def _picture(self) -> str:
        return pictures.lottery(self.sure, self.win, self.lose, self.probability)


class BackupExplorer(Explorer):
    """Q-values under the finger: the hard maximum, the soft maximum and its bounds, the policy."""

    kind = "backup"
    title = t.Unicode("Choosing hard, choosing softly").tag(key="title")
    values = t.List(Number(min=-2.0, max=2.0), [1.0, 0.6, -0.5, 0.9], minlen=2, maxlen=8).tag(key="values")
    temperature = Number(0.5, min=0.01, max=100.0).tag(key="temperature")

    def _picture(self) -> str:
        return pictures.backup(self.values, self.temperature)


class LearningExplorer(Explorer):
    """Recorded runs of tabular learning on a gridworld, played back: curves over seeds, and what was known after so many steps.

    record    the part "grid" of so.recorded.load("tabular_q.json"), or one laid out like it
    offer     the names of the settings to choose from; all of them, if it is not given
    first, second   the settings shown: a name, and a name or "none"
    """

    kind = "learning"
    title = t.Unicode("Learning, played back").tag(key="title")
    record = t.Dict().tag(key="record")
    first = t.Unicode().tag(key="first")
    second = t.Unicode("none").tag(key="second")
    snapshot = t.Int(min=0).tag(key="snapshot")
    measure = t.Enum(["errors", "v_errors", "returns"], "errors").tag(key="measure")
    learner = t.Enum(["mean", "0", "1"], "mean").tag(key="learner")
    selected = t.List(t.Int(min=0), default_value=None, allow_none=True, minlen=2, maxlen=2).tag(key="selected")

    def __init__(self, record: Any, *, offer: Any = None, **settings: Any):
        missing = {"rows", "temperature", "steps", "exact", "settings"} - set(record)
        if missing:
            raise ValueError(f"record: has no {', '.join(sorted(missing))}")
        names = [setting["name"] for setting in record["settings"]]
        for argument, wanted in (("offer", names if offer is None else list(offer)), ("first", [settings.get("first", names[0])])):
            unknown = [name for name in wanted if name not in names]
            if unknown:
                raise ValueError(f"{argument} = {unknown[0]!r}: not among {', '.join(names)}")
        if offer is not None:
            record = {**record, "settings": [setting for setting in record["settings"] if setting["name"] in offer]}
        self._offer = offer
        super().__init__(
            record=record, **{"first": record["settings"][0]["name"], "snapshot": len(record["steps"]) - 1, **settings}
        )

    @t.validate("first", "second", "snapshot")
    def _it_was_recorded(self, proposal: Any) -> Any:
        name, value, names = proposal["trait"].name, proposal["value"], [setting["name"] for setting in self.record["settings"]]
        if name == "snapshot" and value >= len(self.record["steps"]):
            raise t.TraitError(f"snapshot = {value}: there are {len(self.record['steps'])}")
        if name != "snapshot" and value not in names and not (name == "second" and value == "none"):
            raise t.TraitError(f"{name} = {value!r}: not among {', '.join(names)}")
        return value

    def __repr__(self) -> str:
        shown = {name: value for name, value in self._given.items() if name != "record"}
        return f"LearningExplorer({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def _picture(self) -> str:
        chosen = [setting for setting in self.record["settings"] if setting["name"] in (self.first, self.second)]
        return pictures.learning(self.record["steps"], [(setting["label"], setting[self.measure]) for setting in chosen])
