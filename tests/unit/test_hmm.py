"""Each answer of a hidden Markov model against all hidden paths written out, and against numbers that others published."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soft_optimality as so
from soft_optimality import hmm

UMBRELLA = so.HMM([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], [[0.9, 0.1], [0.2, 0.8]])  # rain or not, umbrella or not
SEEN = [0, 0, 1, 0, 0]


def sparse_rows(rng, shape):
    """Random distributions with zeros among them."""
    p = rng.dirichlet(np.ones(shape[-1]), shape[:-1]) * (rng.random(shape) < 0.7)
    p += 0.05 * np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]
    return p / p.sum(axis=-1, keepdims=True)


@st.composite
def models(draw, max_steps=6):
    """A tiny model, zeros among its probabilities, and a sequence that it can emit."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, symbols = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    model = so.HMM(sparse_rows(rng, (states,)), sparse_rows(rng, (states, states)), sparse_rows(rng, (states, symbols)))
    return model, model.sample(draw(st.integers(1, max_steps)), rng).observations


def all_paths(model, x):
    """Every hidden path with p(path, x), from the definition."""
    paths = np.array(list(product(range(model.n_states), repeat=len(x))))
    chance = model.initial[paths[:, 0]] * model.emission[paths, x].prod(axis=1)
    return paths, chance * model.transition[paths[:, :-1], paths[:, 1:]].prod(axis=1)


@settings(max_examples=300)
@given(models())
def test_inference_agrees_with_all_hidden_paths(case):
    model, x = case
    states = np.eye(model.n_states)
    paths, joint = all_paths(model, x)
    assert model.log_evidence(x) == pytest.approx(np.log(joint.sum()), abs=1e-11)
    posterior = joint / joint.sum()
    np.testing.assert_allclose(model.smooth(x), np.einsum("n,ntk->tk", posterior, states[paths]), atol=1e-12)
    pairs = np.einsum("n,nti,ntj->tij", posterior, states[paths[:, :-1]], states[paths[:, 1:]])
    np.testing.assert_allclose(model.smooth_pairs(x), pairs, atol=1e-12)
    filtered = model.filter(x)
    for t in range(len(x)):
        some, weight = all_paths(model, x[: t + 1])
        np.testing.assert_allclose(filtered[t], weight @ states[some[:, -1]] / weight.sum(), atol=1e-12)


@settings(max_examples=200)
@given(models())
def test_decoding_finds_the_best_of_all_hidden_paths(case):
    model, x = case
    _, joint = all_paths(model, x)
    found = model.decode(x)
    assert found.log_prob == pytest.approx(np.log(joint.max()), abs=1e-11)
    assert model.log_joint(found.path, x) == pytest.approx(found.log_prob, abs=1e-11)


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_ties_go_to_the_lowest_index_seen_from_the_end(seed):
    """Powers of 2, whose products are exact here: many paths are equally good."""
    rng = np.random.default_rng(seed)
    states, steps = rng.integers(2, 4), rng.integers(1, 7)
    rows = np.array([p for p in product([0, 0.125, 0.25, 0.5, 1], repeat=states) if sum(p) == 1])
    pairs = np.array([[0, 1], [0.5, 0.5], [1, 0]])
    model = so.HMM(rng.choice(rows), rng.choice(rows, states), rng.choice(pairs, states))
    x = model.sample(steps, rng).observations
    paths, joint = all_paths(model, x)
    best = paths[joint == joint.max()]
    np.testing.assert_array_equal(model.decode(x).path, best[np.lexsort(best.T)[0]])


COARSE = [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5]]  # few different numbers, many ties


@pytest.mark.parametrize("transition", [COARSE, np.eye(3), np.roll(np.eye(3), 1, axis=0), [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]]])
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 50, 101, 1000])
def test_blocks_do_not_change_the_path(steps, transition, monkeypatch):
    """Also where blocks never forget what they start with."""
    rng = np.random.default_rng(steps)
    model, x = so.HMM([0.2, 0.3, 0.5], transition, COARSE), rng.integers(3, size=steps)
    monkeypatch.setattr(hmm._Viterbi, "shortest", 2)
    in_blocks = model.decode(x).path
    monkeypatch.setattr(hmm._Viterbi, "few_states", 0)
    np.testing.assert_array_equal(model.decode(x).path, in_blocks)


def test_ties_go_to_the_lowest_index():
    even = so.HMM([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]])
    assert even.decode([0, 1, 0, 1]).path.tolist() == [0, 0, 0, 0]


