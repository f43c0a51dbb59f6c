"""Residual maps: the bound on their slope, the inverse, the estimated log-det."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi.bijections import LipschitzMLP, Residual
from flowvi.bijections.contraction_root import MOST_NEWTON_DIM, contraction_root
from flowvi.bijections.lipschitz import SQUARINGS, bounded, spectral_bound
from flowvi.bijections.russian_roulette import estimated_log_det
from flowvi.errors import FlowError

N = 4_000


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def normal(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def moved(tree, scale):
    """Every number moved at random."""
    rng = np.random.default_rng(5)
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(
        jax.tree.map(lambda a: jnp.asarray(a + scale * rng.normal(size=a.shape)), arrays), rest
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (40, 40), (40, 1)])
def test_spectral_bound_is_from_above_and_close(shape):
    for seed in range(5):
        w = normal(seed, shape)
        largest = np.linalg.svd(w, compute_uv=False)[0]
        bound = spectral_bound(w)
        assert (
            largest * (1 - 1e-12) <= bound <= largest * min(shape) ** (1 / 2 ** (SQUARINGS + 1)) * (1 + 1e-12)
        )


def test_spectral_bound_where_all_singular_values_are_equal():
    # the worst case of the formula, and exactly n^(1/128) there
    rotation = np.linalg.qr(normal(0, (20, 20)))[0]
    assert spectral_bound(jnp.asarray(3 * rotation)) == pytest.approx(3 * 20 ** (1 / 2 ** (SQUARINGS + 1)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 1.0, 1e4, 1e30])
def test_any_weights_are_bounded_with_finite_gradients(size, dtype):
    w = (size * normal(0, (6, 9))).astype(dtype)
    assert np.linalg.svd(np.asarray(bounded(w, 0.9), float), compute_uv=False)[0] <= 0.9 * (1 + 1e-6)
    assert jnp.all(jnp.isfinite(jax.grad(lambda w: jnp.sum(bounded(w, 0.9) ** 2))(w)))
    # small ones stay as they are
    if size <= 1e-3:
        np.testing.assert_array_equal(bounded(w, 0.9), w)


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_network_contracts_any_two_points(scale):
    network = moved(LipschitzMLP(5, 4, key=0, width=8, contraction=0.8), scale)
    near, far = normal(1, (2000, 5)), normal(2, (2000, 5))
    near, far = jnp.concatenate([near, near]), jnp.concatenate([near + 1e-4 * far, 3 * far])
    image = jax.jit(jax.vmap(network))
    moves = jnp.linalg.norm(image(near) - image(far), axis=1)
    assert jnp.all(moves <= 0.8 * jnp.linalg.norm(near - far, axis=1))
    assert jnp.max(moves) > 0


def strong(dim):
    """A contraction close to its bound: the steps of the inverse and the terms of the series stay."""
    rotation = jnp.asarray(np.linalg.qr(normal(0, (dim, dim)))[0])
    return lambda x: 0.45 * (rotation @ x + jnp.sin(x))


@pytest.mark.parametrize("dim", [1, 4, MOST_NEWTON_DIM + 1])
def test_root_to_the_last_digits_with_implicit_gradients(dim):
    g = strong(dim)
    x = 5 * normal(1, (20, dim))
    y = jax.vmap(lambda x: x + g(x))(x)
    root = jax.jit(jax.vmap(lambda y: contraction_root(g, y, 0.9)))
    np.testing.assert_allclose(root(y), x, rtol=1e-13, atol=2e-13)
    jacobian = jax.jit(jax.jacrev(lambda y: contraction_root(g, y, 0.9)))(y[0])
    expected = np.linalg.inv(np.eye(dim) + jax.jacfwd(g)(x[0]))
    np.testing.assert_allclose(jacobian, expected, rtol=1e-10, atol=1e-12)


def test_root_depends_on_the_parameters_of_the_map():
    @jax.jit
    @jax.value_and_grad
    def root(a):
        return contraction_root(lambda x: a * jnp.sin(x), jnp.array([1.3]), 0.9)[0]

    x, slope = root(0.5)
    # x + a sin x = y
    assert float(slope) == pytest.approx(float(-jnp.sin(x) / (1 + 0.5 * jnp.cos(x))), rel=1e-12)


def within_noise(estimates, exact):
    error = jnp.std(estimates, axis=0) / np.sqrt(len(estimates))
    return jnp.all(jnp.abs(jnp.mean(estimates, axis=0) - exact) < 4 * error + 1e-12)


def estimates_of(matrix, **kwargs):
    """Estimates of log det(I + matrix), and of its derivative in the matrix."""
    x = normal(3, len(matrix))

    def estimate(matrix, key):
        return estimated_log_det(lambda x: matrix @ x, x, key, **kwargs)

    keys = jax.random.split(jax.random.key(0), N)
    return jax.jit(jax.vmap(jax.value_and_grad(estimate), in_axes=(None, 0)))(matrix, keys)


@pytest.mark.parametrize("always", [0, 2])
def test_estimate_and_its_gradient_are_unbiased(always):
    rotation = jnp.asarray(np.linalg.qr(normal(0, (3, 3)))[0])
    matrix = rotation @ jnp.diag(jnp.array([-0.8, -0.7, 0.3])) @ rotation.T
    values, gradients = estimates_of(matrix, contraction=0.8, always=always)
    assert within_noise(values, jnp.linalg.slogdet(jnp.eye(3) + matrix)[1])
    assert within_noise(gradients, jnp.linalg.inv(jnp.eye(3) + matrix).T)
    # so precise that half the weight for the first term that may be left out would show
    term = jnp.trace(jnp.linalg.matrix_power(matrix, always + 1)) / (always + 1)
    assert 4 * jnp.std(values) / np.sqrt(N) < abs(term) / 2


def test_terms_are_weighted_by_their_chance():
    # in one dimension the probe drops out, and the terms of the series are all that is random
    matrix = jnp.array([[-0.8]])
    values, gradients = estimates_of(matrix, contraction=0.8, always=1)
    # (-1)^(k+1) (-0.8)^k / k, the first always, the others over 0.8^(k-1)
    sums = -np.cumsum(0.8 / np.arange(1, 6))
    np.testing.assert_allclose(np.unique(np.round(values, 9))[::-1][:5], sums, rtol=1e-7)
    assert np.mean(values < sums[1] + 1e-6) == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(N))
    assert within_noise(values, np.log(0.2))
    assert within_noise(gradients, 5.0)


@pytest.mark.slow
def test_estimate_of_a_network_has_the_gradient_of_the_exact_one():
    layer = moved(Residual(3, key=0, width=8, contraction=0.9), 0.3)
    parameters, rest = eqx.partition(layer, eqx.is_inexact_array)
    x = normal(0, 3)

    def exact(parameters, x):
        return eqx.combine(parameters, rest).forward_and_log_det(x)[1]

    def estimated(parameters, x, key):
        return eqx.combine(parameters, rest).forward_and_estimated_log_det(x, None, key)[1]

    value, gradients = jax.value_and_grad(exact, argnums=(0, 1))(parameters, x)
    keys = jax.random.split(jax.random.key(1), N)
    of_keys = jax.jit(jax.vmap(jax.value_and_grad(estimated, argnums=(0, 1)), in_axes=(None, None, 0)))
    values, of_gradients = of_keys(parameters, x, keys)
    assert within_noise(values, value)
    assert abs(value) > 20 * jnp.std(values) / np.sqrt(N)
    for estimates, gradient in zip(jax.tree.leaves(of_gradients), jax.tree.leaves(gradients), strict=True):
        assert within_noise(estimates, gradient)


def test_both_directions_give_the_same_estimate():
    layer = moved(Residual(3, key=0, width=8, condition_dim=2), 0.3)
    x, condition, key = normal(0, 3), jnp.array([1.0, -2.0]), jax.random.key(0)
    y, log_det = eqx.filter_jit(layer.forward_and_estimated_log_det)(x, condition, key)
    back, log_det_back = eqx.filter_jit(layer.inverse_and_estimated_log_det)(y, condition, key)
    np.testing.assert_allclose(back, x, rtol=1e-12)
    assert float(log_det_back) == pytest.approx(-float(log_det), rel=1e-10)
    np.testing.assert_allclose(y, eqx.filter_jit(layer.forward_and_log_det)(x, condition)[0], rtol=1e-14)


@pytest.mark.parametrize("contraction", [0.0, 1.0, float("nan")])
def test_refused(contraction):
    with pytest.raises(FlowError, match="between 0 and 1"):
        Residual(2, key=0, contraction=contraction)
    with pytest.raises(FlowError, match="between 0"):
        estimated_log_det(lambda x: x, jnp.zeros(1), jax.random.key(0), contraction=contraction)
