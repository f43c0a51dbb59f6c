"""A standard normal pushed forward keeps its mass: integration in two dimensions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_bijections import DOUBLE, QUICK, build, free_coordinates, perturbed

from flowvi.bijections import support
from table import ANGLES, FLOWS, NOT_SAVED


@functools.partial(jax.jit, static_argnames="structure", compiler_options=QUICK)
def grid_and_density(arrays, structure):
    """The grid over the image of a square, and the density on it."""
    bijection = jax.tree.unflatten(structure, arrays)
    square = jnp.stack(jnp.meshgrid(*[jnp.linspace(-6, 6, 25)] * 2), -1).reshape(-1, 2)
    image, _ = jax.vmap(bijection.forward_and_log_det)(square)
    axes = jnp.linspace(image.min(0), image.max(0), 201)
    y = jnp.stack(jnp.meshgrid(*axes.T, indexing="ij"), -1)
    x, log_det = jax.vmap(bijection.inverse_and_log_det)(y.reshape(-1, 2))
    density = jnp.exp(-0.5 * jnp.sum(x**2, axis=-1) + log_det) / (2 * jnp.pi)
    return axes, density.reshape(y.shape[:2])


# a monotonic network inverts an integral at each point; in one dimension its mass is tested
ELSEWHERE = ["coupling_monotonic", "standardised_condition", *ANGLES, *NOT_SAVED]


@pytest.mark.parametrize(
    "name", [name for name in FLOWS if "conditional" not in name and name not in ELSEWHERE]
)
def test_mass_is_one_in_two_dimensions(name):
    with jax.enable_x64(DOUBLE):
        bijection = perturbed(build(name, 2, DOUBLE), scale=0.2)
        axes, density = jax.tree.map(np.asarray, grid_and_density(*jax.tree.flatten(bijection)))
    mass = np.trapezoid(np.trapezoid(density, axes[:, 1]), axes[:, 0])
    assert abs(mass - 1) < 2e-3


PLANAR = {
    "positive": ("positive", (2,)),
    "unit_interval": ("unit_interval", (2,)),
    "lower_bounded": (("interval", -1.5, None), (2,)),
    "upper_bounded": (("interval", None, 2.5), (2,)),
    "interval": (("interval", np.array([-1.5, 0.0]), 2.5), (2,)),
    "simplex": ("simplex", (3,)),
    "ordered": ("ordered", (2,)),
    "positive_ordered": ("positive_ordered", (2,)),
}


@functools.partial(jax.jit, static_argnames="structure", compiler_options=QUICK)
def corners_and_density(arrays, structure, edges):
    """Where the corners of a grid lie on the support, and the density at the centres of its cells."""
    bijection = jax.tree.unflatten(structure, arrays)

    def image(x):
        return free_coordinates(bijection, bijection.forward_and_log_det(x)[0])

    def density(x):
        back, log_det = bijection.inverse_and_log_det(bijection.forward_and_log_det(x)[0])
        return jnp.exp(-0.5 * jnp.sum(back**2) + log_det) / (2 * jnp.pi)

    centres = (edges[1:] + edges[:-1]) / 2
    grids = [jnp.stack(jnp.meshgrid(axis, axis), -1) for axis in (edges, centres)]
    return jax.vmap(jax.vmap(image))(grids[0]), jax.vmap(jax.vmap(density))(grids[1])


@pytest.mark.parametrize("name", PLANAR)
def test_mass_is_one_on_a_support_in_the_plane(name):
    with jax.enable_x64(DOUBLE):
        arrays, structure = jax.tree.flatten(support(*PLANAR[name]))
        edges = jnp.linspace(-6, 6, 201)
        y, density = jax.tree.map(np.asarray, corners_and_density(arrays, structure, edges))
    # the cells cover the support but for tails, and their areas, by their diagonals, know of no Jacobian
    one, other = y[1:, 1:] - y[:-1, :-1], y[1:, :-1] - y[:-1, 1:]
    areas = np.abs(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]) / 2
    assert abs(np.sum(areas * density) - 1) < 2e-3
