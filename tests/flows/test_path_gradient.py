"""Flows allow the path (STL) gradient: its noise vanishes where q is the target."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flow_cases import FLOWS, by_name, perturbed
from jax.flatten_util import ravel_pytree

from flowvi.bijections import trainable
from flowvi.flows.flow import forward_and_log_prob, log_prob

NUMERICAL = {"planar", "sylvester", "bnaf", "unconstrained_monotonic", "residual", "continuous"}
"""Those without a cheap inverse."""


# the weights of a mixture have no path, and so no path gradient: zero as well
@by_name([name for name in FLOWS if name not in NUMERICAL])
def test_per_sample_path_gradients_vanish_where_q_is_the_target(name):
    flow = perturbed(FLOWS[name](3))
    with jax.enable_x64(True):
        parameters, rest = eqx.partition(flow, trainable(flow))

        @jax.jit
        def gradients(keys):
            def path(parameters, key):
                moving = eqx.combine(parameters, rest)
                z, _ = forward_and_log_prob(moving, moving.base.sample(key))
                fixed = eqx.combine(jax.lax.stop_gradient(parameters), rest)
                return log_prob(fixed, z) - log_prob(flow, z)

            return jax.vmap(lambda key: jax.grad(path)(parameters, key))(keys)

        per_sample = gradients(jax.random.split(jax.random.key(0), 16))
    for leaf in jax.tree.leaves(per_sample):
        assert np.max(np.abs(leaf)) < 1e-10


def test_path_gradient_has_the_mean_of_the_full_gradient():
    flow = perturbed(FLOWS["real_nvp"](2))
    with jax.enable_x64(True):
        parameters, rest = eqx.partition(flow, trainable(flow))

        def target(z):
            return -jnp.sum(z**2) - 0.5 * (z[1] - z[0] ** 2) ** 2

        def path(parameters, key):
            moving = eqx.combine(parameters, rest)
            z, _ = forward_and_log_prob(moving, moving.base.sample(key))
            return log_prob(eqx.combine(jax.lax.stop_gradient(parameters), rest), z) - target(z)

        def full(parameters, key):
            moving = eqx.combine(parameters, rest)
            z, log_q = forward_and_log_prob(moving, moving.base.sample(key))
            return log_q - target(z)

        @jax.jit
        def differences(keys):
            def of_key(key):
                of_path, of_all = jax.grad(path)(parameters, key), jax.grad(full)(parameters, key)
                return ravel_pytree(jax.tree.map(jnp.subtract, of_path, of_all))[0]

            return jax.vmap(of_key)(keys)

        d = np.asarray(differences(jax.random.split(jax.random.key(0), 4096)))
    z_scores = np.mean(d, 0) / (np.std(d, 0) / np.sqrt(len(d)) + 1e-12)
    # over all parameters the largest of some hundred standard normals
    assert np.max(np.abs(z_scores)) < 5
