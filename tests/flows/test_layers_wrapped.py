"""Layers inside what conditions them or keeps them from training are seen, estimated and scored as others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_cases import CONDITIONAL, FLOWS, perturbed

from flowvi import flows
from flowvi.bijections import Conditioned, Invert, Residual
from flowvi.flows.flow import forward_and_log_prob, log_prob
from flowvi.flows.layers import layers, through_layers
from flowvi.flows.score import forward_with_score
from flowvi.flows.standardise import standardise_by
from flowvi.flows.stochastic_log_det import estimated_log_prob, forward_and_estimated_log_prob

CONDITION = np.array([1.0, -1.0, 0.5])
MOMENTS = np.array([1.0, -2.0]), np.array([3.0, 0.5]), np.array([0.5, 0.0, -1.0]), np.array([2.0, 0.3, 4.0])


def standardised(name):
    return standardise_by(perturbed(CONDITIONAL[name](2)), *MOMENTS)


def inverted(name):
    flow = perturbed(CONDITIONAL[name](2))
    return standardise_by(flows.Flow(flow.base, Invert(flow.bijection)), *MOMENTS)


def at_a_condition(name):
    flow = standardised(name)
    with jax.enable_x64(True):
        return flows.Flow(flow.base, Conditioned(flow.bijection, CONDITION))


def fixed(name):
    flow = perturbed(FLOWS[name](2))
    return flows.Flow(flow.base, flows.Fixed(flow.bijection))


WRAPPED = {
    "standardised": lambda: standardised("real_nvp"),
    "standardised_amortized": lambda: standardised("planar"),
    "standardised_inverted": lambda: inverted("iaf"),
    "conditioned": lambda: at_a_condition("real_nvp"),
    "conditioned_amortized": lambda: at_a_condition("planar"),
    "fixed": lambda: fixed("real_nvp"),
}
every = pytest.mark.parametrize("build", WRAPPED.values(), ids=WRAPPED)


def condition_of(flow):
    return None if flow.condition_dim is None else jnp.asarray(CONDITION)


@every
def test_layers_compose_to_the_flow(build):
    flow = build()
    x = np.random.default_rng(0).normal(size=(8, 2))
    points, log_dets = through_layers(flow, x, None if flow.condition_dim is None else CONDITION)
    with jax.enable_x64(True):
        z, log_det = jax.vmap(lambda x: flow.bijection.forward_and_log_det(x, condition_of(flow)))(x)
    np.testing.assert_allclose(points[-1], z, rtol=1e-10)
    np.testing.assert_allclose(log_dets[-1], log_det, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["real_nvp", "planar"])
def test_there_are_as_many_as_without(name):
    inner = layers(perturbed(CONDITIONAL[name](2)), CONDITION)
    assert len(inner) > 3
    assert len(layers(standardised(name), CONDITION)) == len(inner) + 1
    assert len(layers(at_a_condition(name))) == len(inner) + 1
    # without a condition those of a coupling are there as well
    assert len(layers(standardised("real_nvp"))) > 3


@every
def test_the_score_is_the_gradient_of_the_log_density(build):
    flow = build()

    @jax.jit
    def both(x):
        z, log_q, score = forward_with_score(flow, x, condition_of(flow))
        expected = jax.value_and_grad(lambda z: log_prob(flow, z, condition_of(flow)))(z)
        return (z, log_q, score), (forward_and_log_prob(flow, x, condition_of(flow))[0], *expected)

    with jax.enable_x64(True):
        for ours, expected in zip(*both(jnp.array([0.5, -1.0])), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


def test_scores_inside_take_no_inverse():
    def loops(flow):
        with jax.enable_x64(True):
            condition = None if flow.condition_dim is None else jnp.asarray(CONDITION)
            return str(jax.make_jaxpr(lambda x: forward_with_score(flow, x, condition))(jnp.zeros(2))).count(
                "while["
            )

    # the search for a root, which the inverse of this one is
    plain, wrapped = CONDITIONAL["unconstrained_monotonic"](2), standardised("unconstrained_monotonic")
    assert loops(wrapped) == loops(plain)


RESIDUAL = {
    "standardised": lambda flow, conditional: standardise_by(conditional, *MOMENTS),
    "conditioned": lambda flow, conditional: flows.Flow(
        flow.base, Conditioned(conditional.bijection, CONDITION)
    ),
    "fixed": lambda flow, conditional: flows.Flow(flow.base, flows.Fixed(flow.bijection)),
}


@pytest.mark.parametrize("wrap", RESIDUAL.values(), ids=RESIDUAL)
def test_log_dets_inside_are_estimated(wrap):
    with jax.enable_x64(True):
        plain, conditional = (
            perturbed(flows.Flow(flows.Normal(2), Residual(2, key=0, width=4, condition_dim=c)), 0.5)
            for c in (None, 3)
        )
        flow = wrap(plain, conditional)
        x = jnp.array([0.5, -1.0])

        @jax.jit
        def both(keys):
            z, exact = forward_and_log_prob(flow, x, condition_of(flow))
            there = jax.vmap(lambda key: forward_and_estimated_log_prob(flow, x, key, condition_of(flow))[1])
            back = jax.vmap(lambda key: estimated_log_prob(flow, z, key, condition_of(flow)))
            return exact, there(keys), back(keys)

        exact, *estimates = map(np.asarray, both(jax.random.split(jax.random.key(0), 1000)))
    for estimate in estimates:
        error = np.std(estimate) / np.sqrt(1000)
        assert abs(np.mean(estimate) - exact) < 4 * error
