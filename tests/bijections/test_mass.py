"""A standard normal pushed forward keeps its mass: integration over a grid in two dimensions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_bijections import DOUBLE, QUICK, build, perturbed

from table import FLOWS


@functools.partial(jax.jit, static_argnames="structure", compiler_options=QUICK)
def grid_and_density(arrays, structure):
    """The grid over the image of a square, and the density on it."""
    bijection = jax.tree.unflatten(structure, arrays)
    square = jnp.stack(jnp.meshgrid(*[jnp.linspace(-6, 6, 25)] * 2), -1).reshape(-1, 2)
    image, _ = jax.vmap(bijection.forward_and_log_det)(square)
    axes = jnp.linspace(image.min(0), image.max(0), 401)
    y = jnp.stack(jnp.meshgrid(*axes.T, indexing="ij"), -1)
    x, log_det = jax.vmap(bijection.inverse_and_log_det)(y.reshape(-1, 2))
    density = jnp.exp(-0.5 * jnp.sum(x**2, axis=-1) + log_det) / (2 * jnp.pi)
    return axes, density.reshape(y.shape[:2])


@pytest.mark.parametrize("name", [name for name in FLOWS if "conditional" not in name])
def test_mass_is_one_in_two_dimensions(name):
    with jax.enable_x64(DOUBLE):
        bijection = perturbed(build(name, 2, DOUBLE), scale=0.2)
        axes, density = jax.tree.map(np.asarray, grid_and_density(*jax.tree.flatten(bijection)))
    mass = np.trapezoid(np.trapezoid(density, axes[:, 1]), axes[:, 0])
    assert abs(mass - 1) < 2e-3
