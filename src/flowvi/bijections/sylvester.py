"""Sylvester maps: several planar ones at once, along directions that are orthogonal."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.matmul import matmul
from flowvi.bijections.nonlinearity import (
    Nonlinearity,
    NonlinearityName,
    invertible_pair,
    named_nonlinearity,
    preimage,
)
from flowvi.bijections.orthogonal import reflected
from flowvi.bijections.triangle import strictly_lower
from flowvi.errors import FlowError


class Sylvester(Bijection):
    """Add to a point, in a subspace, a function of where it lies in that subspace.

        y = x + Q R h(a),    a = S Q^T x + b,    log |det dy/dx| = sum_i log(1 + r_ii s_ii h'(a_i))

    Q (dim, rank) has orthonormal columns, R and S (rank, rank) are upper triangular. The trained r_ii is
    moved so far that 1 + r_ii s_ii h' > 0, which makes the map invertible for every value of the parameters.
    The inverse finds the a_i one after the other, from the last, each from an increasing function of one
    number. With rank = 1 it is a `Planar` map whose u and w are parallel. Starts near the identity, R = 0.
    For parameters that depend on a condition, wrap it in `Amortized`.

    Q is the first columns of a product of `reflections` Householder reflections, which any finite numbers
    make orthogonal: with as many as the rank it is any such Q (up to signs, which R and S can take over), as
    by orthogonalising a matrix of that size. With reflections = 0 it is the identity; then reorder the
    coordinates between layers.

    Cost: (dim + rank) (reflections + rank) in the forward direction, and rank scalar roots more, one after
    the other, in the inverse. Shapes: x, y (dim,); vectors (reflections, dim); r, s (rank, rank) by their
    diagonals and the entries above them; b (rank,).

    Source: van den Berg et al. 2018 (arXiv 1803.05649), equations 7 to 14.

    Raises:
        FlowError: the rank or the number of reflections is out of range, or the nonlinearity is unknown.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Sylvester
        >>> layer = Sylvester(3, 2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0, 3.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0, 3.0]
    """

    vectors: Float[Array, "reflections dim"] | None
    r_diagonal: Float[Array, " rank"]
    r_above: Float[Array, " entries"] | None
    s_diagonal: Float[Array, " rank"]
    s_above: Float[Array, " entries"] | None
    b: Float[Array, " rank"]
    h: Nonlinearity
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(
        self,
        dim: int,
        rank: int,
        *,
        key: PRNGKeyArray | int,
        reflections: int | None = None,
        nonlinearity: NonlinearityName | Nonlinearity = "tanh",
    ):
        reflections = rank if reflections is None else reflections
        if not 1 <= rank <= dim or reflections < 0:
            raise FlowError(
                f"Sylvester: rank={rank} and reflections={reflections} in {dim} dimensions. The rank goes "
                "from 1 to dim, and reflections from 0."
            )
        rng = host_generator(key)
        entries = rank * (rank - 1) // 2
        self.vectors = leaf(rng.standard_normal((reflections, dim))) if reflections else None
        self.r_diagonal = leaf(0.01 * rng.standard_normal(rank))
        self.r_above = leaf(0.01 * rng.standard_normal(entries)) if entries else None
        self.s_diagonal = leaf(rng.standard_normal(rank) / np.sqrt(rank))
        self.s_above = leaf(rng.standard_normal(entries) / np.sqrt(rank)) if entries else None
        self.b = leaf(rng.standard_normal(rank))
        self.h = named_nonlinearity(nonlinearity)
        self.shape = (dim,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        r, s, b, products = self._triangles(x)
        value, slope = self.h.value_and_slope(matmul(s, self._inside(x)) + b)
        return x + self._outside(matmul(r, value)), jnp.sum(jnp.log1p(products * slope))

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        r, s, b, products = self._triangles(y)
        inside = self._inside(y)

        def find(found: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], Array]:
            # of v = Q^T x and h(a), those after i are found; the others are zero, and the triangles skip them
            v, values = found
            rest = inside[i] - matmul(r[i], values)
            a = preimage(self.h, products[i], s[i, i] * rest + matmul(s[i], v) + b[i])
            value, slope = self.h.value_and_slope(a)
            return (v.at[i].set(rest - r[i, i] * value), values.at[i].set(value)), slope

        start = jnp.zeros_like(inside), jnp.zeros_like(inside)
        (_, values), slopes = jax.lax.scan(find, start, jnp.arange(len(inside)), reverse=True)
        return y - self._outside(matmul(r, values)), -jnp.sum(jnp.log1p(products * slopes))

    def _inside(self, x: Float[Array, " dim"]) -> Float[Array, " rank"]:
        """Q^T x."""
        turned = x if self.vectors is None else reflected(self.vectors[::-1].astype(x.dtype), x)
        return turned[: len(self.b)]

    def _outside(self, v: Float[Array, " rank"]) -> Float[Array, " dim"]:
        """Q v."""
        padded = jnp.zeros(self.shape, v.dtype).at[: len(v)].set(v)
        return padded if self.vectors is None else reflected(self.vectors.astype(v.dtype), padded)

    def _triangles(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """R, S, b and the r_ii s_ii, in the precision of x."""

        def moved(r: Array, s: Array) -> tuple[Array, Array]:
            u, product = invertible_pair(r[None], s[None], self.h)
            return u[0], product

        r_diagonal, s_diagonal, b = (a.astype(x.dtype) for a in (self.r_diagonal, self.s_diagonal, self.b))
        r_diagonal, products = jax.vmap(moved)(r_diagonal, s_diagonal)
        return _upper(r_diagonal, self.r_above), _upper(s_diagonal, self.s_above), b, products


def _upper(
    diagonal: Float[Array, " rank"], entries: Float[Array, " entries"] | None
) -> Float[Array, "rank rank"]:
    if entries is None:
        return jnp.diag(diagonal)
    return strictly_lower(entries.astype(diagonal.dtype), len(diagonal)).T + jnp.diag(diagonal)
