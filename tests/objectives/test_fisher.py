"""The Fisher divergence: closed form, a gradient through all it depends on."""

import jax.numpy as jnp
import numpy as np
from estimates import differences, estimates, moved, normal, z_scores

from flowvi import flows, objectives
from flowvi.flows.flow import log_prob


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


def test_the_gradient_is_the_derivative_of_the_value():
    def bent(z):
        return -jnp.sum(z**2) - 0.5 * (z[1] - z[0] ** 2) ** 2

    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4))
    gradient, numeric = differences(objectives.fisher(bent, samples=4), flow)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)


def test_draws_without_a_finite_value_are_left_out_of_value_and_gradient():
    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4))
    objective = objectives.fisher(lambda z: jnp.where(z[0] > 1, jnp.nan, -0.5 * z @ z), samples=64)
    losses, gradients = estimates(objective, flow, 4)
    assert np.all(np.isfinite(losses))
    assert np.all(np.isfinite(gradients))
