"""Residual maps: a point and a little more, by a network that cannot fold space."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.lipschitz import LipschitzMLP
from flowvi.bijections.mlp import MLP
from flowvi.errors import FlowError

_MOST_STEPS = 2000


class Residual(Bijection):
    """Add a network whose slope stays below one.

        y = x + g(x + c),    |g(x) - g(x')| <= 0.9 |x - x'|,    log |det dy/dx| = log det(I + dg/dx)

    which makes the map invertible for every value of the parameters. The inverse is the limit of
    x <- y - g(x + c), with implicit gradients. The log-det is exact, from the whole Jacobian. The shift c is
    zero, or what a network makes of the condition. Starts as the identity.

    Cost: dim derivatives of the network and dim^3 in the forward direction; some tens of evaluations more
    in the inverse. Shapes: x, y (dim,).

    Source: Behrmann et al. 2019 (arXiv 1811.00995), section 2; ResFlow, section 3.

    Raises:
        FlowError: `contraction` is not between 0 and 1, or the condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Residual
        >>> layer = Residual(2, key=0)
        >>> layer.inverse_and_log_det(jnp.array([1.0, 2.0]))[0].round(4).tolist()
        [1.0, 2.0]
    """

    network: LipschitzMLP
    shift: MLP | None
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        condition_dim: int | None = None,
        width: int = 32,
        depth: int = 2,
        contraction: float = 0.9,
    ):
        if not 0 < contraction < 1:
            raise FlowError(
                f"Residual: contraction={contraction}. Give a number between 0 and 1, such as 0.9."
            )
        self.network = LipschitzMLP(dim, dim, key=key, width=width, depth=depth, contraction=contraction)
        self.shift = (
            None if condition_dim is None else MLP(condition_dim, dim, key=key, width=width, depth=depth)
        )
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        move = self._move(condition)
        return x + move(x), _log_det(move, x)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        move = self._move(condition)
        x = jax.lax.custom_root(lambda x: x + move(x) - y, y, _iterate, _solve)
        return x, -_log_det(move, x)

    def _move(self, condition: Array | None):
        if self.condition_dim is None or self.shift is None:
            return lambda x: self.network(x).astype(x.dtype)
        if condition is None or condition.shape != (self.condition_dim,):
            given = "none" if condition is None else f"one of shape {condition.shape}"
            raise FlowError(
                f"This map needs a condition of shape ({self.condition_dim},) but was given {given}."
            )
        shift = self.shift(condition)
        return lambda x: self.network(x + shift.astype(x.dtype)).astype(x.dtype)


def _log_det(move, x: Float[Array, " dim"]) -> Float[Array, ""]:
    jacobian = jax.jacfwd(move)(x)
    return jnp.linalg.slogdet(jnp.eye(x.size, dtype=x.dtype) + jacobian)[1]


def _iterate(off, y):
    """x <- x - (x + g(x) - y): a contraction."""
    tolerance = 4 * jnp.finfo(y.dtype).eps

    def unfinished(state):
        x, change, step = state
        return (step < _MOST_STEPS) & (jnp.max(jnp.abs(change)) > tolerance * (1 + jnp.max(jnp.abs(x))))

    def step(state):
        x, _, number = state
        change = off(x)
        return x - change, change, number + 1

    return jax.lax.while_loop(unfinished, step, (y, jnp.full_like(y, jnp.inf), 0))[0]


def _solve(linear, y):
    matrix = jax.jacfwd(linear)(jnp.zeros_like(y))
    return jnp.linalg.solve(matrix, y)
