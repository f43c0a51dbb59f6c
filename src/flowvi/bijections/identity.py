"""The map that changes nothing."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection


class Identity(Bijection):
    """y = x, with log |det dy/dx| = 0: also the support of real parameters.

    Cost: none. Shapes: x and y of the given `shape`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Identity
        >>> Identity((2,)).forward_and_log_det(jnp.ones(2))[1].item()
        0.0
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return x, jnp.zeros((), x.dtype)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return y, jnp.zeros((), y.dtype)
