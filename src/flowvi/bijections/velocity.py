"""The velocity field of a continuous flow, and its divergence at the price of the field itself."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.lipschitz import bounded
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.matmul import matmul

FASTEST_CHANGE = 4.0
"""A hidden unit's bias changes by less than this from t = 0 to 1."""


class FrozenVelocity(eqx.Module):
    """A `Velocity` at one condition and in one precision, with all done that does not change along a path."""

    into: Float[Array, "width dim"]
    between: Float[Array, "width width"]
    out: Float[Array, "dim width"]
    mixed: Float[Array, "width width"]
    biases: Float[Array, "2 width"]
    rates: Float[Array, "2 width"]
    drift: Float[Array, " dim"]

    def __call__(self, t: Float[Array, ""], x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """f(t, x)."""
        return self.with_divergence(t, x)[0]

    def with_divergence(
        self, t: Float[Array, ""], x: Float[Array, " dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        """f(t, x) and the trace of df/dx, without a derivative being taken."""
        first, second = self.biases + t * self.rates
        h_1 = jnp.tanh(matmul(self.into, x) + first)
        h_2 = jnp.tanh(matmul(self.between, h_1) + second)
        divergence = jnp.sum((1 - h_2**2) * matmul(self.mixed, 1 - h_1**2))
        return matmul(self.out, h_2) + self.drift, divergence


class Velocity(eqx.Module):
    """A network with two hidden layers whose slope is bounded for any values of its weights.

        f(t, x) = V tanh(W tanh(U x + b_1 + r_1 t) + b_2 + r_2 t) + d,    |df/dx| <= `slope`
        tr df/dx = s_2^T (W * (U V)^T) s_1,    s_l = slopes of tanh in layer l

    The matrix in the middle does not change along a path, so the exact trace costs one product of a matrix
    and a vector. U, W and V are each divided by what they exceed slope^(1/3) by, and the rates r are softly
    clamped: a solver of fixed steps then stays accurate. `shifts`, added to b_1 and b_2, are where a
    condition enters. V and d start at zero.

    Shapes: x (dim,), shifts (2, width).

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.velocity import Velocity
        >>> Velocity(2, key=0, width=8, slope=8.0).frozen(jnp.zeros(2))(jnp.zeros(()), jnp.ones(2)).tolist()
        [0.0, 0.0]
    """

    into: Float[Array, "width dim"]
    between: Float[Array, "width width"]
    out: Float[Array, "dim width"]
    biases: Float[Array, "2 width"]
    rates: Float[Array, "2 width"]
    drift: Float[Array, " dim"]
    slope: float = eqx.field(static=True)

    def __init__(self, dim: int, *, key: PRNGKeyArray | int, width: int, slope: float):
        rng = host_generator(key)
        self.into = leaf(rng.standard_normal((width, dim)) / np.sqrt(dim))
        self.between = leaf(rng.standard_normal((width, width)) / np.sqrt(width))
        self.out = leaf(np.zeros((dim, width)))
        self.biases = leaf(rng.standard_normal((2, width)))
        self.rates = leaf(rng.standard_normal((2, width)))
        self.drift = leaf(np.zeros(dim))
        self.slope = slope

    def frozen(
        self, like: Float[Array, " dim"], shifts: Float[Array, "2 width"] | float = 0.0
    ) -> FrozenVelocity:
        """The field in the precision of `like`, with these shifts."""
        each = self.slope ** (1 / 3)
        into, between, out = (
            bounded(matrix, each).astype(like.dtype) for matrix in (self.into, self.between, self.out)
        )
        return FrozenVelocity(
            into=into,
            between=between,
            out=out,
            mixed=between * matmul(into, out).T,
            biases=(self.biases + shifts).astype(like.dtype),
            rates=soft_clamp(self.rates, FASTEST_CHANGE).astype(like.dtype),
            drift=self.drift.astype(like.dtype),
        )
