"""Increasing rational-quadratic splines of given bins, with given derivatives at their ends."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.bijections.batch_last import broadcast_like
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.partials_ahead import partials_ahead

MIN_SIZE = 0.05
"""A bin is at least this part as wide and high as it would be among equal ones."""
MAX_DERIVATIVE = 100.0
"""The derivative at a knot stays below this and above its inverse."""


class Pieces(NamedTuple):
    """The bins of a spline of each coordinate, from -bound to bound.

    Attributes:
        widths, heights: of the bins.
        free_derivatives: free numbers for the derivatives at the left and the right end of the bins that a
            mask (bins, dim) marks, one of each coordinate; 0 stands for a derivative of 1.
    """

    widths: Float[Array, "bins dim"]
    heights: Float[Array, "bins dim"]
    free_derivatives: Callable[[Bool[Array, "bins dim"]], tuple[Float[Array, " dim"], Float[Array, " dim"]]]


def sizes(logits: Float[Array, "bins dim"], bound: float) -> Float[Array, "bins dim"]:
    """Sizes of bins that fill [-bound, bound]; equal logits give equal ones.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.quadratic_pieces import sizes
        >>> sizes(jnp.zeros((2, 1)), 3.0).tolist()
        [[3.0], [3.0]]
    """
    highest = jax.lax.stop_gradient(jnp.max(logits, axis=0))
    exps = jnp.exp(logits - broadcast_like(highest, logits))
    shares = exps / broadcast_like(jnp.sum(exps, axis=0), exps)
    return 2 * bound * (MIN_SIZE / len(logits) + (1 - MIN_SIZE) * shares)


def picked(at: Bool[Array, "n dim"], values: Float[Array, "n dim"]) -> Float[Array, " dim"]:
    """Of each coordinate the value that is marked, or the sum of those that are."""
    # a product with a mask differentiates into another, where indexing would into scatters
    return jnp.sum(at.astype(values.dtype) * values, axis=0)


def spline(
    x: Float[Array, " dim"], pieces: Pieces, bound: float
) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
    """y and log dy/dx within the bound, as in `RationalQuadraticSpline`.

    Shapes: x, y, log dy/dx (dim,).

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.quadratic_pieces import Pieces, sizes, spline
        >>> even = sizes(jnp.zeros((4, 1)), 2.0)
        >>> straight = Pieces(even, even, lambda at: (jnp.zeros(1), jnp.zeros(1)))
        >>> spline(jnp.array([0.5]), straight, 2.0)[0].round(4).tolist()
        [0.5]
    """
    return partials_ahead(_above, x, *_bin_of(x, pieces.widths, pieces, bound))


def inverse_spline(
    y: Float[Array, " dim"], pieces: Pieces, bound: float
) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
    """x and log dx/dy of `spline`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.quadratic_pieces import Pieces, inverse_spline, sizes
        >>> even = sizes(jnp.zeros((4, 1)), 2.0)
        >>> straight = Pieces(even, even, lambda at: (jnp.zeros(1), jnp.zeros(1)))
        >>> inverse_spline(jnp.array([0.5]), straight, 2.0)[0].round(4).tolist()
        [0.5]
    """
    return partials_ahead(_below, y, *_bin_of(y, pieces.heights, pieces, bound))


def _bin_of(
    point: Float[Array, " dim"], searched: Float[Array, "bins dim"], pieces: Pieces, bound: float
) -> tuple[Float[Array, " dim"], ...]:
    """x_k, y_k, width and height of the bin around each point, by its place among bins of the sizes
    `searched`, and the free numbers of the derivatives at its ends."""
    bins = len(searched)
    # products with a triangle of ones: cumulative sums are slow
    upto = jnp.asarray(np.tri(bins - 1, bins), point.dtype)
    inner = jnp.dot(upto, jax.lax.stop_gradient(searched)) - bound
    index = jnp.sum((broadcast_like(point, inner) >= inner).astype(point.dtype), axis=0)
    number = broadcast_like(np.arange(bins)[:, None], searched)
    here = broadcast_like(index, searched)
    at, before = number == here, number < here
    return (
        picked(before, pieces.widths) - bound,
        picked(before, pieces.heights) - bound,
        picked(at, pieces.widths),
        picked(at, pieces.heights),
        *pieces.free_derivatives(at),
    )


def _above(x, x_0, y_0, w, h, free_0, free_1):
    t, s, d_0, d_1 = (x - x_0) / w, h / w, _derivative(free_0), _derivative(free_1)
    g = s + (d_1 + d_0 - 2 * s) * t * (1 - t)
    return y_0 + h * (s * t**2 + d_0 * t * (1 - t)) / g, _log_slope(t, s, g, d_0, d_1)


def _below(y, x_0, y_0, w, h, free_0, free_1):
    v, s, d_0, d_1 = (y - y_0) / h, h / w, _derivative(free_0), _derivative(free_1)
    # by rounding a point may lie below its bin, where the root would not exist
    t = _solve(jnp.where(v < 0, broadcast_like(0.0, v), v), s, d_0, d_1)
    g = s + (d_1 + d_0 - 2 * s) * t * (1 - t)
    return x_0 + w * t, -_log_slope(t, s, g, d_0, d_1)


def _derivative(free):
    return jnp.exp(soft_clamp(free, math.log(MAX_DERIVATIVE)))


def _solve(v, s, d_0, d_1):
    """t where the height above y_k is the part v of the bin's.

    The quadratic equation of NSF has the root 2 s v / (p - q + 2 s v + r) with p = d_k (1 - v),
    q = d_k+1 v and the discriminant r^2 = (p - q)^2 + 4 s^2 v (1 - v), a sum of squares. Seen from the
    left end of the bin where p >= q, and from the right one elsewhere, nothing is subtracted.
    """
    p, q = d_0 * (1 - v), d_1 * v
    from_left = p >= q
    gap = jnp.where(from_left, p - q, q - p)
    part = 2 * s * jnp.where(from_left, v, 1 - v)
    root = jnp.sqrt(gap**2 + 4 * s**2 * v * (1 - v))
    t = part / (gap + part + root)
    return jnp.where(from_left, t, 1 - t)


def _log_slope(t, s, g, d_0, d_1):
    slope = d_1 * t**2 + 2 * s * t * (1 - t) + d_0 * (1 - t) ** 2
    return 2 * jnp.log(s) + jnp.log(slope) - 2 * jnp.log(g)
