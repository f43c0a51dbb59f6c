"""The support of positive parameters."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.safe_exp import safe_exp


class Positive(Bijection):
    """The real line onto the positive numbers, per entry.

        y = exp(x),    log |det dy/dx| = sum_i x_i

    Shapes: x and y of the given `shape`. Source: Stan reference manual, "Lower bounded scalar".

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Positive
        >>> Positive((2,)).forward_and_log_det(jnp.zeros(2))[0].tolist()
        [1.0, 1.0]
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
        return safe_exp(x), jnp.sum(x)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        x = jnp.log(y)
        return x, -jnp.sum(x)
