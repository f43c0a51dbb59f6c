"""What the tests of objectives share: many independent estimates of a loss and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np

from flowvi import flows
from flowvi.training.adam import ravel, with_parameters


def estimates(objective, flow, steps, seed=0, step=0):
    """Losses (steps,) and gradients (steps, parameters), each step with its own draws."""
    vector, unravel = ravel(flow, np.float64)

    def one(draws):
        return jax.value_and_grad(lambda v: objective.estimate(unravel(v), draws, jnp.asarray(step)).loss)(
            vector
        )

    draws = objective.draw(flow, np.random.default_rng(seed), steps)
    losses, gradients = jax.jit(lambda draws: jax.lax.map(one, draws, batch_size=256))(draws)
    return np.asarray(losses), np.asarray(gradients)


def moved(flow, size=0.3):
    """The flow with every parameter moved at random."""
    vector = np.asarray(ravel(flow, np.float64)[0])
    return with_parameters(flow, vector + size * np.random.default_rng(0).normal(size=vector.shape))


def normal(location, scale):
    """A flow that is N(location, scale^2) in one dimension, and its log density."""
    flow = flows.whiten(flows.gaussian(1), np.array([location]), np.array([[scale]]))

    def log_density(z):
        return -0.5 * ((z[0] - location) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)

    return flow, log_density


def z_scores(samples, expected=0.0):
    """Of the mean of independent rows, in its own standard errors."""
    error = np.std(samples, axis=0) / np.sqrt(len(samples))
    return (np.mean(samples, axis=0) - expected) / (error + 1e-12)


def differences(objective, flow, size=1e-5):
    """The gradient at one step's draws, and the same by central differences of the value."""
    vector, unravel = ravel(flow, np.float64)
    draws = jax.tree.map(lambda a: a[0], objective.draw(flow, np.random.default_rng(0), 1))
    loss = jax.jit(lambda v: objective.estimate(unravel(v), draws, jnp.asarray(0)).loss)
    steps = size * np.eye(len(vector))
    numeric = [(loss(vector + step) - loss(vector - step)) / (2 * size) for step in steps]
    return np.asarray(jax.grad(loss)(vector)), np.asarray(numeric)
