"""Each answer of a hidden Markov model against all hidden paths written out, and against numbers that others published."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

import soft_optimality as so

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
    """The textbook recursion, in logs, one step at a time."""
    with np.errstate(divide="ignore"):
        move, seen = np.log(model.transition), np.log(model.emission).T[x]
        forward, backward = np.empty(seen.shape), np.zeros(seen.shape)
        forward[0] = np.log(model.initial) + seen[0]
    for t in range(1, len(x)):
        forward[t] = np.logaddexp.reduce(forward[t - 1][:, None] + move, axis=0) + seen[t]
    for t in range(len(x) - 2, -1, -1):
        backward[t] = np.logaddexp.reduce(move + seen[t + 1] + backward[t + 1], axis=1)
    evidence = logsumexp(forward[-1])
    assert model.log_evidence(x) == pytest.approx(evidence, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(model.filter(x), np.exp(forward - logsumexp(forward, axis=1, keepdims=True)), atol=atol)
    np.testing.assert_allclose(model.smooth(x), np.exp(forward + backward - evidence), atol=atol)


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
        (lambda: UMBRELLA.predict([0], 0), "steps = 0"),
        (lambda: UMBRELLA.sample(0, np.random.default_rng(0)), "T = 0"),
        (lambda: UMBRELLA.sample(5, None), "rng = None"),
        (lambda: UMBRELLA.log_joint([0], [0, 1]), "path has length 1, expected 2"),
        (lambda: UMBRELLA.log_joint([0, 5], [0, 1]), r"path\[1\] = 5"),
        (lambda: UMBRELLA.fit([]), "sequences: empty"),
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
