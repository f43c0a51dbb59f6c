"""Monotone splines per coordinate, with parameters from a conditioner."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.transformer import Transformer
from flowvi.errors import FlowError

MIN_SIZE = 0.05
"""A bin is at least this part as wide and high as it would be among equal ones."""
MAX_DERIVATIVE = 100.0
"""The derivative at a knot stays below this and above its inverse."""


class RationalQuadraticSpline(Transformer):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside.

    Between the knots (x_k, y_k) and (x_k+1, y_k+1) with derivatives d_k, d_k+1, width w, height h, s = h / w
    and t = (x - x_k) / w,

        y = y_k + h (s t^2 + d_k t (1 - t)) / g,    g = s + (d_k+1 + d_k - 2 s) t (1 - t)
        dy/dx = s^2 (d_k+1 t^2 + 2 s t (1 - t) + d_k (1 - t)^2) / g^2

    Parameters: `bins` widths and heights (through softmax) and bins - 1 inner derivatives, whose log is
    softly clamped: unlike NSF's softplus this makes zero parameters the identity and any finite ones safe. At
    both ends the derivative is 1, that of the tails. Shapes: x, y (dim,), parameters (dim, 3 bins - 1).
    Source: NSF, section 3.1 (after Gregory and Delbourgo 1982).

    Raises:
        FlowError: `bins` or `bound` leaves no room for a spline.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import RationalQuadraticSpline
        >>> spline = RationalQuadraticSpline(bins=4, bound=3.0)
        >>> spline.forward_and_log_det(jnp.array([-7.0, 1.5]), jnp.zeros((2, 11)))[0].round(4).tolist()
        [-7.0, 1.5]
    """

    bins: int = eqx.field(default=8, static=True)
    bound: float = eqx.field(default=5.0, static=True)

    def __check_init__(self):
        if not (self.bins >= 1 and 0 < self.bound < math.inf):
            raise FlowError(
                f"RationalQuadraticSpline: bins={self.bins}, bound={self.bound}. Give at least one bin and a "
                "positive, finite bound; 8 and 5.0 are usual."
            )

    @property
    def parameters_per_dim(self) -> int:
        return 3 * self.bins - 1

    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "dim parameters"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        inside = jnp.abs(x) < self.bound
        # both branches of a `where` are differentiated: the spline must see a point inside its box
        safe_x = jnp.where(inside, x, 0)
        x_knots, y_knots, derivatives = self._knots(parameters)
        x_0, y_0, w, h, d_0, d_1 = _bin_of(safe_x, x_knots, x_knots, y_knots, derivatives)
        t = (safe_x - x_0) / w
        s, u = h / w, t * (1 - t)
        g = s + (d_1 + d_0 - 2 * s) * u
        y = y_0 + h * (s * t**2 + d_0 * u) / g
        return jnp.where(inside, y, x), jnp.where(inside, _log_slope(t, s, g, d_0, d_1), 0)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "dim parameters"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        inside = jnp.abs(y) < self.bound
        safe_y = jnp.where(inside, y, 0)
        x_knots, y_knots, derivatives = self._knots(parameters)
        x_0, y_0, w, h, d_0, d_1 = _bin_of(safe_y, y_knots, x_knots, y_knots, derivatives)
        t, s = _solve((safe_y - y_0) / h, h / w, d_0, d_1), h / w
        g = s + (d_1 + d_0 - 2 * s) * t * (1 - t)
        return jnp.where(inside, x_0 + w * t, y), jnp.where(inside, -_log_slope(t, s, g, d_0, d_1), 0)

    def _knots(self, parameters):
        widths, heights, log_derivatives = jnp.split(parameters, [self.bins, 2 * self.bins], axis=-1)
        derivatives = jnp.exp(soft_clamp(log_derivatives, math.log(MAX_DERIVATIVE)))
        return self._cumulative(widths), self._cumulative(heights), _pad(derivatives, 1.0, 1.0)

    def _cumulative(self, logits):
        shares = MIN_SIZE / self.bins + (1 - MIN_SIZE) * jax.nn.softmax(logits, axis=-1)
        inner = self.bound * (2 * jnp.cumsum(shares[..., :-1], axis=-1) - 1)
        return _pad(inner, -self.bound, self.bound)


def _pad(values: Float[Array, "dim n"], first: float, last: float) -> Float[Array, "dim m"]:
    return jnp.pad(values, ((0, 0), (1, 1)), constant_values=((0, 0), (first, last)))


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
