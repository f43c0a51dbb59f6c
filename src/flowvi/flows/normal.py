"""The standard normal."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.flows.distribution import Distribution


class Normal(Distribution):
    """The standard normal on R^dim; location and scale belong to the bijection.

        log q0(x) = -1/2 sum_i x_i^2 - dim/2 log(2 pi)

    Shapes: x (dim,).

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import Normal
        >>> with jax.enable_x64(True):
        ...     print(Normal(2).log_prob(jnp.zeros(2)).round(4))
        -1.8379
    """

    dim: int = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        return jax.random.normal(key, (self.dim,))

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return -0.5 * jnp.sum(x**2) - 0.5 * self.dim * np.log(2 * np.pi)
