"""Radial maps: space is drawn to a point or pushed away from it."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.amortized import amortized_parameters, condition_network
from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.mlp import MLP
from flowvi.bijections.nonlinearity import bounded_below

_LOG_SCALE = 10.0
"""Of the distance over which the map acts, in either direction."""
_SHARE = 0.999
"""Of the way to a map that is not invertible, at most."""


class Radial(Bijection):
    """Move every point along the ray from a centre, less the farther it is.

        y = x + beta (x - c) / (alpha + r),    r = |x - c|
        log |det dy/dx| = (dim - 1) log(1 + beta / (alpha + r)) + log(1 + alpha beta / (alpha + r)^2)

    with alpha > 0 and beta > -alpha, which makes the map invertible for every value of the parameters. The
    inverse has a formula: r solves r^2 + (alpha + beta - |y - c|) r - alpha |y - c| = 0. Starts near the
    identity, which is beta = 0. With a condition, a network adds to all of c, alpha and beta.

    Cost: dim in both directions. Shapes: x, y, c (dim,).

    Source: R&M, equations 14 and appendix A.2.

    Raises:
        FlowError: the condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Radial
        >>> layer = Radial(2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0]
    """

    parameters: Float[Array, " parameters"]
    conditioner: MLP | None
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        condition_dim: int | None = None,
        width: int = 32,
        depth: int = 2,
    ):
        rng = host_generator(key)
        centre, beta = rng.standard_normal(dim), 0.01 * rng.standard_normal()
        self.parameters = leaf(np.concatenate([centre, [0.0, beta]]))
        self.conditioner = condition_network(condition_dim, dim + 2, rng, width, depth)
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        centre, alpha, beta = self._at(x, condition)
        r = _norm(x - centre)
        return centre + (1 + beta / (alpha + r)) * (x - centre), self._log_det(alpha, beta, r)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        centre, alpha, beta = self._at(y, condition)
        r_y = _norm(y - centre)
        # of the two ways to write the positive root, the one without a difference of like numbers
        half = (r_y - alpha - beta) / 2
        root = jnp.sqrt(half**2 + alpha * r_y)
        r = jnp.where(half > 0, half + root, alpha * r_y / (root + jnp.abs(half)))
        return centre + (y - centre) / (1 + beta / (alpha + r)), -self._log_det(alpha, beta, r)

    def _log_det(self, alpha: Array, beta: Array, r: Array) -> Array:
        across, along = jnp.log1p(beta / (alpha + r)), jnp.log1p(alpha * beta / (alpha + r) ** 2)
        return (self.shape[0] - 1) * across + along

    def _at(self, x: Array, condition: Array | None) -> tuple[Array, Array, Array]:
        parameters = amortized_parameters(
            self.parameters, self.conditioner, condition, self.condition_dim
        ).astype(x.dtype)
        alpha = jnp.exp(soft_clamp(parameters[-2], _LOG_SCALE))
        return parameters[:-2], alpha, alpha * bounded_below(parameters[-1], -_SHARE)


def _norm(x: Float[Array, " dim"]) -> Float[Array, ""]:
    """|x|, with a gradient of zero at zero."""
    square = x @ x
    zero = square == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))
