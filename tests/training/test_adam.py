"""Steps of Adam: against the gradient, and only where they are finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi import flows
from flowvi.training import adam
from flowvi.training.adam import beginning, ravel, with_parameters

STEP_SIZE = 1.6e-2


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_go_into_one_vector_and_back(dtype):
    flow = flows.real_nvp(3, key=0, layers=2, width=4)
    state, (vector, unravel) = beginning(flow, dtype), ravel(flow, dtype)
    assert state.parameters.dtype == state.step_scale.dtype == vector.dtype == dtype
    np.testing.assert_array_equal(state.parameters, vector)
    moved = np.asarray(vector) + np.linspace(0, 1, len(vector), dtype=dtype)
    of_host, of_trace = with_parameters(flow, moved), unravel(jnp.asarray(moved))
    for ours, theirs, before in zip(*map(jax.tree.leaves, (of_host, of_trace, flow)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == before.dtype


def state_of(parameters, average):
    return adam.AdamState(
        parameters=jnp.asarray(parameters),
        optimiser=adam._optimiser().init(jnp.asarray(parameters)),
        average=jnp.asarray(average),
        step_scale=jnp.ones(()),
        bad_in_row=jnp.zeros((), int),
        skipped=jnp.zeros((), int),
    )


GOOD = (jnp.array([1.0, -3.0]), jnp.array(True))
BAD = {
    "most draws unusable": (jnp.array([1.0, -3.0]), jnp.array(False)),
    "gradient not finite": (jnp.array([1.0, jnp.nan]), jnp.array(True)),
}
each_bad = pytest.mark.parametrize("bad", BAD.values(), ids=BAD)


def update(state, step):
    return adam.adam_step(state, *step, jnp.asarray(STEP_SIZE))


def test_a_step_goes_against_the_gradient():
    state = update(state_of([0.0, 0.0], [0.0, 0.0]), GOOD)
    # Adam's first step has the size of the step size
    np.testing.assert_allclose(state.parameters, [-STEP_SIZE, STEP_SIZE], rtol=1e-4)
    np.testing.assert_allclose(state.average, 0.02 * state.parameters)
    assert state.skipped == 0


@each_bad
def test_three_bad_steps_in_a_row_restore_the_average_with_a_third_of_the_step_size(bad):
    state = update(state_of([1.0, 1.0], [5.0, 5.0]), GOOD)
    before = state
    for n in (1, 2):
        state = update(state, bad)
        np.testing.assert_array_equal(state.parameters, before.parameters)
        assert (state.skipped, state.bad_in_row, state.step_scale) == (n, n, 1)
    average = state.average
    state = update(state, bad)
    np.testing.assert_array_equal(state.parameters, average)
    assert state.skipped == 3
    assert state.bad_in_row == 0
    assert state.step_scale == pytest.approx(1 / 3)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(state.optimiser))
    after = update(state, GOOD)
    np.testing.assert_allclose(
        after.parameters - state.parameters, [-STEP_SIZE / 3, STEP_SIZE / 3], rtol=1e-4
    )


@each_bad
def test_a_good_step_between_bad_ones_starts_the_count_anew(bad):
    state = state_of([1.0, 1.0], [5.0, 5.0])
    for step in (bad, bad, GOOD, bad, bad):
        state = update(state, step)
    assert (state.skipped, state.bad_in_row, state.step_scale) == (4, 2, 1)
    assert np.all(np.isfinite(state.parameters))