@settings(max_examples=100)
@given(models(max_steps=4), st.integers(1, 3))
def test_prediction_agrees_with_all_futures(case, steps):
    model, x = case
    joint_ahead = np.zeros((steps, model.n_states))
    for path, weight in zip(*all_paths(model, x), strict=True):
        p = np.eye(model.n_states)[path[-1]] * weight
        for k in range(steps):
            p = p @ model.transition
            joint_ahead[k] += p
    expected = joint_ahead / joint_ahead[0].sum()
    np.testing.assert_allclose(model.predict(x, steps), expected, atol=1e-12)
    np.testing.assert_allclose(model.predict_observations(x, steps), expected @ model.emission, atol=1e-12)


@settings(max_examples=60)
@given(models(max_steps=5), models(max_steps=5))
def test_a_step_of_baum_welch_is_the_step_of_expected_counts(case, other):
    model, x = case
    second = [y for y in other[1] if y < model.n_symbols] or [x[0]]
    try:
        model.log_evidence(second)
    except ValueError:
        second = x
    first, moves, shown = np.zeros(model.n_states), np.zeros(model.transition.shape), np.zeros(model.emission.shape)
    for y in (x, np.array(second)):
        paths, joint = all_paths(model, y)
        for path, weight in zip(paths, joint / joint.sum(), strict=True):
            first[path[0]] += weight
            np.add.at(moves, (path[:-1], path[1:]), weight)
            np.add.at(shown, (path, y), weight)
    fitted = model.fit([x, second], iterations=1, tolerance=0.0)
    np.testing.assert_allclose(fitted.initial, first / 2, atol=1e-12)
    for found, counts, old in ((fitted.transition, moves, model.transition), (fitted.emission, shown, model.emission)):
        for row, total, before in zip(found, counts, old, strict=True):
            np.testing.assert_allclose(row, total / total.sum() if total.sum() > 1e-13 else before, atol=1e-9)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_learning_never_lowers_the_evidence(seed):
    rng = np.random.default_rng(seed)
    truth = so.HMM(rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(4), 3))
    data = [truth.sample(n, rng).observations for n in (40, 1, 25)]
    start = so.HMM(rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(4), 3))
    seen = []
    fitted = start.fit(data, iterations=30, tolerance=0.0, on_step=lambda model, evidence: seen.append(evidence))
    assert (np.diff(seen) >= -1e-9).all()
    assert sum(fitted.log_evidence(x) for x in data) == pytest.approx(seen[-1], abs=1e-9)
    assert seen[0] == pytest.approx(sum(start.log_evidence(x) for x in data), abs=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 9, 10, 50, 101, 1000])
@pytest.mark.parametrize("states", [1, 3, 40])
def test_blocks_of_every_size_agree_with_the_recursion_in_logarithms(steps, states):
    rng = np.random.default_rng(steps)
    model = so.HMM(sparse_rows(rng, (states,)), sparse_rows(rng, (states, states)), sparse_rows(rng, (states, 5)))
    x = model.sample(steps, rng).observations
    assert_agrees_with_logarithms(model, x)


