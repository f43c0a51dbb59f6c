"""Planar maps: space is stretched or compressed along one direction, across a hyperplane."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.amortized import amortized_parameters, condition_network
from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.increasing_root import increasing_root
from flowvi.bijections.leaf import leaf
from flowvi.bijections.mlp import MLP
from flowvi.bijections.nonlinearity import NonlinearityName, invertible, nonlinearity


class Planar(Bijection):
    """Add a multiple of one vector, by how far a point is from a hyperplane.

        y = x + u h(w . x + b),    log |det dy/dx| = log |1 + (w . u) h'(w . x + b)|

    The trained u is moved along w so that w . u > -1 / h'_max, which makes the map invertible for every
    value of the parameters. Its inverse finds a = w . x + b from w . y + b = a + (w . u) h(a), which
    increases in a, and is then x = y - u h(a). Starts near the identity: u = 0 is the identity. With a
    condition, a network adds to all of u, w and b.

    Cost: dim in the forward direction, dim and a scalar root in the inverse. Shapes: x, y, u, w (dim,).

    Source: R&M, equations 10 to 13 and appendix A.1.

    Raises:
        FlowError: the nonlinearity is unknown, or the condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Planar
        >>> layer = Planar(2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0]
    """

    parameters: Float[Array, " parameters"]
    conditioner: MLP | None
    nonlinearity: NonlinearityName = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        nonlinearity: NonlinearityName = "tanh",
        condition_dim: int | None = None,
        width: int = 32,
        depth: int = 2,
    ):
        rng = host_generator(key)
        w = rng.standard_normal(dim) / np.sqrt(dim)
        u = 0.01 * rng.standard_normal(dim)
        self.parameters = leaf(np.concatenate([u, w, [0.0]]))
        self.conditioner = condition_network(condition_dim, 2 * dim + 1, rng, width, depth)
        self.nonlinearity = nonlinearity
        self.shape = (dim,)
        self.condition_dim = condition_dim

    def __check_init__(self):
        nonlinearity(self.nonlinearity)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        u, w, b, product = self._at(x, condition)
        h = nonlinearity(self.nonlinearity)
        a = w @ x + b
        return x + u * h.value(a), jnp.log1p(product * h.slope(a))

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        u, w, b, product = self._at(y, condition)
        h = nonlinearity(self.nonlinearity)
        across = w @ y + b
        a = increasing_root(lambda a: a + product * h.value(a) - across, across)
        return y - u * h.value(a), -jnp.log1p(product * h.slope(a))

    def _at(self, x: Array, condition: Array | None) -> tuple[Array, Array, Array, Array]:
        """u, w, b and w . u, which is above -1 / h'_max."""
        dim = self.shape[0]
        parameters = amortized_parameters(
            self.parameters, self.conditioner, condition, self.condition_dim
        ).astype(x.dtype)
        u, w, b = parameters[:dim], parameters[dim:-1], parameters[-1]
        free, square = w @ u, w @ w
        product = invertible(free, nonlinearity(self.nonlinearity))
        # where w is zero the map is a shift, and u any vector
        flat = square < jnp.finfo(x.dtype).tiny ** 0.5
        along = jnp.where(flat, 0, (product - free) / jnp.where(flat, 1, square))
        return u + along * w, w, b, jnp.where(flat, 0, product)
