"""Invertible matrices by their LU factors: mixing of coordinates whose determinant is cheap."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import log_scale_of, parameter_of
from flowvi.bijections.matmul import matmul
from flowvi.bijections.triangle import entries_below_diagonal, strictly_lower
from flowvi.errors import FlowError


class LULinear(Bijection):
    """A matrix by its LU factors, with a permutation and signs that are fixed.

        y = P L U x,    log |det dy/dx| = sum_i log |u_ii|

    L is lower triangular with ones on its diagonal, U upper triangular, its diagonal never zero: the
    trained leaves are the entries below and above the diagonals, and log |u_ii|, softly clamped to (-60, 60).
    Cost: dim^2 in both directions. Shapes: x, y (dim,); matrix (dim, dim).

    Source: Kingma & Dhariwal 2018 (arXiv 1807.03039), section 3.2.

    Raises:
        FlowError: the matrix is not square, not finite, or singular.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LULinear
        >>> layer = LULinear(jnp.array([[0.0, 2.0], [1.0, 1.0]]))
        >>> layer.forward_and_log_det(jnp.array([3.0, 4.0]))[0].round(4).tolist()
        [8.0, 7.0]
    """

    rows: Int[Array, " dim"]
    inverse_rows: Int[Array, " dim"]
    negative: Bool[Array, " dim"]
    below: Float[Array, " entries"]
    above: Float[Array, " entries"]
    log_diagonal: Float[Array, " dim"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, matrix: Float[Array | np.ndarray, "rows columns"]):
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.all(np.isfinite(matrix)):
            raise FlowError(f"LULinear: {matrix.tolist()} is not a square matrix of finite numbers.")
        factors: Any = scipy.linalg.lu(matrix, p_indices=True)
        rows, lower, upper = factors
        diagonal = upper.diagonal()
        if not np.all(np.abs(diagonal) > 0):
            raise FlowError("LULinear: the matrix is singular. Give one of full rank, such as a rotation.")
        self.rows = leaf(rows.astype(int))
        self.inverse_rows = leaf(np.argsort(rows))
        self.negative = leaf(diagonal < 0)
        self.below = leaf(entries_below_diagonal(lower))
        self.above = leaf(entries_below_diagonal((upper / diagonal[:, None]).T))
        self.log_diagonal = parameter_of(np.abs(diagonal))
        self.shape = (len(matrix),)

    @staticmethod
    def rotation(dim: int, *, key: PRNGKeyArray | int) -> "LULinear":
        """A random rotation or reflection to start from."""
        return LULinear(random_orthogonal(host_generator(key), dim))

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        lower, upper, diagonal, log_det = self._factors(x)
        return matmul(lower, diagonal * matmul(upper, x))[self.rows], log_det

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        lower, upper, diagonal, log_det = self._factors(y)
        inner = solve_triangular(lower, y[self.inverse_rows], lower=True, unit_diagonal=True)
        return solve_triangular(upper, inner / diagonal, lower=False, unit_diagonal=True), -log_det

    def _factors(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """L, the rows of U over its diagonal, that diagonal, and log |det|, in the precision of x."""
        (dim,) = self.shape
        below, above, log_diagonal = (a.astype(x.dtype) for a in (self.below, self.above, self.log_diagonal))
        one, log_scale = jnp.eye(dim, dtype=x.dtype), log_scale_of(log_diagonal)
        diagonal = jnp.where(self.negative, -1, 1) * jnp.exp(log_scale)
        lower, upper = one + strictly_lower(below, dim), one + strictly_lower(above, dim).T
        return lower, upper, diagonal, jnp.sum(log_scale)


def random_orthogonal(rng: np.random.Generator, dim: int) -> Float[np.ndarray, "dim dim"]:
    """A random orthogonal matrix, uniform over rotations and reflections.

    Source: Mezzadri 2007 (arXiv math-ph/0609050), section 5.
    """
    q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
    # LAPACK's choice of signs would favour some
    return q * np.sign(r.diagonal())
