"""Training a flow for an objective: where it gets, what it counts, how it ends."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowvi
from flowvi import flows, objectives
from flowvi.errors import ArgumentError, DensityError, FlowError
from flowvi.objectives import Objective

LOCATION = np.array([1.0, -2.0, 0.5])
SCALE_TRIL = np.array([[2.0, 0.0, 0.0], [1.5, 0.5, 0.0], [-0.5, 0.3, 1.0]])
COVARIANCE = SCALE_TRIL @ SCALE_TRIL.T
PRECISION = np.linalg.inv(COVARIANCE)


def correlated(z):
    return -0.5 * (z - LOCATION) @ PRECISION @ (z - LOCATION)


def standard(z):
    return -0.5 * z @ z


def moments(flow):
    """Mean and covariance of an affine flow of a standard normal."""
    with jax.enable_x64(True):
        images = jax.vmap(lambda x: flow.bijection.forward_and_log_det(x)[0])
        points = np.asarray(images(jnp.concatenate([jnp.zeros((1, flow.dim)), jnp.eye(flow.dim)])))
    matrix = (points[1:] - points[0]).T
    return points[0], matrix @ matrix.T


def kl(flow):
    """KL(q || p) of an affine flow from the correlated Gaussian."""
    mean, covariance = moments(flow)
    off = mean - LOCATION
    log_dets = np.linalg.slogdet(COVARIANCE)[1] - np.linalg.slogdet(covariance)[1]
    return 0.5 * (np.trace(PRECISION @ covariance) + off @ PRECISION @ off - flow.dim + log_dets)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_correlated_gaussian_is_reached(precision):
    flow = flows.gaussian(3)
    trained = flowvi.train(
        flow, objectives.reverse_kl(correlated), key=0, step_size=0.05, precision=precision
    )
    assert kl(flow) > 1
    assert kl(trained.flow) < 1e-3
    assert trained.curve.shape == (2000,)
    assert trained.curve.dtype == np.float64
    log_evidence = 0.5 * np.linalg.slogdet(2 * np.pi * COVARIANCE)[1]
    assert trained.curve[-1] == pytest.approx(-log_evidence, abs=0.01)
    assert (trained.skipped, trained.nonfinite, trained.interrupted) == (0, 0, False)
    # the flow that was given is as it was, and the one that comes back in its precision
    assert np.array_equal(moments(flow)[1], np.eye(3))
    types = {leaf.dtype for leaf in jax.tree.leaves(eqx.filter(trained.flow, eqx.is_inexact_array))}
    assert types == {np.dtype("float64")}


def test_forward_kl_reaches_the_moments_of_weighted_draws():
    rng = np.random.default_rng(0)
    draws = LOCATION + rng.normal(size=(2000, 3)) @ SCALE_TRIL.T
    weights = rng.exponential(size=2000)
    weights /= weights.sum()
    objective = objectives.forward_kl(draws, np.log(weights))
    trained = flowvi.train(flows.gaussian(3), objective, key=0, step_size=0.05)
    mean, covariance = moments(trained.flow)
    exact = weights @ draws
    off = draws - exact
    np.testing.assert_allclose(mean, exact, atol=0.03)
    np.testing.assert_allclose(covariance, off.T @ (weights[:, None] * off), atol=0.1)


def test_steps_at_fault_are_skipped_and_counted_and_their_losses_kept():
    def broken_to_the_right(z):
        return jnp.where(z[0] > 0.0, jnp.nan, -0.5 * z @ z)

    # a step is not trusted where more than half of the draws are at fault
    objective = objectives.reverse_kl(broken_to_the_right)
    trained = flowvi.train(flows.gaussian(2), objective, key=0, steps=20, step_size=1e-9)
    assert 0 < trained.skipped < 20
    assert np.sum(np.isnan(trained.curve)) == trained.skipped
    assert 0.4 < trained.nonfinite / (20 * 128) < 0.6
    np.testing.assert_allclose(moments(trained.flow)[1], np.eye(2), atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (objectives.reverse_kl(lambda z: jnp.nan * z[0]), r"3 training steps .* 384 draws had no finite"),
        (
            objectives.reverse_kl(lambda z: jnp.where(z[0] > -0.5, jnp.nan, -z @ z)),
            r"None of 3 training steps",
        ),
    ],
    ids=["NaN everywhere", "NaN at most draws"],
)
def test_where_no_step_can_be_taken_there_is_no_flow(objective, words):
    with pytest.raises(DensityError, match=words):
        flowvi.train(flows.gaussian(2), objective, key=0, steps=3, chunk=2)


def test_draws_at_fault_are_counted_where_training_goes_on():
    def comb(z):
        return jnp.where(jnp.cos(1e4 * z[0]) > np.cos(0.1 * np.pi), jnp.nan, correlated(z))

    trained = flowvi.train(flows.gaussian(3), objectives.reverse_kl(comb), key=0, step_size=0.05)
    assert trained.skipped == 0
    assert trained.nonfinite == pytest.approx(0.1 * 2000 * 128, rel=0.05)
    assert kl(trained.flow) < 1e-2


class Interrupted(Objective):
    """An objective during whose second chunk Ctrl-C is pressed."""

    inner: Objective
    pressed: list = eqx.field(static=True)

    def check(self, flow):
        self.inner.check(flow)

    def draw(self, flow, rng, steps):
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed.append(True)
        return self.inner.draw(flow, rng, steps)

    def estimate(self, flow, draws, step):
        return self.inner.estimate(flow, draws, step)


class _Identity(list):
    __hash__ = object.__hash__


def test_what_was_computed_before_ctrl_c_is_returned():
    objective = Interrupted(objectives.reverse_kl(correlated), _Identity())
    trained = flowvi.train(flows.gaussian(3), objective, key=0, steps=200, chunk=50)
    assert trained.interrupted
    assert trained.curve.shape == (50,)
    whole = flowvi.train(flows.gaussian(3), objectives.reverse_kl(correlated), key=0, steps=200, chunk=50)
    np.testing.assert_allclose(trained.curve, whole.curve[:50], rtol=1e-5)


class Data(eqx.Module):
    """A log density with an array, which counts how often it is traced."""

    location: jax.Array
    traces: _Identity = eqx.field(static=True)

    def __call__(self, z):
        self.traces.append(True)
        return -0.5 * jnp.sum((z - self.location) ** 2)


def test_new_data_of_the_same_shape_compile_nothing():
    traces, counts, reached = _Identity(), [], []
    for location in (1.0, 3.0):
        target = Data(jnp.full(2, location), traces)
        trained = flowvi.train(
            flows.gaussian(2), objectives.reverse_kl(target), key=0, steps=500, step_size=0.05
        )
        counts.append(len(traces))
        reached.append(moments(trained.flow)[0].round(1).tolist())
    # once more to check its shape
    assert counts[0] > 1
    assert counts[1] == counts[0] + 1
    assert reached == [[1.0, 1.0], [3.0, 3.0]]


def test_the_number_of_the_step_is_that_of_all_chunks():
    objective = objectives.reverse_kl(objectives.annealed(lambda z: -1e3 + 0 * z[0], lambda step: 1.0 + step))
    trained = flowvi.train(flows.gaussian(1), objective, key=0, steps=6, chunk=3, step_size=1e-9)
    np.testing.assert_allclose(np.diff(trained.curve), 1e3, atol=2.0)


def test_the_last_state_or_the_average_of_the_last():
    settings = {"key": 0, "steps": 50, "step_size": 0.05}
    objective = objectives.reverse_kl(correlated)
    means = [
        moments(flowvi.train(flows.gaussian(3), objective, average=average, **settings).flow)[0]
        for average in (True, False)
    ]
    # the average lags behind
    assert np.all(np.abs(means[0]) < np.abs(means[1]))
    assert np.all(np.abs(means[0]) > 0)


def test_a_schedule_of_zero_moves_nothing_and_a_key_gives_the_same_twice():
    objective = objectives.reverse_kl(correlated)
    still, same = (
        flowvi.train(flows.gaussian(3), objective, key=jax.random.key(4), steps=20, schedule=np.zeros_like)
        for _ in range(2)
    )
    other = flowvi.train(flows.gaussian(3), objective, key=5, steps=20, schedule=np.zeros_like)
    np.testing.assert_array_equal(moments(still.flow)[1], np.eye(3))
    np.testing.assert_array_equal(still.curve, same.curve)
    assert np.all(still.curve != other.curve)


@pytest.mark.parametrize("step_size", [np.float32(0.5), np.float64(0.5), np.int64(1), 1])
def test_a_step_size_of_any_kind_of_number(step_size, as_users_run_it):
    objective = objectives.reverse_kl(standard)
    one, other = (
        flowvi.train(flows.gaussian(2), objective, key=0, steps=2, step_size=size).curve
        for size in (step_size, float(step_size))
    )
    np.testing.assert_array_equal(one, other)


def test_progress_is_printed(capsys):
    flowvi.train(flows.gaussian(2), objectives.reverse_kl(standard), key=0, steps=20, progress=True)
    assert "step 20 of 20" in capsys.readouterr().err


OBJECTIVE = objectives.reverse_kl(standard)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"flow": 3}, ArgumentError, "flow"),
        ({"objective": standard}, ArgumentError, "objective"),
        ({"steps": 0}, ArgumentError, "steps"),
        ({"chunk": True}, ArgumentError, "chunk"),
        ({"step_size": -1.0}, ArgumentError, "step_size"),
        ({"step_size": np.inf}, ArgumentError, "step_size"),
        ({"schedule": "linear"}, ArgumentError, "schedule"),
        ({"schedule": lambda done: 1.0}, ArgumentError, "schedule"),
        ({"precision": "float16"}, ArgumentError, "precision"),
        ({"key": "seed"}, FlowError, "key"),
        ({"objective": objectives.reverse_kl(lambda z: z)}, DensityError, r"\(2,\)"),
        ({"objective": objectives.reverse_kl(standard, condition=np.zeros(3))}, FlowError, "condition"),
        ({"objective": objectives.log_likelihood(np.zeros((4, 3)))}, FlowError, "dim 3"),
        (
            {"objective": objectives.reverse_kl(flowvi.Target.from_log_density(standard, jnp.zeros(3)))},
            FlowError,
            "dim 3",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message, as_users_run_it):
    given = {"flow": flows.gaussian(2), "objective": OBJECTIVE, "key": 0} | arguments
    with pytest.raises(error, match=message):
        flowvi.train(given.pop("flow"), given.pop("objective"), **given)
