"""Increasing rational-quadratic splines through given knots, with given derivatives there."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.log_scale import soft_clamp

MIN_SIZE = 0.05
"""A bin is at least this part as wide and high as it would be among equal ones."""
MAX_DERIVATIVE = 100.0
"""The derivative at a knot stays below this and above its inverse."""


def knots(logits: Float[Array, "dim bins"], bound: float) -> Float[Array, "dim knots"]:
    """Increasing knots from -bound to bound; equal logits give equal bins.

    Shapes: logits (dim, bins), result (dim, bins + 1).

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.quadratic_pieces import knots
        >>> knots(jnp.zeros((1, 2)), 3.0).tolist()
        [[-3.0, 0.0, 3.0]]
    """
    bins = logits.shape[-1]
    shares = MIN_SIZE / bins + (1 - MIN_SIZE) * jax.nn.softmax(logits, axis=-1)
    inner = bound * (2 * jnp.cumsum(shares[..., :-1], axis=-1) - 1)
    return jnp.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (-bound, bound)))


def knot_derivatives(parameters: Float[Array, "dim n"]) -> Float[Array, "dim n"]:
    """Positive derivatives from free numbers, 1 from 0."""
    return jnp.exp(soft_clamp(parameters, math.log(MAX_DERIVATIVE)))


def spline(
    x: Float[Array, " dim"],
    x_knots: Float[Array, "dim knots"],
    y_knots: Float[Array, "dim knots"],
    derivatives: Float[Array, "dim knots"],
) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
    """y and log dy/dx between the first and the last knot, as in `RationalQuadraticSpline`.

    Shapes: x, y, log dy/dx (dim,), a row of knots for each coordinate.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.quadratic_pieces import knots, spline
        >>> even = knots(jnp.zeros((1, 4)), 2.0)
        >>> spline(jnp.array([0.5]), even, even, jnp.ones((1, 5)))[0].round(4).tolist()
        [0.5]
    """
    x_0, y_0, w, h, d_0, d_1 = _bin_of(x, x_knots, x_knots, y_knots, derivatives)
    t = (x - x_0) / w
    s, u = h / w, t * (1 - t)
    g = s + (d_1 + d_0 - 2 * s) * u
    return y_0 + h * (s * t**2 + d_0 * u) / g, _log_slope(t, s, g, d_0, d_1)


def inverse_spline(
    y: Float[Array, " dim"],
    x_knots: Float[Array, "dim knots"],
    y_knots: Float[Array, "dim knots"],
    derivatives: Float[Array, "dim knots"],
) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
    """x and log dx/dy of `spline`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.quadratic_pieces import inverse_spline, knots
        >>> even = knots(jnp.zeros((1, 4)), 2.0)
        >>> inverse_spline(jnp.array([0.5]), even, even, jnp.ones((1, 5)))[0].round(4).tolist()
        [0.5]
    """
    x_0, y_0, w, h, d_0, d_1 = _bin_of(y, y_knots, x_knots, y_knots, derivatives)
    t, s = _solve((y - y_0) / h, h / w, d_0, d_1), h / w
    g = s + (d_1 + d_0 - 2 * s) * t * (1 - t)
    return x_0 + w * t, -_log_slope(t, s, g, d_0, d_1)


def _bin_of(
    point: Float[Array, " dim"],
    knots: Float[Array, "dim n"],
    x_knots: Float[Array, "dim n"],
    y_knots: Float[Array, "dim n"],
    derivatives: Float[Array, "dim n"],
) -> tuple[Float[Array, " dim"], ...]:
    """x_k, y_k, width, height, d_k and d_k+1 of the bin between the `knots` around each point."""
    above = point[:, None] >= knots[:, 1:-1]
    index = jnp.sum(above, axis=-1)
    # sums over a one-hot mask differentiate into products, where indexing would into scatters
    chosen = index[:, None] == jnp.arange(knots.shape[-1] - 1)

    def pick(values):
        return jnp.sum(jnp.where(chosen, values, 0), axis=-1)

    return (
        pick(x_knots[:, :-1]),
        pick(y_knots[:, :-1]),
        pick(jnp.diff(x_knots, axis=-1)),
        pick(jnp.diff(y_knots, axis=-1)),
        pick(derivatives[:, :-1]),
        pick(derivatives[:, 1:]),
    )


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
