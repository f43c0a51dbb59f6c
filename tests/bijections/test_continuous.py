"""Continuous flows against an adaptive solver, dense Jacobians, and closed forms."""

import sys

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_bijections import perturbed

from flowvi.bijections import Continuous, Velocity
from flowvi.bijections.hutchinson import rademacher, value_and_trace_estimate
from flowvi.bijections.runge_kutta import solve
from flowvi.errors import DependencyError, FlowError

CONDITION = np.array([0.5, -1.0, 2.0])


def layer(dim, scale=0.5, **settings):
    with jax.enable_x64(True):
        return perturbed(Continuous(dim, key=0, width=8, **settings), scale)


@pytest.mark.parametrize("backwards", [False, True])
def test_solver_has_order_eight(backwards):
    exact = np.exp(-0.5 if backwards else 0.5)
    with jax.enable_x64(True):
        errors = [
            abs(float(solve(lambda t, y: t * y, jnp.ones(1), n, backwards=backwards)[0]) - exact)
            for n in (2, 4)
        ]
    assert 1e-12 < errors[1] < errors[0] < 1e-6
    assert errors[0] / errors[1] > 2**7.5


def test_both_results_are_those_of_an_adaptive_solver():
    bijection, x = layer(3, condition_dim=3), np.array([0.3, -1.2, 2.0])
    with jax.enable_x64(True):
        velocity = bijection._frozen(jnp.asarray(x), jnp.asarray(CONDITION))

        def of_both(t, state, _):
            # the trace from the dense Jacobian, not by the formula
            z = state[:-1]
            return jnp.append(velocity(t, z), jnp.trace(jax.jacfwd(lambda z: velocity(t, z))(z)))

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(of_both),
            diffrax.Tsit5(),
            0.0,
            1.0,
            0.1,
            jnp.append(x, 0),
            stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-10),
        )
        y, log_det = eqx.filter_jit(bijection.forward_and_log_det)(jnp.asarray(x), jnp.asarray(CONDITION))
    np.testing.assert_allclose([*y.tolist(), float(log_det)], solution.ys[0].tolist(), atol=1e-8)
    assert abs(float(log_det)) > 0.01


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_any_parameters_keep_the_slope_bounded_and_the_inverse_exact(scale):
    bijection = layer(4, scale)
    x = np.random.default_rng(0).normal(size=(32, 4))
    with jax.enable_x64(True):
        velocity = bijection.velocity.frozen(jnp.zeros(4))
        jacobians = jax.vmap(jax.jacfwd(lambda z: velocity(jnp.asarray(0.3), z)))(x)

        @jax.jit
        def there_and_back(x):
            y, log_det = jax.vmap(bijection.forward_and_log_det)(x)
            return y, log_det, *jax.vmap(bijection.inverse_and_log_det)(y)

        y, log_det, back, log_det_back = map(np.asarray, there_and_back(jnp.asarray(x)))
    assert np.max(np.linalg.norm(np.asarray(jacobians), 2, axis=(1, 2))) <= 8
    # a path back undoes at most the factor e^8
    size = 1 + np.max(np.abs(y))
    np.testing.assert_allclose(back, x, atol=1e-8 * size)
    np.testing.assert_allclose(log_det_back, -log_det, atol=1e-7 * size)


def test_trace_is_that_of_the_jacobian():
    with jax.enable_x64(True):
        velocity = perturbed(Velocity(5, key=0, width=8, slope=8.0), 0.5).frozen(jnp.zeros(5))
        t, x = jnp.asarray(0.7), jnp.linspace(-1, 1, 5)
        exact = jnp.trace(jax.jacfwd(lambda x: velocity(t, x))(x))
        value, trace = velocity.with_divergence(t, x)
        np.testing.assert_allclose(trace, exact, rtol=1e-12)
        np.testing.assert_array_equal(value, velocity(t, x))


def test_estimate_of_a_trace_is_unbiased():
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    with jax.enable_x64(True):
        x = jnp.zeros(6)
        keys = jax.random.split(jax.random.key(0), 4000)
        estimates = jax.vmap(
            lambda key: value_and_trace_estimate(lambda x: jnp.asarray(matrix) @ x, x, rademacher(key, x))[1]
        )(keys)
    traces = np.asarray(estimates)
    assert abs(np.mean(traces) - np.trace(matrix)) < 4 * np.std(traces) / np.sqrt(len(traces))
    # what is off the diagonal makes the noise, and nothing else does
    off = matrix + matrix.T - 2 * np.diag(np.diag(matrix))
    np.testing.assert_allclose(np.var(traces), np.sum(off**2) / 2, rtol=0.2)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.slow
def test_estimated_log_det_is_unbiased_and_so_is_its_gradient(backwards):
    bijection = layer(4, steps=4)
    with jax.enable_x64(True):
        x = jnp.array([0.3, -1.2, 2.0, 0.1])

        def exact(bijection):
            way = bijection.inverse_and_log_det if backwards else bijection.forward_and_log_det
            return way(x)[1]

        def estimate(bijection, key):
            if backwards:
                return bijection.inverse_and_estimated_log_det(x, None, key)[1]
            return bijection.forward_and_estimated_log_det(x, None, key)[1]

        def value_and_one_gradient(function):
            value, gradient = eqx.filter_value_and_grad(function)(bijection)
            return value, gradient.velocity.between[0, 0]

        keys = jax.random.split(jax.random.key(1), 1000)
        expected = jax.jit(lambda: value_and_one_gradient(exact))()
        estimates = jax.jit(jax.vmap(lambda key: value_and_one_gradient(lambda b: estimate(b, key))))(keys)
    for mean, draws in zip(map(float, expected), map(np.asarray, estimates), strict=True):
        assert np.std(draws) > 0
        assert abs(np.mean(draws) - mean) < 4 * np.std(draws) / np.sqrt(len(draws))


def test_a_thousand_dimensions():
    bijection = layer(1000, 0.05, steps=4)
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=1000))
        y, log_det = eqx.filter_jit(bijection.forward_and_log_det)(x)
        back, _ = eqx.filter_jit(bijection.inverse_and_log_det)(y)
    assert np.isfinite(float(log_det))
    np.testing.assert_allclose(back, x, atol=1e-8)


@pytest.mark.parametrize("settings", [{"slope": 0.0}, {"slope": np.nan}, {"steps": 0}])
def test_bad_settings_are_named(settings):
    with pytest.raises(FlowError, match=f"{next(iter(settings))}={next(iter(settings.values()))}"):
        Continuous(2, key=0, **settings)


def test_without_diffrax(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(DependencyError, match=r"flowvi\[ode\]"):
        Continuous(2, key=0).forward_and_log_det(jnp.zeros(2))
