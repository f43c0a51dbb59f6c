"""Monotonic networks against SciPy's quadrature, block autoregressive ones against their structure."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from flowvi.bijections import BlockAutoregressive, MonotonicNetwork, trainable
from flowvi.bijections.block_autoregressive import CLAMP
from flowvi.bijections.monotonic_network import LOG_SLOPE, STEEPNESS
from flowvi.errors import FlowError


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def integrand(u, parameters, bound):
    """exp(z(u)) by the formula of the docstring."""
    a, shifts, log_steepness = np.split(parameters[1:], 3)
    m = np.linspace(-bound, bound, 2 * len(a) + 1)[1::2] + shifts
    w = STEEPNESS / bound * 2 ** np.tanh(log_steepness / np.log(2))
    z = np.sum(a * np.tanh(w * (u - m))) / (1 + np.sum(np.abs(a)) / LOG_SLOPE)
    return np.exp(z)


@pytest.mark.parametrize("scale", [0.3, 3.0, 1e6])
@pytest.mark.parametrize("bound", [5.0, 0.7])
def test_monotonic_network_is_the_integral(scale, bound):
    rng = np.random.default_rng(0)
    parameters = scale * rng.normal(size=(12, 13))
    # bends stay in sight, else the integrand is a constant
    parameters[:, 5:9] = rng.normal(size=(12, 4)) * bound / 2
    x = np.concatenate([bound * rng.uniform(-1, 1, 8), bound * np.array([-30, -1.5, 1.5, 30])])
    y, log_slope = MonotonicNetwork(features=4, bound=bound).forward_and_log_det(
        jnp.asarray(x), jnp.asarray(parameters.T)
    )
    for i in range(12):
        end = np.clip(x[i], -bound, bound)
        inside, _ = scipy.integrate.quad(
            integrand, 0, end, args=(parameters[i], bound), epsabs=1e-12, epsrel=1e-12, limit=500
        )
        slope = integrand(end, parameters[i], bound)
        expected = parameters[i, 0] + inside + (x[i] - end) * slope
        assert float(y[i]) == pytest.approx(expected, rel=1e-12, abs=1e-9 * bound)
        assert float(log_slope[i]) == pytest.approx(np.log(slope), abs=1e-8)
    assert float(jnp.max(jnp.abs(log_slope))) < LOG_SLOPE


def test_monotonic_network_is_refused_without_room():
    for sizes in ({"features": 0}, {"bound": 0.0}, {"bound": np.inf}):
        with pytest.raises(FlowError, match="usual"):
            MonotonicNetwork(**sizes)


def moved(layer, scale):
    rng = np.random.default_rng(3)
    parameters, rest = eqx.partition(layer, trainable(layer))
    parameters = jax.tree.map(lambda a: jnp.asarray(a + scale * rng.normal(size=a.shape)), parameters)
    return eqx.combine(parameters, rest)


@pytest.mark.parametrize("scale", [0.5, 50.0])
def test_block_autoregressive_is_triangular_with_a_bounded_slope(scale):
    layer = moved(BlockAutoregressive(4, key=0, width=3, depth=2), scale)
    x = jnp.asarray(3 * np.random.default_rng(0).normal(size=(50, 4)))
    jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda x: layer.forward_and_log_det(x)[0])))(x)
    assert np.all(np.triu(jacobian, 1) == 0)
    assert np.all(np.abs(jacobian)[:, *np.tril_indices(4, -1)].max(0) > 0)
    slopes = np.diagonal(jacobian, axis1=1, axis2=2)
    assert np.all((slopes > np.exp(-CLAMP)) & (slopes < np.exp(CLAMP)))
    # the layer bends, rather than being affine; at extreme parameters its units are steps between the points
    assert scale > 1 or np.all(slopes.max(0) - slopes.min(0) > 1e-3)


def test_block_autoregressive_reaches_all_of_the_line():
    layer = moved(BlockAutoregressive(1, key=0, width=4), 3.0)
    y = jnp.array([[-1e6], [-10.0], [0.0], [10.0], [1e6]])
    x, log_det = jax.jit(jax.vmap(layer.inverse_and_log_det))(y)
    there, log_det_there = jax.jit(jax.vmap(layer.forward_and_log_det))(x)
    np.testing.assert_allclose(there, y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, -log_det_there)


@pytest.mark.slow
def test_block_autoregressive_inverse_has_implicit_gradients():
    layer = moved(BlockAutoregressive(3, key=0, width=3, condition_dim=2), 0.5)
    x, condition = jnp.array([0.3, -1.0, 2.0]), jnp.array([1.0, -1.0])
    y = layer.forward_and_log_det(x, condition)[0]
    forward = jax.jit(jax.jacfwd(lambda x, c: layer.forward_and_log_det(x, c)[0], argnums=(0, 1)))
    inverse = jax.jit(jax.jacrev(lambda y, c: layer.inverse_and_log_det(y, c)[0], argnums=(0, 1)))
    of_x, of_condition = forward(x, condition)
    np.testing.assert_allclose(inverse(y, condition)[0], np.linalg.inv(of_x), atol=1e-12)
    np.testing.assert_allclose(inverse(y, condition)[1], -np.linalg.solve(of_x, of_condition), atol=1e-12)


def test_block_autoregressive_of_many_dimensions():
    layer = moved(BlockAutoregressive(300, key=0, width=2), 0.3)
    x = jnp.asarray(np.random.default_rng(0).normal(size=300))
    y, log_det = eqx.filter_jit(layer.forward_and_log_det)(x)
    back, log_det_back = eqx.filter_jit(layer.inverse_and_log_det)(y)
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)
    assert float(log_det_back) == pytest.approx(-float(log_det), rel=1e-9)


def test_block_autoregressive_needs_units():
    with pytest.raises(FlowError, match="width=0"):
        BlockAutoregressive(2, key=0, width=0)
