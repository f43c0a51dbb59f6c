"""A bijection run backwards."""

from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection


class Invert(Bijection):
    """The inverse of a bijection, as a bijection.

        y = f^-1(x),    log |det dy/dx| = log |det df^-1/dx|

    Cost: that of f, with the directions exchanged: `Invert(MaskedAutoregressive(...))` is the map of MAF,
    whose density is the cheap direction. Shapes: x as the output of f, y as its input.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Invert, LocationScale
        >>> standardise = Invert(LocationScale(jnp.ones(1), 2 * jnp.ones(1)))
        >>> standardise.forward_and_log_det(jnp.array([5.0]))[0].round(4).tolist()
        [2.0]
    """

    bijection: Bijection

    def __init__(self, bijection: Bijection):
        self.bijection = bijection

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bijection.out_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.bijection.shape

    @property
    def condition_dim(self) -> int | None:
        return self.bijection.condition_dim

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.inverse_and_log_det(x, condition)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.forward_and_log_det(y, condition)
