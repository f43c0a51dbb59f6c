"""Sylvester maps: several planar ones at once, along directions that are orthogonal."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.amortized import amortized_parameters, condition_network
from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.increasing_root import increasing_root
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.mlp import MLP
from flowvi.bijections.nonlinearity import NonlinearityName, invertible, nonlinearity
from flowvi.bijections.orthogonal import orthonormal_columns
from flowvi.errors import FlowError

_BOUND = 100.0
"""On the diagonal of the second triangle, whose sign is free."""


class Sylvester(Bijection):
    """Add to a point, in a subspace, a function of where it lies in that subspace.

        y = x + Q R h(S Q^T x + b),    log |det dy/dx| = sum_i log(1 + r_ii s_ii h'(a_i)),    a = S Q^T x + b

    Q (dim, rank) has orthonormal columns, R and S (rank, rank) are upper triangular. r_ii s_ii is kept above
    -1 / h'_max, which makes the map invertible for every value of the parameters. The inverse finds the
    coordinates of Q^T x one by one, from the last, each as a root of an increasing function of one number.
    Starts near the identity, which is R = 0. With a condition, a network adds to all parameters.

    Q is the first columns of a product of Householder reflections (`reflections` of them): with rank
    reflections it is any such Q up to signs. `reflections=0` makes it the identity, with rank = dim: then
    permute the coordinates between layers (the triangular flows of the paper).

    Cost: dim (rank + reflections rank) in the forward direction, and rank roots one after the other in
    the inverse.
    Shapes: x, y (dim,).

    Source: van den Berg et al. 2018 (arXiv 1803.05649), equations 7 to 14.

    Raises:
        FlowError: the rank or the number of reflections is out of range, the nonlinearity is unknown, or the
            condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Sylvester
        >>> layer = Sylvester(3, rank=2, key=0)
        >>> y, _ = layer.forward_and_log_det(jnp.array([1.0, 2.0, 3.0]))
        >>> layer.inverse_and_log_det(y)[0].round(4).tolist()
        [1.0, 2.0, 3.0]
    """

    parameters: Float[Array, " parameters"]
    conditioner: MLP | None
    rank: int = eqx.field(static=True)
    reflections: int = eqx.field(static=True)
    nonlinearity: NonlinearityName = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        rank: int | None = None,
        reflections: int | None = None,
        nonlinearity: NonlinearityName = "tanh",
        condition_dim: int | None = None,
        width: int = 32,
        depth: int = 2,
    ):
        self.rank = dim if rank is None else rank
        self.reflections = self.rank if reflections is None else reflections
        if not 1 <= self.rank <= dim or self.reflections < 0 or (self.reflections == 0 and self.rank != dim):
            raise FlowError(
                f"Sylvester: rank={self.rank}, reflections={self.reflections} in {dim} dimensions. The rank "
                "goes from 1 to dim; without reflections it is dim."
            )
        rng = host_generator(key)
        entries = self.rank * (self.rank + 1) // 2
        parts = [
            rng.standard_normal(self.reflections * dim),
            0.01 * rng.standard_normal(entries),
            rng.standard_normal(entries) / np.sqrt(self.rank),
            np.zeros(self.rank),
        ]
        self.parameters = leaf(np.concatenate(parts))
        self.conditioner = condition_network(condition_dim, len(self.parameters), rng, width, depth)
        self.nonlinearity = nonlinearity
        self.shape = (dim,)
        self.condition_dim = condition_dim

    def __check_init__(self):
        nonlinearity(self.nonlinearity)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        q, r, s, b = self._at(x, condition)
        h = nonlinearity(self.nonlinearity)
        a = s @ (q.T @ x) + b
        return x + q @ (r @ h.value(a)), self._log_det(r, s, a)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        q, r, s, b = self._at(y, condition)
        h = nonlinearity(self.nonlinearity)
        inside = q.T @ y

        def find(found: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
            # the coordinates after i are found, those before it are zero, and the triangles leave them out
            v, values = found
            rest = inside[i] - r[i] @ values
            offset = s[i] @ v + b[i]
            v_i = increasing_root(lambda t: t + r[i, i] * h.value(s[i, i] * t + offset) - rest, rest)
            return (v.at[i].set(v_i), values.at[i].set(h.value(s[i, i] * v_i + offset))), None

        start = jnp.zeros_like(inside), jnp.zeros_like(inside)
        (v, values), _ = jax.lax.scan(find, start, jnp.arange(self.rank), reverse=True)
        return y - q @ (r @ values), -self._log_det(r, s, s @ v + b)

    def _log_det(self, r: Array, s: Array, a: Array) -> Array:
        slope = nonlinearity(self.nonlinearity).slope(a)
        return jnp.sum(jnp.log1p(jnp.diag(r) * jnp.diag(s) * slope))

    def _at(self, x: Array, condition: Array | None) -> tuple[Array, Array, Array, Array]:
        """Q, R, S and b."""
        (dim,), rank = self.shape, self.rank
        parameters = amortized_parameters(
            self.parameters, self.conditioner, condition, self.condition_dim
        ).astype(x.dtype)
        entries = rank * (rank + 1) // 2
        ends = np.cumsum([self.reflections * dim, entries, entries])
        vectors, of_r, of_s, b = jnp.split(parameters, ends.tolist())
        q = jnp.eye(dim, dtype=x.dtype)
        if self.reflections > 0:
            q = orthonormal_columns(vectors.reshape(self.reflections, dim), rank)
        r, s = _upper(of_r, rank), _upper(of_s, rank)
        # the diagonal of S away from zero by a sign that is free, so that R's can be divided by it
        diagonal_s = soft_clamp(jnp.diag(s), _BOUND)
        product = invertible(jnp.diag(r) * diagonal_s, nonlinearity(self.nonlinearity))
        flat = jnp.abs(diagonal_s) < jnp.finfo(x.dtype).tiny ** 0.5
        diagonal_r = jnp.where(flat, jnp.diag(r), product / jnp.where(flat, 1, diagonal_s))
        return q, _with_diagonal(r, diagonal_r), _with_diagonal(s, diagonal_s), b


def _upper(entries: Float[Array, " entries"], size: int) -> Float[Array, "size size"]:
    rows, columns = np.triu_indices(size)
    return jnp.zeros((size, size), entries.dtype).at[rows, columns].set(entries)


def _with_diagonal(
    matrix: Float[Array, "size size"], diagonal: Float[Array, " size"]
) -> Float[Array, "size size"]:
    return matrix - jnp.diag(jnp.diag(matrix)) + jnp.diag(diagonal)
