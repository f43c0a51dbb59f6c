"""The support of probability vectors."""

import equinox as eqx
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.safe_exp import safe_exp
from flowvi.errors import SupportError


class Simplex(Bijection):
    """R^(K-1) onto K positive numbers with sum one, by breaking a stick; over the last axis.

        z_k = x_k - log(K - k),    y_k = sigmoid(z_k) (1 - y_1 - ... - y_(k-1)),    y_K = the rest
        log |det d(y_1 .. y_(K-1))/dx| = sum_k log y_k + log sigmoid(-z_k)

    x = 0 is the uniform vector. Shapes: x (..., K - 1), y (..., K) = `out_shape`.
    Source: Stan reference manual, "Unit simplex".

    Raises:
        SupportError: the shape has no axis, or the last one is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Simplex
        >>> Simplex((4,)).forward_and_log_det(jnp.zeros(3))[0].round(4).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    out_shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, out_shape: tuple[int, ...]):
        if len(out_shape) == 0 or out_shape[-1] == 0:
            raise SupportError(
                f"simplex: a parameter of shape {out_shape} has no last axis to sum to one over. Give it "
                "one, or use the support 'unit_interval' for a single probability."
            )
        self.out_shape = out_shape

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.out_shape[:-1], self.out_shape[-1] - 1)

    def forward_and_log_det(
        self, x: Float[Array, "*batch free"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch full"], Float[Array, ""]]:
        z = x - self._offsets(x.dtype)
        log_y = _log_shares(z)
        return safe_exp(log_y), _log_det(z, log_y)

    def inverse_and_log_det(
        self, y: Float[Array, "*batch full"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch free"], Float[Array, ""]]:
        # what is left after a break, added up from the end, where nothing cancels
        left = jnp.cumsum(y[..., ::-1], axis=-1)[..., ::-1][..., 1:]
        z = jnp.log(y[..., :-1]) - jnp.log(left)
        return z + self._offsets(y.dtype), -_log_det(z, _log_shares(z))

    def _offsets(self, dtype):
        return jnp.log(jnp.arange(self.out_shape[-1] - 1, 0, -1, dtype=dtype))


def _log_shares(z: Float[Array, "*batch free"]) -> Float[Array, "*batch full"]:
    nothing = jnp.zeros((*z.shape[:-1], 1), z.dtype)
    log_left = jnp.concatenate([nothing, jnp.cumsum(log_sigmoid(-z), axis=-1)], axis=-1)
    return jnp.concatenate([log_sigmoid(z), nothing], axis=-1) + log_left


def _log_det(z: Float[Array, "*batch free"], log_y: Float[Array, "*batch full"]) -> Float[Array, ""]:
    return jnp.sum(log_y[..., :-1] + log_sigmoid(-z))
