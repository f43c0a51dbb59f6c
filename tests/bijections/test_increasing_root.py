"""Roots of increasing functions, beside SciPy's, and their gradients, beside differences and formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from flowvi.bijections.contraction_root import contraction_root
from flowvi.bijections.increasing_root import increasing_root

FUNCTIONS = {
    "cubic": (lambda x, np: x + x**3, 5.0),
    "far_from_the_bracket": (lambda x, np: x + x**3, 1e8),
    "flat_at_the_root": (lambda x, np: x**3, 0.0),
    "nearly_a_step": (lambda x, np: 1e-3 * x + np.tanh(50 * x), 0.7),
    "exponential": (lambda x, np: np.exp(x) - np.exp(-x), -300.0),
    "wavy": (lambda x, np: x + 0.999 * np.sin(x), 3.0),
}


@pytest.mark.parametrize(("function", "target"), FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("x64", [True, False])
def test_roots_are_those_of_brent(function, target, x64):
    expected = scipy.optimize.brentq(lambda x: function(x, np) - target, -600, 600, xtol=1e-15, rtol=1e-14)
    with jax.enable_x64(x64):
        one = jnp.ones(())
        root = increasing_root(lambda x: function(x, jnp), target * one, -one, one)
        assert root.dtype == one.dtype
        # a value is known to a rounding, and the root to that over the slope
        slope = jax.grad(lambda x: function(x, jnp))(root)
        eps = float(jnp.finfo(root.dtype).eps)
        error = eps * (abs(target) + abs(float(root))) / max(float(slope), eps ** (2 / 3))
    assert abs(float(root) - expected) <= 8 * error + 4 * eps * abs(expected)


def test_each_element_by_itself():
    with jax.enable_x64(True):
        targets = jnp.array([-1e6, -1.0, 0.0, 1e-9, 2.0])
        roots = increasing_root(jnp.sinh, targets, jnp.zeros(5), jnp.zeros(5))
        np.testing.assert_allclose(roots, np.arcsinh(targets), rtol=1e-14, atol=1e-16)
        mapped = jax.vmap(lambda t: increasing_root(jnp.sinh, t, t - 1, t + 1))(targets)
        np.testing.assert_allclose(mapped, np.arcsinh(targets), rtol=1e-14, atol=1e-16)


def test_gradients_are_those_of_the_implicit_function():
    def root(target, scale):
        return increasing_root(lambda x: x + scale * jnp.tanh(x), target, target - scale, target)

    with jax.enable_x64(True):
        target, scale = jnp.array(1.3), jnp.array(0.8)
        x = root(target, scale)
        slope = 1 + scale / jnp.cosh(x) ** 2
        of_target, of_scale = jax.grad(root, (0, 1))(target, scale)
        np.testing.assert_allclose(of_target, 1 / slope, rtol=1e-13)
        np.testing.assert_allclose(of_scale, -jnp.tanh(x) / slope, rtol=1e-13)
        forward = jax.jacfwd(root, (0, 1))(target, scale)
        np.testing.assert_allclose(forward, (of_target, of_scale), rtol=1e-13)
        # d2x / dtarget2 = -f'' / f'^3
        curvature = -2 * scale * jnp.tanh(x) / jnp.cosh(x) ** 2
        np.testing.assert_allclose(jax.grad(jax.grad(root))(target, scale), -curvature / slope**3, rtol=1e-12)
        step = 1e-6
        difference = (root(target, scale + step) - root(target, scale - step)) / (2 * step)
        np.testing.assert_allclose(of_scale, difference, rtol=1e-8)


def test_the_bracket_has_no_gradient():
    with jax.enable_x64(True):
        ends = jax.grad(lambda a, b: increasing_root(jnp.sinh, jnp.array(1.0), a, b), (0, 1))
        assert ends(jnp.array(0.0), jnp.array(2.0)) == (0, 0)


FORWARD, REVERSE = jax.jacfwd, jax.jacrev


@pytest.mark.parametrize(
    ("outer", "inner"), [(FORWARD, REVERSE), (REVERSE, FORWARD)], ids=["hessian", "reverse_over_forward"]
)
def test_second_derivatives_within_a_scan_are_those_of_the_layers_one_by_one(outer, inner):
    def layer(x, scale):
        x = increasing_root(lambda u: u + scale * jnp.tanh(u), x, x - scale, x)
        return contraction_root(lambda u: scale * jnp.sin(u), x[None], 0.7)[0]

    def scanned(x, scales):
        return jax.lax.scan(lambda x, scale: (layer(x, scale), None), x, scales)[0]

    def one_by_one(x, scales):
        return layer(layer(x, scales[0]), scales[1])

    @jax.jit
    def both(scales):
        x = jnp.array(1.3)
        # without a scan, reverse mode twice as well
        expected = jax.jacrev(jax.jacrev(one_by_one, 1), 1)(x, scales)
        return outer(inner(scanned, 1), 1)(x, scales), expected

    with jax.enable_x64(True):
        found, expected = both(jnp.array([0.3, 0.6]))
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert np.min(np.abs(expected)) > 1e-3
