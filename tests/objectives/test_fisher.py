"""The Fisher divergence: closed form, a gradient through all it depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from estimates import estimates, moved, normal, z_scores

from flowvi import flows, objectives
from flowvi.flows.flow import log_prob
from flowvi.training.adam import ravel

SMALL = {"key": 0, "layers": 2, "width": 4}
FLOWS = {
    "gaussian": lambda: flows.gaussian(2),
    "planar": lambda: flows.planar(2, key=0, length=2),
    "radial": lambda: flows.radial(2, key=0, length=2),
    "sylvester": lambda: flows.sylvester(2, key=0, length=2),
    "nice": lambda: flows.nice(2, **SMALL),
    "real_nvp": lambda: flows.real_nvp(2, **SMALL),
    "glow": lambda: flows.glow(2, **SMALL),
    "maf": lambda: flows.maf(2, **SMALL),
    "iaf": lambda: flows.iaf(2, **SMALL),
    "neural_spline": lambda: flows.neural_spline(2, bins=3, **SMALL),
    "neural_spline_autoregressive": lambda: flows.neural_spline_autoregressive(2, bins=3, **SMALL),
    "bnaf": lambda: flows.bnaf(2, key=0, layers=2, width=2),
    "residual": lambda: flows.residual(2, key=0, length=2, width=4),
    "continuous": lambda: flows.continuous(2, key=0, width=4, steps=4),
    "unconstrained_monotonic": lambda: flows.unconstrained_monotonic(2, features=2, **SMALL),
    "circular_spline": lambda: flows.circular_spline(2, bins=3, **SMALL),
}
QUICK = ["gaussian", "planar", "radial", "nice"]
"""Those of the rest take long to compile."""


def test_it_vanishes_where_q_is_p_and_so_does_its_gradient():
    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4))
    losses, gradients = estimates(objectives.fisher(lambda z: log_prob(flow, z), samples=2), flow, 8)
    assert np.max(losses) < 1e-20
    assert np.max(np.abs(gradients)) < 1e-8


def test_it_has_its_closed_form():
    (m, s), (m_p, s_p) = (0.3, 1.0), (0.0, 1.2)
    flow, _ = normal(m, s)
    _, log_p = normal(m_p, s_p)
    exact = (1 / s_p**2 - 1 / s**2) ** 2 * s**2 + ((m - m_p) / s_p**2) ** 2
    losses, _ = estimates(objectives.fisher(log_p, samples=8), flow, 2048)
    assert abs(z_scores(losses, exact)) < 4


@pytest.mark.parametrize(
    "build",
    [pytest.param(build, marks=() if name in QUICK else pytest.mark.slow) for name, build in FLOWS.items()],
    ids=FLOWS,
)
def test_the_gradient_is_the_derivative_of_the_value(build):
    def bent(z):
        return -jnp.sum(z**2) - 0.5 * (z[1] - z[0] ** 2) ** 2

    flow = moved(build())
    objective = objectives.fisher(bent, samples=4)
    vector, unravel = ravel(flow, np.float64)
    draws = jax.tree.map(lambda a: a[0], objective.draw(flow, np.random.default_rng(0), 1))
    at = jax.jit(jax.value_and_grad(lambda v: objective.estimate(unravel(v), draws, jnp.asarray(0)).loss))
    gradient = at(vector)[1]
    # along the gradient, so that each part of it counts, and along directions at random
    directions = np.random.default_rng(1).normal(size=(4, len(vector)))
    for direction in [np.asarray(gradient), *directions]:
        step = 1e-5 * direction / np.linalg.norm(direction)
        numeric = (at(vector + step)[0] - at(vector - step)[0]) / 2
        np.testing.assert_allclose(gradient @ step, numeric, rtol=1e-4, atol=1e-9 * np.linalg.norm(gradient))


def test_draws_without_a_finite_value_are_left_out_of_value_and_gradient():
    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4))
    objective = objectives.fisher(lambda z: jnp.where(z[0] > 1, jnp.nan, -0.5 * z @ z), samples=64)
    losses, gradients = estimates(objective, flow, 4)
    assert np.all(np.isfinite(losses))
    assert np.all(np.isfinite(gradients))
