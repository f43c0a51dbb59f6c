"""The layers that summary networks are made of."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.bijections.leaf import leaf


@final
class Dense(eqx.Module):
    """silu(W x + b), or without the nonlinearity; any leading axes.

    Example:
        >>> Dense(3, 2, np.random.default_rng(0))(jnp.ones((5, 3))).shape
        (5, 2)
    """

    weight: Float[Array, "out_of into"]
    bias: Float[Array, " into"]
    linear: bool = eqx.field(static=True)

    def __init__(self, size: int, into: int, rng: np.random.Generator, *, linear: bool = False):
        # variance one in, variance one out
        weight = rng.standard_normal((size, into)) * ((1.0 if linear else 2.0) / max(size, 1)) ** 0.5
        self.weight, self.bias = leaf(weight.astype(np.float32)), leaf(np.zeros(into, np.float32))
        self.linear = linear

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        y = x @ self.weight + self.bias
        return y if self.linear else jax.nn.silu(y)


def masked_mean(
    x: Float[Array, "length features"], mask: Bool[Array, " length"] | None
) -> Float[Array, " features"]:
    """The mean over elements that are no padding.

    Example:
        >>> masked_mean(jnp.array([[1.0], [3.0], [9.0]]), jnp.array([True, True, False])).tolist()
        [2.0]
    """
    if mask is None:
        return jnp.mean(x, axis=0)
    return jnp.sum(jnp.where(mask[:, None], x, 0), axis=0) / element_count(mask)


def element_count(mask: Bool[Array, " length"]) -> Float[Array, ""]:
    """How many elements are no padding."""
    return jnp.sum(mask.astype(jnp.float32))


def elements(x: Float[Array, "..."]) -> Float[Array, "length features"]:
    """The elements of a set or a series as rows."""
    return x.reshape(x.shape[0], -1)
