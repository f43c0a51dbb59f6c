"""A conditional map at one condition."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.leaf import leaf
from flowvi.bijections.trainable import Constant
from flowvi.errors import FlowError


class Conditioned(Bijection):
    """A conditional bijection whose condition is given once and for all, and not trained.

        y = f(x; c),    log |det dy/dx| = log |det df/dx (x; c)|

    Cost: that of the bijection. Shapes: x, y as the bijection; c (its condition_dim,).

    Raises:
        FlowError: the bijection takes no condition, or one of another length.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Amortized, Conditioned, LocationScale
        >>> layer = Amortized(LocationScale(jnp.ones(2), jnp.ones(2)), 3, key=0)
        >>> at = Conditioned(layer, jnp.arange(3.0))
        >>> at.condition_dim is None, at.forward_and_log_det(jnp.zeros(2))[0].tolist()
        (True, [1.0, 1.0])
    """

    bijection: Bijection
    condition: Constant
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, bijection: Bijection, condition: Float[Array | np.ndarray, " condition"]):
        if bijection.condition_dim is None or np.shape(condition) != (bijection.condition_dim,):
            raise FlowError(
                f"Conditioned: the bijection has condition_dim {bijection.condition_dim} but the condition "
                f"has shape {np.shape(condition)}. Give one of shape (condition_dim,)."
            )
        self.bijection = bijection
        self.condition = Constant(leaf(condition))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bijection.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.bijection.out_shape

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.forward_and_log_det(x, self.condition.value)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.inverse_and_log_det(y, self.condition.value)
