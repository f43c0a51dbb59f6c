"""Flows taken apart into their layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_cases import CONDITIONAL, FLOWS, perturbed

from flowvi import flows
from flowvi.bijections import Invert, LocationScale
from flowvi.flows.layers import layers, through_layers


@pytest.mark.parametrize("name", ["gaussian", "real_nvp", "iaf", "whitened"])
@pytest.mark.parametrize("dim", [1, 2])
def test_layers_compose_to_the_flow(name, dim):
    flow = perturbed(FLOWS[name](dim))
    x = np.random.default_rng(0).normal(size=(16, dim))
    points, log_dets = through_layers(flow, x)
    with jax.enable_x64(True):
        z, log_det = jax.vmap(flow.bijection.forward_and_log_det)(x)
    np.testing.assert_array_equal(points[0], x)
    np.testing.assert_array_equal(log_dets[0], 0)
    np.testing.assert_allclose(points[-1], z, rtol=1e-12)
    np.testing.assert_allclose(log_dets[-1], log_det, rtol=1e-10, atol=1e-12)
    assert len(points) == len(log_dets) == len(layers(flow)) + 1


def test_log_dets_between_layers_are_those_of_the_jacobian():
    flow = perturbed(FLOWS["real_nvp"](2))
    x = np.array([[0.3, -0.8]])
    points, log_dets = through_layers(flow, x)
    with jax.enable_x64(True):
        for k, layer in enumerate(layers(flow)):
            jacobian = jax.jacobian(lambda z, layer=layer: layer.forward_and_log_det(z)[0])(points[k, 0])
            expected = np.linalg.slogdet(jacobian)[1]
            np.testing.assert_allclose(log_dets[k + 1, 0] - log_dets[k, 0], expected, rtol=1e-10, atol=1e-12)


def test_a_scanned_layer_counts_as_one():
    assert len(layers(flows.iaf(2, key=0, layers=5))) == 5 + 1
    assert len(layers(flows.whiten(flows.gaussian(2), np.zeros(2), np.eye(2)))) == 1 + 1


def test_an_inverted_flow_has_its_layers_in_reverse():
    flow = perturbed(FLOWS["iaf"](2))
    back = flows.Flow(flow.base, Invert(flow.bijection))
    x = np.random.default_rng(0).normal(size=(16, 2))
    forward, _ = through_layers(flow, x)
    backward, _ = through_layers(back, forward[-1])
    np.testing.assert_allclose(backward, forward[::-1], rtol=1e-9, atol=1e-9)
    assert isinstance(layers(back)[0], Invert)
    assert isinstance(layers(flow)[-1], LocationScale)


def test_layers_see_the_condition():
    flow = perturbed(CONDITIONAL["real_nvp"](2))
    x, condition = np.ones((1, 2)), np.array([1.0, -1.0, 0.5])
    with jax.enable_x64(True):
        expected = flow.bijection.forward_and_log_det(jnp.asarray(x[0]), jnp.asarray(condition))[0]
    np.testing.assert_allclose(through_layers(flow, x, condition)[0][-1, 0], expected, rtol=1e-12)


def test_layers_of_an_amortized_flow_are_those_for_its_condition():
    flow = perturbed(CONDITIONAL["planar"](2))
    x, condition = np.array([[0.5, -1.0]]), np.array([1.0, -1.0, 0.5])
    assert len(layers(flow)) == 1
    assert len(layers(flow, condition)) > 1
    with jax.enable_x64(True):
        z, log_det = flow.bijection.forward_and_log_det(jnp.asarray(x[0]), jnp.asarray(condition))
    points, log_dets = through_layers(flow, x, condition)
    np.testing.assert_allclose(points[-1, 0], z, rtol=1e-12)
    np.testing.assert_allclose(log_dets[-1, 0], log_det, rtol=1e-10)
