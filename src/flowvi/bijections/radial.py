"""Radial maps: space is drawn to a point or pushed away from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.nonlinearity import SHARE, above

_BOUND = 10.0
"""|log alpha| stays below this."""


class Radial(Bijection):
    """Move every point along the ray from a centre, less the farther it is.

        y = x + beta (x - c) / (alpha + r),    r = |x - c|
        log |det dy/dx| = (dim - 1) log(1 + beta / (alpha + r)) + log(1 + alpha beta / (alpha + r)^2)

    Trained are c, log alpha (softly clamped to (-10, 10)) and a free number for beta / alpha, which is kept
    above -1 and makes the map invertible for every value of the parameters. The inverse has a formula: r is
    the positive root of r^2 + (alpha + beta - |y - c|) r - alpha |y - c| = 0. Starts near the identity, which
    is beta = 0. For parameters that depend on a condition, wrap it in `Amortized`.

    Cost: dim in both directions. Shapes: x, y, c (dim,); log alpha and the free number ().

    Source: R&M, equation 14 and appendix A.2.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Radial
        >>> layer = Radial(2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0]
    """

    centre: Float[Array, " dim"]
    log_alpha: Float[Array, ""]
    relative_beta: Float[Array, ""]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, dim: int, *, key: PRNGKeyArray | int):
        rng = host_generator(key)
        self.centre = leaf(rng.standard_normal(dim))
        self.log_alpha = leaf(np.zeros(()))
        self.relative_beta = leaf(np.asarray(0.01 * rng.standard_normal()))
        self.shape = (dim,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        centre, alpha, beta = self._parameters(x)
        r = _norm(x - centre)
        return x + beta / (alpha + r) * (x - centre), self._log_det(alpha, beta, r)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        centre, alpha, beta = self._parameters(y)
        r_y = _norm(y - centre)
        # of the two ways to write the positive root, the one without a difference of like numbers
        half = (r_y - alpha - beta) / 2
        larger = jnp.sqrt(half**2 + alpha * r_y) + jnp.abs(half)
        r = jnp.where(half > 0, larger, alpha * r_y / larger)
        # a ratio of sums: y less its share of beta would cancel where beta is much larger than alpha + r
        return centre + (alpha + r) / (alpha + beta + r) * (y - centre), -self._log_det(alpha, beta, r)

    def _log_det(self, alpha: Array, beta: Array, r: Array) -> Array:
        across, along = jnp.log1p(beta / (alpha + r)), jnp.log1p(alpha * beta / (alpha + r) ** 2)
        return (self.shape[0] - 1) * across + along

    def _parameters(self, x: Array) -> tuple[Array, Array, Array]:
        """c, alpha and beta, in the precision of x."""
        centre, log_alpha, relative_beta = jax.tree.map(
            lambda a: a.astype(x.dtype), (self.centre, self.log_alpha, self.relative_beta)
        )
        alpha = jnp.exp(soft_clamp(log_alpha, _BOUND))
        return centre, alpha, alpha * above(relative_beta, -SHARE)


def _norm(x: Float[Array, " dim"]) -> Float[Array, ""]:
    """|x|, with a gradient of zero at zero."""
    square = jnp.sum(x**2)
    zero = square == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))
