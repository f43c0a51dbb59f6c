"""Orthogonal matrices from free numbers: products of Householder reflections."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.errors import FlowError


class Householder(Bijection):
    """A rotation: the product of reflections, one for each trained vector.

        y = H_1 H_2 ... H_n x,    H_i = I - 2 v_i v_i^T / |v_i|^2,    log |det dy/dx| = 0

    With n = dim every orthogonal matrix of determinant (-1)^n is one. A vector of zeros is no reflection.
    Cost: n dim in both directions. Shapes: x, y (dim,); vectors (n, dim).

    Source: Tomczak & Welling 2016 (arXiv 1611.09630), equations 7 and 8.

    Raises:
        FlowError: the number of reflections is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Householder
        >>> y, _ = Householder(2, key=0).forward_and_log_det(jnp.array([3.0, 4.0]))
        >>> jnp.linalg.norm(y).round(4).item()
        5.0
    """

    vectors: Float[Array, "reflections dim"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, dim: int, reflections: int | None = None, *, key: PRNGKeyArray | int):
        count = dim if reflections is None else reflections
        if count < 1:
            raise FlowError(f"Householder: reflections={count}. Give at least one; dim of them is the usual.")
        self.vectors = leaf(host_generator(key).standard_normal((count, dim)))
        self.shape = (dim,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return reflected(self.vectors, x), jnp.zeros((), x.dtype)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return reflected(self.vectors[::-1], y), jnp.zeros((), y.dtype)


def reflected(
    vectors: Float[Array, "reflections dim"], x: Float[Array, "dim *columns"]
) -> Float[Array, "dim *columns"]:
    """H_1 H_2 ... H_n x."""

    def reflect(x, v):
        square = v @ v
        none = square < jnp.finfo(v.dtype).tiny ** 0.5
        scale = jnp.where(none, 0, 2 / jnp.where(none, 1, square))
        return x - jnp.multiply.outer(scale * v, v @ x), None

    return jax.lax.scan(reflect, x, vectors.astype(x.dtype), reverse=True)[0]


def orthonormal_columns(
    vectors: Float[Array, "reflections dim"], columns: int
) -> Float[Array, "dim columns"]:
    """The first columns of the product of the reflections."""
    _, dim = vectors.shape
    return reflected(vectors, jnp.eye(dim, columns, dtype=vectors.dtype))
