"""The supports of increasing vectors."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.safe_exp import safe_exp
from flowvi.errors import SupportError


class Ordered(Bijection):
    """R^K onto increasing vectors, over the last axis.

        y_1 = x_1,    y_k = y_(k-1) + exp(x_k),    log |det dy/dx| = sum_(k>1) x_k

    Shapes: x and y of the given `shape`. Source: Stan reference manual, "Ordered vector".

    Raises:
        SupportError: the shape has no axis, or the last one is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Ordered
        >>> Ordered((3,)).forward_and_log_det(jnp.zeros(3))[0].tolist()
        [0.0, 1.0, 2.0]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, shape: tuple[int, ...]):
        _check_axis("ordered", shape)
        self.shape = shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, "*batch size"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch size"], Float[Array, ""]]:
        steps = jnp.concatenate([x[..., :1], safe_exp(x[..., 1:])], axis=-1)
        return jnp.cumsum(steps, axis=-1), jnp.sum(x[..., 1:])

    def inverse_and_log_det(
        self, y: Float[Array, "*batch size"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch size"], Float[Array, ""]]:
        log_steps = _log_steps(jnp.diff(y, axis=-1))
        return jnp.concatenate([y[..., :1], log_steps], axis=-1), -jnp.sum(log_steps)


class PositiveOrdered(Bijection):
    """R^K onto increasing vectors of positive numbers, over the last axis.

        y_1 = exp(x_1),    y_k = y_(k-1) + exp(x_k),    log |det dy/dx| = sum_k x_k

    Shapes: x and y of the given `shape`. Source: Stan reference manual, "Positive ordered vector"; NumPyro's
    exp(ordered) overflows from x = 7.

    Raises:
        SupportError: the shape has no axis, or the last one is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import PositiveOrdered
        >>> PositiveOrdered((3,)).forward_and_log_det(jnp.zeros(3))[0].tolist()
        [1.0, 2.0, 3.0]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, shape: tuple[int, ...]):
        _check_axis("positive_ordered", shape)
        self.shape = shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, "*batch size"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch size"], Float[Array, ""]]:
        return jnp.cumsum(safe_exp(x), axis=-1), jnp.sum(x)

    def inverse_and_log_det(
        self, y: Float[Array, "*batch size"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch size"], Float[Array, ""]]:
        x = _log_steps(jnp.diff(y, axis=-1, prepend=0))
        return x, -jnp.sum(x)


def _log_steps(steps: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    # small steps are lost beside large values; decreasing vectors still give NaN
    return jnp.log(jnp.where(steps == 0, jnp.finfo(steps.dtype).tiny, steps))


def _check_axis(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) == 0 or shape[-1] == 0:
        raise SupportError(
            f"{name}: a parameter of shape {shape} has no last axis to order. Give it one, or use the "
            "support 'real' or 'positive' for a single number."
        )
