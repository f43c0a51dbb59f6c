"""Mixing of coordinates: reflections and LU factors beside dense matrices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from flowvi.bijections import Householder, LULinear
from flowvi.bijections.orthogonal import reflected
from flowvi.errors import FlowError


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_reflections_are_their_product(count):
    vectors = np.random.default_rng(0).normal(size=(count, 4))
    expected = np.eye(4)
    for v in vectors:
        expected = expected @ (np.eye(4) - 2 * np.outer(v, v) / (v @ v))
    with jax.enable_x64(True):
        np.testing.assert_allclose(reflected(jnp.asarray(vectors), jnp.eye(4)), expected, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e15])
def test_orthogonal_in_single_precision_whatever_the_numbers(scale):
    rng = np.random.default_rng(0)
    vectors = (scale * rng.normal(size=(40, 20))).astype(np.float32)
    vectors[3] = 0
    vectors[7] = vectors[8] = vectors[9]
    q = np.asarray(reflected(jnp.asarray(vectors), jnp.eye(20)), np.float64)
    np.testing.assert_allclose(q @ q.T, np.eye(20), atol=1e-5)
    assert np.linalg.det(q) == pytest.approx((-1) ** 39, abs=1e-4)


def test_a_vector_of_zeros_is_no_reflection():
    layer = eqx.tree_at(lambda b: b.vectors, Householder(3, 2, key=0), jnp.zeros((2, 3)))
    x = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(layer.forward_and_log_det(x)[0], x)
    gradient = jax.grad(lambda b: jnp.sum(b.forward_and_log_det(x)[0] ** 3))(layer)
    assert np.all(np.isfinite(gradient.vectors))


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_householder_starts_as_the_identity_and_moves(dim):
    with jax.enable_x64(True):
        layer, x = Householder(dim, key=0), jnp.arange(1.0, dim + 1)
        np.testing.assert_allclose(layer.forward_and_log_det(x)[0], x, atol=1e-13)
        gradient = jax.grad(lambda b: jnp.sum(b.forward_and_log_det(x)[0] * jnp.arange(dim)))(layer)
        # a line has no rotations
        assert np.any(np.abs(gradient.vectors) > 1e-3) == (dim > 1)


@pytest.mark.parametrize("dim", [1, 2, 6])
def test_lu_is_the_matrix_it_was_made_from(dim):
    matrix = np.random.default_rng(dim).normal(size=(dim, dim))
    x = np.random.default_rng(1).normal(size=dim)
    with jax.enable_x64(True):
        layer = LULinear(matrix)
        y, log_det = layer.forward_and_log_det(jnp.asarray(x))
        np.testing.assert_allclose(y, matrix @ x, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], rtol=1e-12, atol=1e-13)
        back, log_det_back = layer.inverse_and_log_det(jnp.asarray(x))
        np.testing.assert_allclose(back, scipy.linalg.solve(matrix, x), rtol=1e-11, atol=1e-11)
        assert log_det_back == -log_det


def test_lu_stays_invertible_at_extreme_diagonals():
    layer = LULinear(np.eye(2))
    layer = eqx.tree_at(lambda b: b.log_diagonal, layer, jnp.array([1e20, -1e20]))
    y, log_det = layer.forward_and_log_det(jnp.ones(2))
    assert np.all(np.isfinite([*y, log_det]))
    np.testing.assert_allclose(layer.inverse_and_log_det(y)[0], 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LULinear(np.ones((2, 3))), "square"),
        (lambda: LULinear(np.array([[1.0, np.nan], [0.0, 1.0]])), "finite"),
        (lambda: LULinear(np.ones((2, 2))), "singular"),
        (lambda: Householder(2, 0, key=0), "reflections=0"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(FlowError, match=message):
        call()
