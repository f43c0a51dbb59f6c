"""The supports of parameters bounded below, above, or on both sides."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.safe_exp import just_above, safe_exp
from flowvi.bijections.trainable import Constant
from flowvi.errors import SupportError
from flowvi.precision import is_traced

Bound = float | int | np.ndarray | np.generic | Array


class LowerBounded(Bijection):
    """The real line onto the numbers above a bound, per entry.

        y = low + exp(x),    log |det dy/dx| = sum_i x_i

    Shapes: x and y of the given `shape`, to which `low` broadcasts. The bound may be traced: another
    parameter, or data.
    Source: Stan reference manual, "Lower bounded scalar".

    Raises:
        SupportError: the bound is not finite or does not broadcast to the shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LowerBounded
        >>> LowerBounded(2.0, (1,)).forward_and_log_det(jnp.zeros(1))[0].tolist()
        [3.0]
    """

    low: Constant
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, low: Bound, shape: tuple[int, ...]):
        self.low = _bound(low, shape)
        self.shape = shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        low = self.low.value.astype(x.dtype)
        return jnp.maximum(low + safe_exp(x), just_above(low)), jnp.sum(x)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        x = jnp.log(y - self.low.value.astype(y.dtype))
        return x, -jnp.sum(x)


class UpperBounded(Bijection):
    """The real line onto the numbers below a bound, per entry.

        y = high - exp(x),    log |det dy/dx| = sum_i x_i

    Shapes: x and y of the given `shape`, to which `high` broadcasts. The bound may be traced.
    Source: Stan reference manual, "Upper bounded scalar".

    Raises:
        SupportError: the bound is not finite or does not broadcast to the shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import UpperBounded
        >>> UpperBounded(2.0, (1,)).forward_and_log_det(jnp.zeros(1))[0].tolist()
        [1.0]
    """

    high: Constant
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, high: Bound, shape: tuple[int, ...]):
        self.high = _bound(high, shape)
        self.shape = shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        high = self.high.value.astype(x.dtype)
        return jnp.minimum(high - safe_exp(x), -just_above(-high)), jnp.sum(x)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        x = jnp.log(self.high.value.astype(y.dtype) - y)
        return x, -jnp.sum(x)


class Interval(Bijection):
    """The real line onto the numbers between two bounds, per entry.

        y = low + (high - low) sigmoid(x)
        log |det dy/dx| = sum_i log(high - low) + log sigmoid(x_i) + log sigmoid(-x_i)

    Shapes: x and y of the given `shape`, to which the bounds broadcast. The bounds may be traced.
    Source: Stan reference manual, "Lower and upper bounded scalar".

    Raises:
        SupportError: a bound is not finite or does not broadcast to the shape, or low >= high.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Interval
        >>> Interval(-1.0, 3.0, (1,)).forward_and_log_det(jnp.zeros(1))[0].tolist()
        [1.0]
    """

    low: Constant
    high: Constant
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, low: Bound, high: Bound, shape: tuple[int, ...]):
        self.low = _bound(low, shape)
        self.high = _bound(high, shape)
        self.shape = shape
        if not is_traced(self.low, self.high) and np.any(self.low.value >= self.high.value):
            raise SupportError(
                f"interval: the lower bound {low} is not below the upper bound {high}. "
                "Give bounds with low < high."
            )

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        low, high = self.low.value.astype(x.dtype), self.high.value.astype(x.dtype)
        width = high - low
        # measured from the nearer bound, so that nothing is lost next to a bound of zero
        y = jnp.where(x < 0, low + width * sigmoid(x), high - width * sigmoid(-x))
        return jnp.clip(y, just_above(low), -just_above(-high)), _interval_log_det(x, width)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        low, high = self.low.value.astype(y.dtype), self.high.value.astype(y.dtype)
        x = jnp.log(y - low) - jnp.log(high - y)
        return x, -_interval_log_det(x, high - low)


def _interval_log_det(x: Float[Array, "..."], width: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(jnp.log(width) + log_sigmoid(x) + log_sigmoid(-x))


def _bound(value: Bound, shape: tuple[int, ...]) -> Constant:
    bound = jnp.asarray(value, float)
    try:
        fits = np.broadcast_shapes(bound.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise SupportError(
            f"interval: a bound of shape {bound.shape} does not fit a parameter of shape {shape}. "
            "Give a number, or an array that broadcasts to the parameter."
        )
    if not is_traced(bound) and not np.all(np.isfinite(bound)):
        raise SupportError(
            f"interval: the bound {value} is not finite. Leave a missing bound out with None; "
            "split a parameter whose entries are bounded on different sides."
        )
    return Constant(bound)
