"""The front end's mathematics, run in V8, against the library: 300 random worlds and more, to 1e-9."""

import json

import numpy as np
import pytest
from py_mini_racer import MiniRacer

import soft_optimality as so
from soft_optimality.explorers import SCRIPT

UNIFORM = np.full(4, 0.25)
PLANS = {
    "hard": lambda world, eta, **k: so.value_iteration(world, **k),
    "soft": lambda world, eta, **k: so.soft_value_iteration(world, eta, prior=UNIFORM, **k),
    "optimistic": lambda world, eta, **k: so.optimistic_value_iteration(world, eta, prior=UNIFORM, **k),
}


@pytest.fixture(scope="module")
def javascript():
    engine = MiniRacer()
    engine.eval(
        SCRIPT
        + """
        const text = (x) => Array.from(x, (y) => (Number.isFinite(y) ? y : String(y)));
        function solve(json) {
          const c = JSON.parse(json), S = SoftOptimality, world = S.gridworld({ ...c, cliffReward: Number(c.cliffReward) });
          const plan = S.plan(world, c);
          if (plan.error) return JSON.stringify({ error: plan.error });
          const e = S.evaluate(world, plan, c);
          const bent = S.bentDynamics(world, plan.v[1] || plan.v[0], c.temperature, c.horizon ? 1 : c.gamma);
          return JSON.stringify({
            q: plan.q.map(text), v: plan.v.map(text), policy: plan.policy.map(text), next: Array.from(world.next), bent: text(bent),
            visits: text(e.visits || []), numbers: text([e.ret, e.entropy, e.goal, e.cliff, e.elbo]), error: e.error,
            evidence: text([S.logEvidence(world, plan.v[0], c.temperature)])[0],
          });
        }
        function infer(json) { const c = JSON.parse(json); return JSON.stringify(SoftOptimality.hmm(c, c.x)); }
        """
    )
    return lambda name, question: json.loads(engine.call(name, json.dumps(question)))


def random_question(rng):
    height, width = rng.integers(2, 6), rng.integers(2, 6)
    letters = rng.choice(list("....#X"), size=(height, width))
    letters[tuple(rng.integers((height, width)))] = "S"
    free = np.argwhere(letters != "S")
    letters[tuple(free[rng.integers(len(free))])] = "G"
    return {
        "rows": ["".join(row) for row in letters],
        "slip": float(rng.choice([0.0, 1.0, rng.random()])),
        "stepReward": float(rng.choice([-1.0, -0.1, rng.normal()])),
        "goalReward": float(rng.choice([0.0, 5.0])),
        "cliffReward": "-Infinity" if rng.random() < 0.2 else float(rng.choice([-50.0, -3.0])),
        "temperature": float(10.0 ** rng.uniform(-3, 3)),
        "planner": str(rng.choice(["hard", "soft", "optimistic"])),
    }


def numbers(rows):
    return np.array([[float(x) for x in row] for row in rows])


def make_world(question, discount=1.0):
    rewards = {"step_reward": question["stepReward"], "goal_reward": question["goalReward"], "cliff_reward": float(question["cliffReward"])}
    return so.worlds.gridworld(question["rows"], slip=question["slip"], **rewards, discount=discount)