def assert_agrees_with_logarithms(model, x, atol=1e-9):
    evidence, filtered, _, smoothed = in_logarithms(model, x)
    assert model.log_evidence(x) == pytest.approx(evidence, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(model.filter(x), filtered, atol=atol)
    np.testing.assert_allclose(model.smooth(x), smoothed, atol=atol)


def in_logarithms(model, x):
    """log evidence, p(Z_t | X_1..t), p(Z_t, Z_{t+1} | X) and p(Z_t | X): the recursion with nothing scaled."""
    with np.errstate(divide="ignore"):
        move, seen = np.log(model.transition), np.log(model.emission).T[x]
        forward, backward = np.empty(seen.shape), np.zeros(seen.shape)
        forward[0] = np.log(model.initial) + seen[0]
    for t in range(1, len(x)):
        forward[t] = np.logaddexp.reduce(forward[t - 1][:, None] + move, axis=0) + seen[t]
    for t in range(len(x) - 2, -1, -1):
        backward[t] = np.logaddexp.reduce(move + seen[t + 1] + backward[t + 1], axis=1)
    evidence = np.logaddexp.reduce(forward[-1])
    filtered = np.exp(forward - np.logaddexp.reduce(forward, axis=1)[:, None])
    pairs = np.exp(forward[:-1, :, None] + move + (seen + backward)[1:, None, :] - evidence)
    return evidence, filtered, pairs, np.exp(forward + backward - evidence)


LIKELY = [[0.9, 0.1], [0.1, 0.9]]
COMEBACKS = {  # where a state falls far below 1e-308 of another, and is needed in the end
    "a fixed state": (so.HMM([0.5, 0.5], np.eye(2), LIKELY), [0] * 1000 + [1] * 1100),
    "a fixed state, ruled out": (so.HMM([0.5, 0.5], np.eye(2), [[1, 0], [0.01, 0.99]]), [0] * 500 + [1]),
    "two tiny steps": (so.HMM([0.5, 0.5], np.eye(2), [[1, 0, 0], [1e-300, 0.5, 0.5]]), [0, 0, 1, 2]),
    "one tiny move": (so.HMM([1, 0], [[1, 1e-300], [0, 1]], [[1, 0], [1e-300, 1]]), [0] * 40 + [1] * 9),
    "tiny emissions": (so.HMM([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], [[1e-300, 1], [2e-300, 1]]), [0] * 2000),
    "tiny start": (so.HMM([1, 1e-320], np.eye(2), [[1, 0], [1e-5, 1 - 1e-5]]), [0, 0, 0, 1]),
    "absorbed": (so.HMM([1, 0, 0], [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]], [[1, 0], [0.999, 0.001], [1e-9, 1 - 1e-9]]), [0] * 200 + [1] * 300),
    "a cycle": (so.HMM([1, 0, 0], np.roll(np.eye(3), 1, axis=1), [[1e-200, 1], [1, 0], [1e-200, 1]]), [0] * 300),
    "an unreachable state explains the rest better": (
        so.HMM([0.6, 0.4, 0], [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]], [[2e-12, 1 - 2e-12], [2.1e-12, 1 - 2.1e-12], [1, 0]]),
        [0] * 1000,
    ),
    "nine fixed states": (so.HMM(np.ones(9) / 9, np.eye(9), np.eye(9) * 0.91 + 0.01), [0] * 400 + [1] * 410 + [2] * 420),
}


@pytest.mark.parametrize("name", COMEBACKS)
@pytest.mark.filterwarnings("error")
def test_a_state_far_behind_may_come_back(name):
    model, x = COMEBACKS[name]
    x = np.array(x)
    evidence, filtered, pairs, smoothed = in_logarithms(model, x)
    assert model.log_evidence(x) == pytest.approx(evidence, rel=1e-12)
    np.testing.assert_allclose(model.filter(x), filtered, atol=1e-8)
    np.testing.assert_allclose(model.smooth(x), smoothed, atol=1e-8)
    np.testing.assert_allclose(model.smooth_pairs(x), pairs, atol=1e-8)
    assert model.decode(x).log_prob <= evidence + 1e-8
    fitted = model.fit(x, iterations=1)
    counts = pairs.sum(axis=0)
    for row, total, old in zip(fitted.transition, counts, model.transition):
        np.testing.assert_allclose(row, total / total.sum() if total.sum() > 0 else old, atol=1e-6)
    np.testing.assert_allclose(fitted.initial, smoothed[0], atol=1e-8)
    assert fitted.log_evidence(x) >= evidence - 1e-8


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_probabilities_of_every_size_agree_with_logarithms(seed):
    """From 1 down to 1e-300 and to 0, and a sequence drawn from all that is possible, likely or not."""
    rng = np.random.default_rng(seed)
    states, steps = rng.integers(1, 5), rng.integers(1, 40)

    def rows(shape):
        p = sparse_rows(rng, shape) * 10.0 ** rng.choice([0, -5, -80, -300], shape)
        return p / p.sum(axis=-1, keepdims=True)

    model = so.HMM(rows((states,)), rows((states, states)), rows((states, 3)))
    flat = so.HMM(*((p > 0) / (p > 0).sum(axis=-1, keepdims=True) for p in (model.initial, model.transition, model.emission)))
    x = flat.sample(steps, rng).observations
    evidence, filtered, pairs, smoothed = in_logarithms(model, x)
    assert model.log_evidence(x) == pytest.approx(evidence, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(model.filter(x), filtered, atol=1e-9)
    np.testing.assert_allclose(model.smooth(x), smoothed, atol=1e-9)
    np.testing.assert_allclose(model.smooth_pairs(x), pairs, atol=1e-9)
    assert np.isfinite(model.fit(x, iterations=2).transition).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 50, 101])
