"""Maps applied one after the other."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.errors import FlowError


class Chain(Bijection):
    """Several bijections in a row, left to right: the first one is applied first.

        y = f_K(... f_2(f_1(x))),    log |det dy/dx| = sum_k log |det df_k|

    Cost: the sum of theirs. Shapes: x as the first, y as the last bijection. All conditional members share
    one condition.

    Raises:
        FlowError: there is no bijection, neighbours differ in shape, or members in condition length.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Chain, LocationScale, Permutation
        >>> swap = Permutation(jnp.array([1, 0]))
        >>> chain = Chain([LocationScale(jnp.zeros(2), jnp.array([1.0, 2.0])), swap])
        >>> chain.forward_and_log_det(jnp.array([3.0, 4.0]))[0].round(4).tolist()
        [8.0, 3.0]
    """

    bijections: tuple[Bijection, ...]

    def __init__(self, bijections: Sequence[Bijection]):
        self.bijections = tuple(bijections)
        if not self.bijections:
            raise FlowError("Chain has no bijections. Give at least one; `Identity(shape)` does nothing.")
        for k, (first, second) in enumerate(zip(self.bijections[:-1], self.bijections[1:], strict=True)):
            if first.out_shape != second.shape:
                raise FlowError(
                    f"Chain: bijection {k} gives shape {first.out_shape} but bijection {k + 1} takes "
                    f"{second.shape}. Build neighbours for the same dimension."
                )
        dims = {b.condition_dim for b in self.bijections} - {None}
        if len(dims) > 1:
            raise FlowError(
                f"Chain: its bijections want conditions of lengths {sorted(dims, key=str)}. Build all "
                "of them with the same condition_dim, or None."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bijections[0].shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.bijections[-1].out_shape

    @property
    def condition_dim(self) -> int | None:
        return next((b.condition_dim for b in self.bijections if b.condition_dim is not None), None)

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        total = jnp.zeros((), x.dtype)
        for bijection in self.bijections:
            x, log_det = bijection.forward_and_log_det(x, condition)
            total = total + log_det
        return x, total

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        total = jnp.zeros((), y.dtype)
        for bijection in reversed(self.bijections):
            y, log_det = bijection.inverse_and_log_det(y, condition)
            total = total + log_det
        return y, total
