"""Angles in one turn."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection


class Wrap(Bijection):
    """Angles brought to [-pi, pi): the identity of the torus, in either direction.

        y = x - 2 pi floor((x + pi) / (2 pi)),    log |det dy/dx| = 0

    A bijection of angles, not of numbers: x and x + 2 pi are one point. It stands last in flows on the torus,
    so that their draws lie in one turn and their density may be asked for at any angle.
    Cost: dim in both directions. Shapes: x, y (dim,).

    Source: Rezende et al. 2020 (arXiv 2002.02428), section 2.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Wrap
        >>> Wrap(2).forward_and_log_det(jnp.array([1.0, 1.0 + 2 * jnp.pi]))[0].round(4).tolist()
        [1.0, 1.0]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, dim: int):
        self.shape = (dim,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        wrapped = x - turns(x)
        # just below -pi, a turn more rounds to pi
        return wrapped - 2 * np.pi * (wrapped >= np.pi), jnp.zeros((), x.dtype)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return self.forward_and_log_det(y)


def turns(x: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """The multiple of 2 pi to take from x for an angle in [-pi, pi), up to rounding.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.wrap import turns
        >>> (turns(jnp.array([0.0, 4.0, 12.0])) / (2 * jnp.pi)).tolist()
        [0.0, 1.0, 2.0]
    """
    return 2 * np.pi * jnp.floor((x + np.pi) / (2 * np.pi))
