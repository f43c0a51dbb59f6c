"""The score carried forward with a draw is the gradient of the log density there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_cases import CONDITIONAL, FLOWS, by_name, perturbed

from flowvi.flows.flow import forward_and_log_prob, log_prob
from flowvi.flows.score import forward_with_score


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def check(flow, condition):
    @jax.jit
    def both(key):
        base = flow.base.sample(key)
        z, log_q, score = forward_with_score(flow, base, condition)
        expected = jax.value_and_grad(lambda z: log_prob(flow, z, condition))(z)
        return (z, log_q, score), (forward_and_log_prob(flow, base, condition)[0], *expected)

    for key in jax.random.split(jax.random.key(1), 8):
        carried, expected = both(key)
        for ours, theirs in zip(carried, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@by_name(FLOWS)
def test_score_is_the_gradient_of_the_log_density(name):
    check(perturbed(FLOWS[name](5)), None)


# whose layers have rules of their own
@pytest.mark.parametrize("name", ["real_nvp", "neural_spline", "iaf"])
def test_score_in_one_dimension(name):
    check(perturbed(FLOWS[name](1)), None)


@pytest.mark.parametrize("name", ["real_nvp", "neural_spline", "iaf", "maf", "planar"])
def test_score_of_a_conditional_flow(name):
    check(perturbed(CONDITIONAL[name](3)), jnp.array([0.3, -1.0, 2.0]))


def test_score_is_a_constant_to_derivatives():
    flow = perturbed(FLOWS["neural_spline"](2))
    base = jnp.array([0.5, -1.0])
    gradient = jax.grad(lambda flow: forward_with_score(flow, base)[2].sum(), allow_int=True)(flow)
    leaves = [leaf for leaf in jax.tree.leaves(gradient) if np.issubdtype(leaf.dtype, np.floating)]
    assert all(np.all(leaf == 0) for leaf in leaves)
