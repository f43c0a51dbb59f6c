"""The four energies of two dimensions of Rezende & Mohamed (arXiv 1505.05770, table 1), as log densities.

    p(z) = exp(-U(z) - WALL max(|z| - 4, 0)^2) / Z

U2, U3 and U4 have no finite mass on the plane: their waves go on for ever along z1. Outside |z| = RADIUS, the
edge of the paper's pictures, a soft wall is added to them; U1 needs none. `log_normaliser(name)` is log Z, by
quadrature.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

RADIUS = 4.0
WALL = 5.0
"""Steepness of the wall: half a unit beyond the edge the log density is lower by 1.25."""


def u1(z: Array) -> Array:
    """A ring of radius 2 with two modes on it."""
    ring = 0.5 * ((_norm(z) - 2) / 0.4) ** 2
    return ring - jnp.logaddexp(-0.5 * ((z[0] - 2) / 0.6) ** 2, -0.5 * ((z[0] + 2) / 0.6) ** 2)


def u2(z: Array) -> Array:
    """A wave along z1."""
    return 0.5 * ((z[1] - _w1(z)) / 0.4) ** 2


def u3(z: Array) -> Array:
    """The wave, split by a bump around z1 = 1."""
    w2 = 3 * jnp.exp(-0.5 * ((z[0] - 1) / 0.6) ** 2)
    off = z[1] - _w1(z)
    return -jnp.logaddexp(-0.5 * (off / 0.35) ** 2, -0.5 * ((off + w2) / 0.35) ** 2)


def u4(z: Array) -> Array:
    """The wave, split by a step at z1 = 1."""
    w3 = 3 * jax.nn.sigmoid((z[0] - 1) / 0.3)
    off = z[1] - _w1(z)
    return -jnp.logaddexp(-0.5 * (off / 0.4) ** 2, -0.5 * ((off + w3) / 0.35) ** 2)


def _w1(z: Array) -> Array:
    return jnp.sin(jnp.pi * z[0] / 2)


def _norm(z: Array) -> Array:
    # the gradient of the norm is not defined at zero, where a draw may fall in single precision
    return jnp.sqrt(jnp.sum(z**2) + 1e-12)


def walled(energy: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The log density of an energy with the wall."""

    def log_density(z: Array) -> Array:
        return -energy(z) - WALL * jnp.maximum(_norm(z) - RADIUS, 0) ** 2

    return log_density


ENERGIES: dict[str, Callable[[Array], Array]] = {
    "U1": lambda z: -u1(z),
    "U2": walled(u2),
    "U3": walled(u3),
    "U4": walled(u4),
}
"""Name -> unnormalised log density of one point (2,)."""

HALF, CELLS = 7.0, 1400
"""The square [-HALF, HALF]^2 holds all but 1e-10 of the mass of each; its number of cells on a side."""


def grid(half: float = HALF, cells: int = CELLS) -> tuple[np.ndarray, float]:
    """The middles (cells, cells, 2) of equal cells of a square, [i, j] at (z1_i, z2_j), and a cell's area."""
    middles = (np.arange(cells) + 0.5) / cells * 2 * half - half
    return np.stack(np.meshgrid(middles, middles, indexing="ij"), -1), (2 * half / cells) ** 2


def log_densities(name: str, z: np.ndarray) -> np.ndarray:
    """The unnormalised log density at points (..., 2), in double precision."""
    with jax.enable_x64(True):
        # in small batches, since jaxlib 0.10.2 is wrong in large ones: jax issue 39103
        points = jnp.asarray(z, float).reshape(-1, 2)
        values = jax.jit(lambda points: jax.lax.map(ENERGIES[name], points, batch_size=4000))(points)
    return np.asarray(values).reshape(z.shape[:-1])


@cache
def log_normaliser(name: str) -> float:
    """log Z, by the midpoint rule, whose error for smooth functions that vanish at the edge is negligible."""
    points, area = grid()
    values = log_densities(name, points)
    return float(values.max() + np.log(np.sum(np.exp(values - values.max())) * area))
