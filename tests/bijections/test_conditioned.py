"""A conditional map at one condition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowvi
from flowvi.bijections import Conditioned, trainable
from flowvi.errors import FlowError
from flowvi.flows import Flow


def test_it_is_the_conditional_map_at_that_condition():
    flow = flowvi.flows.real_nvp(2, key=0, condition_dim=3)
    with jax.enable_x64(True):
        moved = jax.tree.map(lambda a: a + 0.1 if jnp.issubdtype(a.dtype, jnp.floating) else a, flow)
        condition = np.array([0.3, -1.0, 2.0])
        alone = Flow(moved.base, Conditioned(moved.bijection, condition))
    assert alone.condition_dim is None
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(alone.log_prob(x), moved.log_prob(x, condition), rtol=1e-12)
    np.testing.assert_allclose(alone.sample(1, (5,)), moved.sample(1, (5,), condition), rtol=1e-12)
    assert not any(jax.tree.leaves(trainable(alone).bijection.condition))


def test_a_condition_that_does_not_fit_is_refused():
    with pytest.raises(FlowError, match="condition_dim 3"):
        Conditioned(flowvi.flows.real_nvp(2, key=0, condition_dim=3).bijection, np.ones(2))
    with pytest.raises(FlowError, match="condition_dim None"):
        Conditioned(flowvi.flows.real_nvp(2, key=0).bijection, np.ones(2))