def near(found, expected, scale):
    """Equal to 1e-9, relative to the largest number in play where that is above 1; infinities exactly."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * max(1.0, scale))


def size(*arrays):
    return max(np.abs(a[np.isfinite(a)]).max(initial=0.0) for a in map(np.asarray, arrays))


def test_finite_horizon_plans_and_their_numbers(javascript):
    rng, compared = np.random.default_rng(0), 0
    while compared < 300:
        question = {**random_question(rng), "horizon": int(rng.integers(1, 30)), "gamma": 1}
        eta, steps = question["temperature"], question["horizon"]
        try:
            world = make_world(question)
        except ValueError as error:  # a cell whose every move may be forbidden
            assert "allowed action" in str(error)
            continue
        plan, answer = PLANS[question["planner"]](world, eta, horizon=steps), javascript("solve", question)
        scale = max(size(plan.v, plan.q[np.isfinite(plan.q)]), eta)
        near(numbers(answer["q"]).reshape(plan.q.shape), np.where(world.terminal[:, None], 0.0, plan.q), scale)
        near(numbers(answer["v"]), plan.v, scale)
        first, second = np.sort(plan.q, axis=2)[..., :-3:-1].transpose(2, 0, 1)
        tied = second >= first - 1e-9 * scale  # a tie may fall either way to rounding
        clear = ~tied | (question["planner"] != "hard")
        found = numbers(answer["policy"]).reshape(plan.policy.shape)
        near(found[clear], plan.policy[clear], scale / eta if question["planner"] != "hard" else 1)
        ret, entropy, goal, cliff, elbo = map(float, answer["numbers"])
        visits = so.occupancy(world, found, steps)
        near(ret, so.expected_return(world, found, steps), size(ret))
        ends = so.occupancy(world, np.concatenate([found, found[-1:]]), steps + 1)[-1].sum(axis=1)
        near([goal, cliff], [ends[world.where("G")].sum(), ends[world.where("X")].sum()], 1)
        logs = np.log(np.where(found > 0, found, 1.0))
        near(entropy, -(visits * np.where(world.terminal[:, None], 0.0, logs)).sum(), 1)
        near(np.array(list(map(float, answer["visits"])))[~world.terminal], visits.sum(axis=(0, 2))[~world.terminal], 1)
        near(elbo, so.elbo(world, found, steps, eta, prior=UNIFORM), size(elbo))
        if question["planner"] == "optimistic" and np.isfinite(float(answer["evidence"])):
            posterior = so.condition_on_optimality(world, steps, eta, prior=UNIFORM)
            near(float(answer["evidence"]), posterior.log_evidence, size(posterior.log_evidence))
            assert near_bent(world, answer, posterior, steps)
        compared += 1


def near_bent(world, answer, posterior, steps):
    """The dynamics that the picture shows for the first step."""
    if steps < 2:
        return True
    bent = np.zeros((world.n_states, 4, world.n_states))
    for i, (to, p) in enumerate(zip(answer["next"], answer["bent"], strict=True)):
        bent[i // 12, i % 12 // 3, to] += float(p)
    live = np.isfinite(posterior.log_backward_s[0]) & ~world.terminal
    pairs = live[:, None] & np.isfinite(posterior.log_backward_sa[0])
    np.testing.assert_allclose(bent[pairs], posterior.dynamics_at(0)[pairs], atol=1e-9)
    return True


def test_plans_without_a_horizon(javascript):
    rng, compared = np.random.default_rng(1), 0
    while compared < 300:
        gamma = float(rng.choice([0.5, 0.9, 0.99, 1.0]))
        question = {**random_question(rng), "horizon": 0, "gamma": gamma}
        if question["stepReward"] > -0.05 and gamma == 1:
            continue  # going on for ever would pay: tested below
        try:
            world = make_world(question, gamma)
            plan = PLANS[question["planner"]](world, question["temperature"], tolerance=1e-11)
        except ValueError as error:
            assert "allowed action" in str(error) or "no terminal state can be reached" in str(error)
            if "no terminal" in str(error):
                assert "error" in javascript("solve", question)
            continue
        except so.NotConverged:
            assert "error" in javascript("solve", question)
            continue
        answer = javascript("solve", question)
        assert answer.get("q"), (question, answer)
        scale = max(size(plan.v), question["temperature"]) * 10
        near(numbers(answer["v"])[0], plan.v, scale)
        near(numbers(answer["q"]).reshape(plan.q.shape), np.where(world.terminal[:, None], 0.0, plan.q), scale)
        if not answer.get("error"):
            near(float(answer["numbers"][0]), so.expected_return(world, numbers(answer["policy"]).reshape(plan.policy.shape)), scale)
        compared += 1


@pytest.mark.parametrize(
    "change, message",
    [({"rows": ["S#G", "..."], "slip": 0.0}, None), ({"rows": ["S#G"]}, "no horizon every cell needs a way"), ({"stepReward": 1.0}, "do not settle")],
)
def test_impossible_values_are_a_sentence(javascript, change, message):
    rewards = {"stepReward": -1, "goalReward": 0, "cliffReward": -50}
    question = {"rows": ["S.G"], "slip": 0.1, **rewards, "temperature": 1, "planner": "soft", "horizon": 0, "gamma": 1}
    answer = javascript("solve", {**question, **change})
    assert (message in answer["error"]) if message else "error" not in answer


def test_inference_in_hidden_markov_models(javascript):
    rng = np.random.default_rng(2)
    for _ in range(300):
        noise, stay, steps = rng.random() / 2, rng.random(), rng.integers(2, 14)
        x = rng.integers(2, size=steps)
        parts = ([0.5, 0.5], [[stay, 1 - stay], [1 - stay, stay]], [[1 - noise, noise], [noise, 1 - noise]])
        model = so.HMM(*map(np.array, parts))
        answer = javascript("infer", {"initial": parts[0], "transition": parts[1], "emission": parts[2], "x": x.tolist()})
        np.testing.assert_allclose(answer["filtered"], model.filter(x), atol=1e-12)
        np.testing.assert_allclose(answer["smoothed"], model.smooth(x), atol=1e-12)
        np.testing.assert_allclose(answer["predicted"][-1], model.predict(x, 1)[0], atol=1e-12)
        assert answer["logEvidence"] == pytest.approx(model.log_evidence(x), abs=1e-10)
        decoded = model.decode(x)
        assert answer["logJoint"] == pytest.approx(decoded.log_prob, abs=1e-10)


def test_an_observation_that_no_state_can_show_is_a_sentence(javascript):
    answer = javascript("infer", {"initial": [0.5, 0.5], "transition": [[1, 0], [0, 1]], "emission": [[1, 0], [0, 1]], "x": [0, 1]})
    assert "day 2" in answer["error"]
