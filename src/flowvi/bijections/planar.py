"""Planar maps: space is stretched or compressed along one direction, across a hyperplane."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.matmul import matmul
from flowvi.bijections.nonlinearity import (
    Nonlinearity,
    NonlinearityName,
    invertible_pair,
    named_nonlinearity,
    preimage,
)


class Planar(Bijection):
    """Add a multiple of one vector, by how far a point is from a hyperplane.

        y = x + u h(a),    a = w . x + b,    log |det dy/dx| = log(1 + (w . u) h'(a))

    The trained u is moved along w so far that 1 + (w . u) h' > 0, which makes the map invertible for every
    value of the parameters. Its inverse finds a from w . y + b = a + (w . u) h(a), which increases in a, and
    is then x = y - u h(a). Starts near the identity, which is u = 0. For parameters that depend on a
    condition, wrap it in `Amortized`.

    Cost: dim in the forward direction, dim and a scalar root in the inverse. Shapes: x, y, u, w (dim,);
    b ().

    Source: R&M, equations 10 to 13 and appendix A.1.

    Raises:
        FlowError: the nonlinearity is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Planar
        >>> layer = Planar(2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0]
    """

    u: Float[Array, " dim"]
    w: Float[Array, " dim"]
    b: Float[Array, ""]
    h: Nonlinearity
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(
        self, dim: int, *, key: PRNGKeyArray | int, nonlinearity: NonlinearityName | Nonlinearity = "tanh"
    ):
        rng = host_generator(key)
        self.u = leaf(0.01 * rng.standard_normal(dim))
        self.w = leaf(rng.standard_normal(dim) / np.sqrt(dim))
        self.b = leaf(np.asarray(rng.standard_normal()))
        self.h = named_nonlinearity(nonlinearity)
        self.shape = (dim,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        u, product, w, b = self._parameters(x)
        value, slope = self.h.value_and_slope(matmul(w, x) + b)
        return x + u * value, jnp.log1p(product * slope)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        u, product, w, b = self._parameters(y)
        value, slope = self.h.value_and_slope(preimage(self.h, product, matmul(w, y) + b))
        return y - u * value, -jnp.log1p(product * slope)

    def _parameters(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """u, w . u, w and b, in the precision of x."""
        u, w, b = (a.astype(x.dtype) for a in (self.u, self.w, self.b))
        return *invertible_pair(u, w, self.h), w, b
