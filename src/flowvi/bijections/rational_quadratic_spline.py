"""Monotone splines per coordinate, with parameters from a conditioner."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.batch_last import broadcast_like
from flowvi.bijections.quadratic_pieces import Pieces, inverse_spline, picked, sizes, spline
from flowvi.bijections.transformer import Transformer
from flowvi.errors import FlowError


class RationalQuadraticSpline(Transformer):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside.

    Between the knots (x_k, y_k) and (x_k+1, y_k+1) with derivatives d_k, d_k+1, width w, height h, s = h / w
    and t = (x - x_k) / w,

        y = y_k + h (s t^2 + d_k t (1 - t)) / g,    g = s + (d_k+1 + d_k - 2 s) t (1 - t)
        dy/dx = s^2 (d_k+1 t^2 + 2 s t (1 - t) + d_k (1 - t)^2) / g^2

    Parameters: `bins` widths and heights (through softmax) and bins - 1 inner derivatives, whose log is
    softly clamped: unlike NSF's softplus this makes zero parameters the identity and any finite ones safe. At
    both ends the derivative is 1, that of the tails. Cost: dim bins in both directions; the inverse is a root
    of a quadratic. Shapes: x, y (dim,), parameters (3 bins - 1, dim).

    Source: NSF, section 3.1 (after Gregory and Delbourgo 1982).

    Raises:
        FlowError: `bins` or `bound` leaves no room for a spline.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import RationalQuadraticSpline
        >>> spline = RationalQuadraticSpline(bins=4, bound=3.0)
        >>> spline.forward_and_log_det(jnp.array([-7.0, 1.5]), jnp.zeros((11, 2)))[0].round(4).tolist()
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
        self, x: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        return self._within(spline, x, parameters)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        return self._within(inverse_spline, y, parameters)

    def _within(self, curve, point, parameters):
        inside, zero = jnp.abs(point) < self.bound, broadcast_like(0.0, point)
        widths, heights, inner = jnp.split(parameters, [self.bins, 2 * self.bins])
        pieces = Pieces(
            sizes(widths, self.bound),
            sizes(heights, self.bound),
            # no parameter stands for the ends, where the log derivative is zero
            lambda at: (picked(at[1:], inner), picked(at[:-1], inner)),
        )
        # both branches of a `where` are differentiated: the spline must see a point inside its box
        value, log_slope = curve(jnp.where(inside, point, zero), pieces, self.bound)
        return jnp.where(inside, value, point), jnp.where(inside, log_slope, zero)
