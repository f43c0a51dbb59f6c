"""Monotone splines of an angle, with parameters from a conditioner."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.quadratic_pieces import Pieces, inverse_spline, picked, sizes, spline
from flowvi.bijections.transformer import Transformer
from flowvi.bijections.wrap import turns
from flowvi.errors import FlowError


class CircularSpline(Transformer):
    """A rational-quadratic spline of the circle onto itself, and a rotation.

        y = S(x) + a for x in [-pi, pi),    S(-pi) = -pi, S(pi) = pi, S'(-pi) = S'(pi)
        y(x + 2 pi k) = y(x) + 2 pi k

    The second line makes it an increasing map of the real line too, smooth across each seam, so that it
    can be used wherever a `Transformer` can; `Wrap` brings angles back to [-pi, pi). Between its knots S is
    that of `RationalQuadraticSpline`. Parameters: `bins` widths, heights and derivatives each, then the angle
    a; zero parameters are the identity. Cost: dim bins in both directions. Shapes: x, y (dim,), parameters
    (3 bins + 1, dim).

    Source: Rezende et al. 2020 (arXiv 2002.02428), section 2.3.

    Raises:
        FlowError: `bins` is below 2, where the derivative at the seam would be the only one.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import CircularSpline
        >>> spline = CircularSpline(bins=4)
        >>> spline.forward_and_log_det(jnp.array([1.0, 7.0]), jnp.zeros((13, 2)))[0].round(4).tolist()
        [1.0, 7.0]
    """

    bins: int = eqx.field(default=8, static=True)

    def __check_init__(self):
        if self.bins < 2:
            raise FlowError(f"CircularSpline: bins={self.bins}. Give at least two; 8 is usual.")

    @property
    def parameters_per_dim(self) -> int:
        return 3 * self.bins + 1

    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        shift = turns(x)
        y, log_slope = spline(x - shift, _pieces(parameters), np.pi)
        return y + shift + parameters[-1], log_slope

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        y = y - parameters[-1]
        shift = turns(y)
        x, log_slope = inverse_spline(y - shift, _pieces(parameters), np.pi)
        return x + shift, log_slope


def _pieces(parameters):
    widths, heights, log_derivatives = jnp.split(parameters[:-1], 3)
    return Pieces(
        sizes(widths, np.pi),
        sizes(heights, np.pi),
        # the two ends are one point of the circle
        lambda at: (picked(at, log_derivatives), picked(at, jnp.roll(log_derivatives, -1, axis=0))),
    )