@pytest.mark.parametrize("numbers", ["_Scaled", "_Logs"])
def test_both_kinds_of_number_give_the_same_messages(steps, numbers):
    rng = np.random.default_rng(steps)
    model = so.HMM(sparse_rows(rng, (3,)), sparse_rows(rng, (3, 3)), sparse_rows(rng, (3, 4)))
    x = model.sample(steps, rng).observations
    scan = hmm._Scan(model, x, getattr(hmm, numbers))
    evidence, filtered, pairs, smoothed = in_logarithms(model, x)
    assert scan.log_scales.sum() == pytest.approx(evidence, abs=1e-10)
    np.testing.assert_allclose(scan.numbers.plain(scan.filtered).T, filtered, atol=1e-10)
    np.testing.assert_allclose(scan.smoothed(scan.backward()).T, smoothed, atol=1e-10)
    moves = scan.numbers.expected_moves(scan.move, *scan.around_moves(scan.backward()))
    np.testing.assert_allclose(moves, pairs.sum(axis=0), atol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "left to right", "near zero"])
def test_a_hundred_thousand_steps_do_not_underflow(kind):
    rng = np.random.default_rng(0)
    transition, emission = rng.dirichlet(np.ones(4), 4), rng.dirichlet(np.ones(6), 4)
    if kind == "left to right":  # each state is left after 20,000 steps on average and never entered again
        transition = np.eye(4) * (1 - 5e-5) + np.eye(4, k=1) * 5e-5
        transition[3] = [0, 0, 0, 1]
    if kind == "near zero":
        emission = np.vstack([[1 - 5e-30] + [1e-30] * 5, [1e-30] * 5 + [1 - 5e-30], emission[2:]])
    model = so.HMM([1.0, 0, 0, 0], transition, emission)
    # it is the logarithms that are rounded: at -1e5 they keep eleven digits behind the point, and their errors add up
    assert_agrees_with_logarithms(model, model.sample(100_000, rng).observations, atol=1e-6)


def test_the_umbrella_as_hmmlearn_has_it():
    assert UMBRELLA.log_evidence(SEEN) == pytest.approx(-3.3725, abs=5e-5)
    smoothed = [[0.8673, 0.1327], [0.8204, 0.1796], [0.3075, 0.6925], [0.8204, 0.1796], [0.8673, 0.1327]]
    np.testing.assert_allclose(UMBRELLA.smooth(SEEN), smoothed, atol=5e-5)
    assert UMBRELLA.decode(SEEN).path.tolist() == [0, 0, 1, 0, 0]
    assert UMBRELLA.decode(SEEN).log_prob == pytest.approx(-4.4590, abs=5e-5)


def test_the_weather_as_hmmlearn_has_it():
    weather = so.HMM([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]])
    assert weather.decode([0, 1, 2]).path.tolist() == [1, 0, 0]
    assert np.exp(weather.decode([0, 1, 2]).log_prob) == pytest.approx(0.01344, abs=1e-15)
    expected = [[0.23170303, 0.76829697], [0.62406281, 0.37593719], [0.86397706, 0.13602294]]
    np.testing.assert_allclose(weather.smooth([0, 1, 2]), expected, atol=2e-7)


