"""What every target promises, over the table in `target_cases`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from target_cases import TARGETS

from flowvi.errors import DataError


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return TARGETS[request.param]()


def points(target, n=4, seed=0, size=1.0):
    return size * np.random.default_rng(seed).normal(size=(n, target.dim))


def test_constrain_and_unconstrain_are_inverse(target):
    z = points(target)
    draws = target.constrain(z)
    for i, one in enumerate(z):
        back = target.unconstrain({name: values[i] for name, values in draws.items()})
        np.testing.assert_allclose(back, one, rtol=1e-9, atol=1e-9)
        assert back.dtype == np.float64


def test_draws_are_double_precision_with_the_flag_left_alone(target):
    before = jax.config.jax_enable_x64
    draws = target.constrain(points(target))
    assert jax.config.jax_enable_x64 == before
    assert all(values.dtype == np.float64 and len(values) == 4 for values in draws.values())
    # single precision would show in the seventh digit
    again = target.constrain(points(target) + 1e-10)
    assert any(np.any(draws[name] != again[name]) for name in draws)


def test_coordinates_label_every_column(target):
    assert len(target.coordinates) == len(set(target.coordinates)) == target.dim
    names = {label.partition("[")[0] for label in target.coordinates}
    assert names <= set(target.constrain(points(target, 1)))


def test_gradient_is_that_of_the_density(target):
    with jax.enable_x64(True):
        z = points(target, 1)[0]
        value_of = jax.jit(jax.vmap(target.log_density))
        h = 1e-5
        steps = h * np.eye(target.dim)
        slopes = (np.asarray(value_of(z + steps)) - np.asarray(value_of(z - steps))) / (2 * h)
        gradient = jax.jit(jax.grad(target.log_density))(jnp.asarray(z))
        assert gradient.dtype == jnp.float64
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)


def test_far_points_keep_their_density_finite(target):
    with jax.enable_x64(True):
        values = jax.jit(jax.vmap(target.log_density))(points(target, size=3.0))
    assert np.all(np.isfinite(values))


def test_a_missing_parameter_is_named(target):
    draws = target.constrain(points(target, 1))
    values = {name: value[0] for name, value in draws.items()}
    missing = target.coordinates[-1].partition("[")[0]
    del values[missing]
    with pytest.raises(DataError, match=f"'{missing}'"):
        target.unconstrain(values)


def test_a_value_of_the_wrong_shape_is_an_error(target):
    values = {name: value[0] for name, value in target.constrain(points(target, 1)).items()}
    name = target.coordinates[0].partition("[")[0]
    values[name] = np.zeros((9, 9))
    with pytest.raises(DataError, match=rf"'{name}' has shape \(9, 9\)"):
        target.unconstrain(values)
