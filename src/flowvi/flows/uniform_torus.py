"""The uniform distribution of angles."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.flows.distribution import Distribution


class UniformTorus(Distribution):
    """dim independent angles, uniform on [-pi, pi).

        log q0(x) = -dim log(2 pi), at any x, since x and x + 2 pi are one point

    The density is one on the torus, and integrates to one over a turn of each angle.
    Shapes: x (dim,).

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import UniformTorus
        >>> with jax.enable_x64(True):
        ...     print(UniformTorus(1).log_prob(jnp.zeros(1)).round(4))
        -1.8379
    """

    dim: int = eqx.field(static=True)

    @property
    def periodic(self) -> bool:
        return True

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        return jax.random.uniform(key, (self.dim,), minval=-np.pi, maxval=np.pi)

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return jnp.asarray(-self.dim * np.log(2 * np.pi), x.dtype)