def test_samples_have_the_frequencies_of_the_model():
    drawn = UMBRELLA.sample(200_000, np.random.default_rng(0))
    stay = (drawn.states[1:] == drawn.states[:-1]).mean()
    assert stay == pytest.approx(0.7, abs=4 * np.sqrt(0.7 * 0.3 / 200_000))
    right = np.mean(UMBRELLA.emission[drawn.states, 0]), (drawn.observations == 0).mean()
    assert right[0] == pytest.approx(right[1], abs=4 * np.sqrt(0.25 / 200_000))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: so.HMM([0.5, 0.6], UMBRELLA.transition, UMBRELLA.emission), "initial = row with sum 1.1"),
        (lambda: so.HMM([0.5, 0.5], np.eye(3), UMBRELLA.emission), r"transition has shape \(3, 3\), expected \(2, 2\)"),
        (lambda: so.HMM([0.5, 0.5], [[1.2, -0.2], [0, 1]], UMBRELLA.emission), r"transition\[0, 1\] = -0.2"),
        (lambda: so.HMM([0.5, 0.5], np.eye(2), [[0.5, 0.5]]), r"emission has shape \(1, 2\)"),
        (lambda: so.HMM([0.5, 0.5], np.eye(2), [[np.nan, 0.5], [0.5, 0.5]]), r"emission\[0, 0\] = nan"),
        (lambda: UMBRELLA.filter([]), r"x has shape \(0,\)"),
        (lambda: UMBRELLA.filter([[0, 1]]), r"x has shape \(1, 2\)"),
        (lambda: UMBRELLA.smooth([0, 2]), r"x\[1\] = 2: must be between 0 and 1"),
        (lambda: UMBRELLA.decode([0, -1]), r"x\[1\] = -1"),
        (lambda: UMBRELLA.filter([0, 0.5]), r"x\[1\] = .*0.5.*: not a whole number"),
        (lambda: UMBRELLA.filter([0, float("nan")]), r"x\[1\] = .*nan.*: not a whole number"),
        (lambda: UMBRELLA.filter([[0], [0, 1]]), "x: not a sequence of numbers"),
        (lambda: UMBRELLA.filter(["a"]), "x has type <U1, expected whole numbers"),
        (lambda: UMBRELLA.predict([0], 0), "steps = 0"),
        (lambda: UMBRELLA.sample(0, np.random.default_rng(0)), "T = 0"),
        (lambda: UMBRELLA.sample(5, None), "rng = None"),
        (lambda: UMBRELLA.log_joint([0], [0, 1]), "path has length 1, expected 2"),
        (lambda: UMBRELLA.log_joint([0, 5], [0, 1]), r"path\[1\] = 5"),
        (lambda: UMBRELLA.fit([]), "sequences: empty"),
        (lambda: UMBRELLA.fit(3), "sequences = 3: expected one sequence or several"),
        (lambda: UMBRELLA.fit(np.array(3)), "expected one sequence or several"),
        (lambda: UMBRELLA.fit([[0, 1], [0, 3]]), r"sequences\[1\]\[1\] = 3"),
        (lambda: UMBRELLA.fit([0, 1], iterations=0), "iterations = 0"),
        (lambda: UMBRELLA.fit([0, 1], tolerance=-1.0), "tolerance = -1.0"),
    ],
)
def test_bad_arguments_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("method", ["filter", "smooth", "log_evidence", "decode", "smooth_pairs"])
def test_what_no_state_can_emit_is_refused_by_step(method):
    stuck = so.HMM([1.0, 0.0], np.eye(2), [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"x\[3\] = 1: impossible here"):
        getattr(stuck, method)([0, 0, 0, 1, 0])


def test_what_is_impossible_is_told_from_what_is_far_below_float64():
    """After 500 letters the second state has a chance of 1e-1000.  It can still emit b, and then never a again."""
    model = so.HMM([0.5, 0.5, 0], [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], [[1, 0, 0], [0.01, 0.99, 0], [0, 0.5, 0.5]])
    assert np.isfinite(model.log_evidence([0] * 500 + [1, 2]))
    with pytest.raises(ValueError, match=r"x\[502\] = 0: impossible here"):
        model.smooth([0] * 500 + [1, 2, 0])
    with pytest.raises(ValueError, match=r"sequences\[1\]\[502\] = 0: impossible here"):
        model.fit([[0, 0], [0] * 500 + [1, 2, 0]])


def test_the_chain_of_states_and_actions_gives_the_messages_of_optimality():
    """hmm-view: O is an observation with two letters, seen 'optimal' at each step."""
    rng = np.random.default_rng(3)
    states, actions, horizon = 4, 2, 6
    dynamics, reward = rng.dirichlet(np.ones(states), (states, actions)), -2 * rng.random((states, actions))
    prior = rng.dirichlet(np.ones(actions), states)
    world = so.MDP(dynamics, reward)
    posterior = so.condition_on_optimality(world, horizon, prior=prior)
    optimal = np.exp(reward - reward.max()).ravel()
    chain = so.HMM(
        (world.initial[:, None] * prior).ravel(),
        (dynamics[..., None] * prior).reshape(states * actions, -1),
        np.stack([optimal, 1 - optimal], axis=1),
    )
    seen = np.zeros(horizon, dtype=int)
    assert chain.log_evidence(seen) == pytest.approx(posterior.log_evidence - horizon * reward.max(), abs=1e-12)
    np.testing.assert_allclose(chain.smooth(seen).reshape(horizon, states, actions).sum(axis=2), posterior.states, atol=1e-12)
    for t in range(1, horizon):
        ahead = chain.predict(seen[:t], 1)[0].reshape(states, actions).sum(axis=1)
        np.testing.assert_allclose(ahead, np.exp(posterior.log_forward[t]), atol=1e-12)
