"""Estimated log densities: which layers are estimated, by which keys, and that they are right on average."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_cases import FLOWS, perturbed

from flowvi import flows
from flowvi.bijections import (
    Amortized,
    Chain,
    HasEstimatedLogDet,
    Identity,
    Invert,
    LocationScale,
    Scan,
)
from flowvi.flows.flow import forward_and_log_prob, log_prob
from flowvi.flows.stochastic_log_det import estimated_log_prob, forward_and_estimated_log_prob


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


class Noisy(HasEstimatedLogDet):
    """y = x + shift, with a log-det of zero that is estimated as a normal number."""

    shift: jax.Array
    shape: tuple[int, ...] = eqx.field(default=(2,), static=True)
    out_shape: tuple[int, ...] = eqx.field(default=(2,), static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def forward_and_log_det(self, x, condition=None):
        return x + self.shift, jnp.zeros(())

    def inverse_and_log_det(self, y, condition=None):
        return y - self.shift, jnp.zeros(())

    def forward_and_estimated_log_det(self, x, condition, key):
        return x + self.shift, jax.random.normal(key)

    def inverse_and_estimated_log_det(self, y, condition, key):
        return y - self.shift, jax.random.normal(key)


def noisy(shift=0.5):
    return Noisy(jnp.full(2, shift))


SHIFTS = {
    "one": (noisy(), 1, 0.5),
    "chain": (Chain([noisy(), LocationScale(jnp.ones(2), jnp.ones(2)), noisy(2.0)]), 2, 3.5),
    "scan": (Scan.stack([noisy(k) for k in range(4)]), 4, 6.0),
    "inverse": (Invert(Chain([noisy(), Scan.stack([noisy(), noisy()])])), 3, -1.5),
    "scanned chain": (Scan.stack([Chain([noisy(), Invert(noisy(2.0))]) for _ in range(2)]), 4, -3.0),
    "amortized": (Amortized(noisy(), 3, key=0, width=4), 1, 0.5),
}


@pytest.mark.parametrize(("bijection", "layers", "shift"), SHIFTS.values(), ids=SHIFTS)
def test_every_layer_is_estimated_by_a_key_of_its_own(bijection, layers, shift):
    flow = flows.Flow(flows.Normal(2), bijection)
    condition = None if bijection.condition_dim is None else jnp.ones(3)
    x, z = jnp.array([1.0, -2.0]), jnp.array([1.0, -2.0]) + shift
    keys = jax.random.split(jax.random.key(0), 4000)

    @jax.jit
    @jax.vmap
    def both(key):
        there, forward = forward_and_estimated_log_prob(flow, x, key, condition)
        return there, forward, estimated_log_prob(flow, z, key, condition)

    there, *estimates = both(keys)
    np.testing.assert_allclose(there[0], z, atol=1e-12)
    for estimate in estimates:
        # independent: the variances add up
        assert np.mean(estimate) == pytest.approx(flow.base.log_prob(x), abs=4 * np.sqrt(layers / 4000))
        assert np.var(estimate) == pytest.approx(layers, abs=4 * layers * np.sqrt(2 / 4000))


def test_without_estimators_it_is_exact():
    flow = perturbed(FLOWS["iaf"](2))
    x, key = jnp.array([1.0, -2.0]), jax.random.key(0)
    z, exact = jax.jit(lambda x: forward_and_log_prob(flow, x))(x)
    again, estimate = jax.jit(lambda x: forward_and_estimated_log_prob(flow, x, key))(x)
    np.testing.assert_allclose(again, z, rtol=1e-14)
    assert float(estimate) == pytest.approx(float(exact), rel=1e-13)
    estimate = jax.jit(lambda z: estimated_log_prob(flow, z, key))(z)
    assert float(estimate) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("direction", ["draws", "points"])
def test_a_residual_flow_is_right_on_average(direction):
    flow = perturbed(FLOWS["residual"](2), size=0.5)
    if direction == "points":
        # the flow of density estimation, whose densities take the forward map
        flow = flows.Flow(flow.base, Invert(flow.bijection))
    x = jnp.array([0.5, -1.0])

    @jax.jit
    def both(keys):
        if direction == "draws":
            exact = forward_and_log_prob(flow, x)[1]
            return exact, jax.vmap(lambda key: forward_and_estimated_log_prob(flow, x, key)[1])(keys)
        return log_prob(flow, x), jax.vmap(lambda key: estimated_log_prob(flow, x, key))(keys)

    exact, estimates = both(jax.random.split(jax.random.key(0), 4000))
    error = np.std(estimates) / np.sqrt(4000)
    assert abs(np.mean(estimates) - exact) < 4 * error
    # the log-det is many of these errors away from zero
    assert error < 0.01 < abs(exact - flow.base.log_prob(x)) / 10


def test_an_identity_has_nothing_to_estimate():
    flow = flows.Flow(flows.Normal(2), Identity((2,)))
    z, estimate = forward_and_estimated_log_prob(flow, jnp.zeros(2), jax.random.key(0))
    assert z.tolist() == [0.0, 0.0]
    assert float(estimate) == pytest.approx(-np.log(2 * np.pi))
