"""Block autoregressive networks: a whole network that is triangular and increasing."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.increasing_root import increasing_root
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import soft_clamp
from flowvi.errors import FlowError

_LOG_WEIGHT = 5.0
"""Positive weights lie within e^-5 and e^5."""
_SHARE = 0.999
"""Of the network in the result, at most: the rest keeps far points apart."""


class BlockAutoregressive(Bijection):
    """A network whose output i depends on the inputs up to i, and increases in input i.

        y = (1 - s) x + s g(x),    g = W_L tanh( ... tanh(W_1 x + b_1) ... ) + b_L,    0 < s < 0.999

    Every coordinate has `width` hidden units of its own. Weights from earlier coordinates are free, those
    within a coordinate positive, the others zero, so that the Jacobian is triangular with a positive
    diagonal, whose product comes along with the values. The inverse finds one coordinate after the other,
    each as a scalar root. The condition enters the first layer.

    Cost: (dim width)^2 per layer in the forward direction; dim roots of such networks in the inverse.
    Shapes: x, y (dim,).

    Source: BNAF, equations 6 to 10; its gated residual connection.

    Raises:
        FlowError: a size is not positive, or the condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import BlockAutoregressive
        >>> layer = BlockAutoregressive(2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0]
    """

    weights: tuple[Float[Array, "into out_of"], ...]
    biases: tuple[Float[Array, " into"], ...]
    of_condition: Float[Array, "into condition"] | None
    gate: Float[Array, ""]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        width: int = 8,
        depth: int = 2,
        condition_dim: int | None = None,
    ):
        if width < 1 or depth < 1:
            raise FlowError(f"BlockAutoregressive: width={width}, depth={depth}. Both must be positive.")
        rng = host_generator(key)
        units = [1, *[width] * depth, 1]
        self.weights = tuple(
            leaf(rng.standard_normal((dim * into, dim * out_of)) / np.sqrt(dim * out_of))
            for out_of, into in itertools.pairwise(units)
        )
        self.biases = tuple(leaf(0.5 * rng.standard_normal(dim * into)) for into in units[1:])
        self.of_condition = None if condition_dim is None else leaf(np.zeros((dim * width, condition_dim)))
        self.gate = leaf(np.zeros(()))
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        y, slope = self._value_and_slope(x, self._of(condition, x))
        return y, jnp.sum(jnp.log(slope))

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        shift = self._of(condition, y)

        def find(x: Array, i: Array) -> tuple[Array, None]:
            # those before i are found, those after it do not matter
            def value(t: Array) -> Array:
                return self._value_and_slope(x.at[i].set(t), shift)[0][i]

            return x.at[i].set(increasing_root(value, y[i], y[i] - 1, y[i] + 1)), None

        x, _ = jax.lax.scan(find, jnp.zeros_like(y), jnp.arange(y.size))
        return x, -jnp.sum(jnp.log(self._value_and_slope(x, shift)[1]))

    def _of(self, condition: Array | None, x: Array) -> Array:
        """What the condition adds to the first layer."""
        if self.of_condition is None:
            return jnp.zeros((), x.dtype)
        if condition is None or condition.shape != (self.condition_dim,):
            given = "none" if condition is None else f"one of shape {condition.shape}"
            raise FlowError(
                f"This map needs a condition of shape ({self.condition_dim},) but was given {given}."
            )
        return (self.of_condition @ condition).astype(x.dtype)

    def _value_and_slope(self, x: Array, shift: Array) -> tuple[Array, Array]:
        """y, and dy_i/dx_i."""
        (dim,) = self.shape
        h, slope = x, jnp.ones((dim, 1), x.dtype)
        for number, (free, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            full, own = _blocks(free.astype(x.dtype), dim)
            h, slope = full @ h + b.astype(x.dtype), jnp.einsum("dij,dj->di", own, slope)
            h = h + shift if number == 0 else h
            if number + 1 < len(self.weights):
                h = jnp.tanh(h)
                slope = slope * (1 - h.reshape(dim, -1) ** 2)
        share = _SHARE * jax.nn.sigmoid(self.gate.astype(x.dtype))
        return (1 - share) * x + share * h, (1 - share) + share * slope[:, 0]


def _blocks(free: Float[Array, "into out_of"], dim: int) -> tuple[Array, Array]:
    """The matrix with its blocks above the diagonal zero and those on it positive, and the latter."""
    into, out_of = free.shape[0] // dim, free.shape[1] // dim
    blocks = free.reshape(dim, into, dim, out_of).swapaxes(1, 2)
    own = jnp.exp(soft_clamp(blocks[jnp.arange(dim), jnp.arange(dim)], _LOG_WEIGHT)) / out_of
    row, column = np.arange(dim)[:, None], np.arange(dim)[None, :]
    below = jnp.where((row > column)[:, :, None, None], blocks, 0)
    on = jnp.where((row == column)[:, :, None, None], own[:, None], 0)
    return (below + on).swapaxes(1, 2).reshape(free.shape), own
