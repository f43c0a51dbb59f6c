"""Coordinates in another order."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.bijections.base import Bijection
from flowvi.bijections.leaf import leaf
from flowvi.errors import FlowError
from flowvi.precision import is_traced


class Permutation(Bijection):
    """Reorder the coordinates.

        y_i = x_{permutation_i},    log |det dy/dx| = 0

    Cost: dim in both directions. Shapes: x, y (dim,); `permutation` (dim,) holds each of 0 .. dim - 1 once.

    Source: RealNVP, section 3.5, where the halves take turns.

    Raises:
        FlowError: `permutation` is not a permutation.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Permutation
        >>> Permutation(jnp.array([2, 0, 1])).forward_and_log_det(jnp.array([1.0, 2.0, 3.0]))[0].tolist()
        [3.0, 1.0, 2.0]
    """

    permutation: Int[Array, " dim"]
    inverse: Int[Array, " dim"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, permutation: Int[Array | np.ndarray, " dim"]):
        if not is_traced(permutation) and not np.array_equal(
            np.sort(permutation), np.arange(len(permutation))
        ):
            raise FlowError(
                f"Permutation: {np.asarray(permutation).tolist()} does not hold each of 0 .. dim - 1 once. "
                "Use e.g. jax.random.permutation(key, dim)."
            )
        self.permutation = leaf(permutation)
        traced = is_traced(permutation)
        self.inverse = jnp.argsort(permutation) if traced else leaf(np.argsort(permutation))
        self.shape = self.permutation.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return x[self.permutation], jnp.zeros((), x.dtype)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return y[self.inverse], jnp.zeros((), y.dtype)
