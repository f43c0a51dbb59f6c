"""Orthogonal matrices from free numbers: products of Householder reflections."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.matmul import matmul
from flowvi.errors import FlowError


class Householder(Bijection):
    """A rotation: the product of reflections, one for each trained vector.

        y = H_1 H_2 ... H_n x,    H_i = I - 2 v_i v_i^T / |v_i|^2,    log |det dy/dx| = 0

    A vector of zeros is no reflection. The vectors start in equal pairs, so that an even number of them
    starts as the identity; dim or dim + 1 of them, the default, make any rotation.
    Cost: n (dim + n) in both directions. Shapes: x, y (dim,); vectors (n, dim).

    Source: Tomczak & Welling 2016 (arXiv 1611.09630), equations 7 and 8.

    Raises:
        FlowError: the number of reflections is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Householder
        >>> y, _ = Householder(2, 3, key=0).forward_and_log_det(jnp.array([3.0, 4.0]))
        >>> jnp.linalg.norm(y).round(4).item()
        5.0
    """

    vectors: Float[Array, "reflections dim"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, dim: int, reflections: int | None = None, *, key: PRNGKeyArray | int):
        count = dim + dim % 2 if reflections is None else reflections
        if count < 1:
            raise FlowError(
                f"Householder: reflections={count}. Give at least one; dim of them make any rotation."
            )
        drawn = host_generator(key).standard_normal(((count + 1) // 2, dim))
        self.vectors = leaf(np.repeat(drawn, 2, axis=0)[:count])
        self.shape = (dim,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return reflected(self.vectors.astype(x.dtype), x), jnp.zeros((), x.dtype)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return reflected(self.vectors[::-1].astype(y.dtype), y), jnp.zeros((), y.dtype)


def reflected(
    vectors: Float[Array, "reflections dim"], x: Float[Array, "dim *columns"]
) -> Float[Array, "dim *columns"]:
    """H_1 H_2 ... H_n x, as products of matrices rather than one reflection after the other.

        H_1 ... H_n = I - V S^-1 V^T,    V the unit vectors, S = I / 2 + the part of V^T V above its diagonal

    Source: Joffrain et al. 2006 (doi 10.1145/1141885.1141886), the UT transform.
    """
    unit = _unit(vectors)
    s = jnp.triu(matmul(unit, unit.T), 1) + 0.5 * jnp.eye(len(unit), dtype=unit.dtype)
    return x - matmul(unit.T, solve_triangular(s, matmul(unit, x)))


def _unit(vectors: Float[Array, "reflections dim"]) -> Float[Array, "reflections dim"]:
    """Vectors of length one; those of zeros stay."""
    # free of underflow; the result does not depend on the scale, hence neither does its gradient
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    scaled = vectors / jnp.where(scale > 0, scale, 1)
    square = jnp.sum(scaled**2, axis=-1, keepdims=True)
    return scaled / jnp.sqrt(jnp.where(square > 0, square, 1))
