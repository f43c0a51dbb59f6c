"""Affine maps: diagonal, triangular, and diagonal plus low rank."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import log_scale_of, parameter_of
from flowvi.bijections.triangle import entries_below_diagonal, strictly_lower
from flowvi.errors import FlowError
from flowvi.precision import is_traced


class LocationScale(Bijection):
    """Shift and positive scale per coordinate.

        y = m + s * x,    log |det dy/dx| = sum_i log s_i

    Cost: dim in both directions. Shapes: x, y, location, scale (dim,). The trained leaf is log s, softly
    clamped to (-60, 60).

    Source: Kucukelbir et al. 2017 (arXiv 1603.00788), section 2.4 (mean-field).

    Raises:
        FlowError: shapes differ, or a scale is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LocationScale
        >>> affine = LocationScale(jnp.ones(1), jnp.array([2.0]))
        >>> affine.forward_and_log_det(jnp.array([3.0]))[0].round(4).tolist()
        [7.0]
    """

    location: Float[Array, " dim"]
    log_scale: Float[Array, " dim"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(
        self, location: Float[Array | np.ndarray, " dim"], scale: Float[Array | np.ndarray, " scales"]
    ):
        self.shape = _common_length(location, scale)
        self.location = leaf(location)
        self.log_scale = parameter_of(scale)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        log_scale = log_scale_of(self.log_scale)
        return self.location + jnp.exp(log_scale) * x, jnp.sum(log_scale)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        log_scale = log_scale_of(self.log_scale)
        return (y - self.location) * jnp.exp(-log_scale), -jnp.sum(log_scale)


class TriangularAffine(Bijection):
    """Shift and lower-triangular matrix with a positive diagonal: a full-rank Gaussian from a normal base.

        y = m + L x,    L = diag(s) (I + N),    log |det dy/dx| = sum_i log s_i

    N is strictly lower triangular, so that steps in it are relative to the scale of their row. Cost: dim^2 in
    both directions; the inverse solves a triangular system. Shapes: x, y, location (dim,); `triangle` is L
    (dim, dim), read on and below the diagonal. Trained leaves: m, log s (softly clamped to (-60, 60)) and the
    entries of N.

    Source: Kucukelbir et al. 2017 (arXiv 1603.00788), section 2.4 (full-rank).

    Raises:
        FlowError: shapes differ, or the diagonal is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import TriangularAffine
        >>> L = jnp.array([[2.0, 0.0], [1.0, 1.0]])
        >>> TriangularAffine(jnp.zeros(2), L).forward_and_log_det(jnp.array([1.0, 3.0]))[0].round(4).tolist()
        [2.0, 4.0]
    """

    location: Float[Array, " dim"]
    log_scale: Float[Array, " dim"]
    lower: Float[Array, " entries"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(
        self, location: Float[Array | np.ndarray, " dim"], triangle: Float[Array | np.ndarray, "rows columns"]
    ):
        # on the host where possible: every small operation would be compiled
        triangle = triangle if is_traced(triangle) else np.asarray(triangle)
        if triangle.shape != (len(location),) * 2:
            raise FlowError(
                f"TriangularAffine: the matrix has shape {triangle.shape} but the location has length "
                f"{len(location)}. Give a square matrix of that size."
            )
        diagonal = triangle.diagonal()
        self.location = leaf(location)
        self.log_scale = parameter_of(diagonal)
        self.lower = leaf(entries_below_diagonal(triangle / diagonal[:, None]))
        self.shape = self.location.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        log_scale = log_scale_of(self.log_scale)
        mixed = x + _matmul(strictly_lower(self.lower, x.size), x)
        return self.location + jnp.exp(log_scale) * mixed, jnp.sum(log_scale)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        log_scale = log_scale_of(self.log_scale)
        mixed = (y - self.location) * jnp.exp(-log_scale)
        lower = strictly_lower(self.lower, y.size)
        return solve_triangular(lower, mixed, lower=True, unit_diagonal=True), -jnp.sum(log_scale)


class LowRankAffine(Bijection):
    """Shift, positive scale, and a symmetric stretch along r directions: a low-rank-plus-diagonal Gaussian.

        y = m + s * (x + U U^T x),    log |det dy/dx| = sum_i log s_i + log det(I_r + U^T U)

    Invertible for every s > 0 and U, since I + U U^T is positive definite. From a normal base the covariance
    is diag(s) (I + U U^T)^2 diag(s); every diag(v) + W W^T is of this form (`from_covariance`).
    The inverse is Woodbury's, (I + U U^T)^-1 = I - U (I_r + U^T U)^-1 U^T, the determinant the matrix
    determinant lemma; both cost O(dim r^2). At U = 0 the gradient in U vanishes: start from small random
    numbers instead.
    Shapes: x, y, location, scale (dim,); factor U (dim, r).

    Source: Ong, Nott & Smith 2018 (arXiv 1701.03208) for the covariance diag(v) + W W^T; the symmetric map
    is ours.

    Raises:
        FlowError: shapes differ, or a scale is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LowRankAffine
        >>> affine = LowRankAffine(jnp.zeros(2), jnp.ones(2), jnp.array([[1.0], [2.0]]))
        >>> affine.forward_and_log_det(jnp.array([1.0, 1.0]))[0].tolist()
        [4.0, 7.0]
    """

    location: Float[Array, " dim"]
    log_scale: Float[Array, " dim"]
    factor: Float[Array, "dim rank"]
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(
        self,
        location: Float[Array | np.ndarray, " dim"],
        scale: Float[Array | np.ndarray, " scales"],
        factor: Float[Array | np.ndarray, "rows rank"],
    ):
        self.shape = _common_length(location, scale)
        if np.ndim(factor) != 2 or np.shape(factor)[:1] != self.shape:
            raise FlowError(
                f"LowRankAffine: the factor has shape {np.shape(factor)} but the location {self.shape}. "
                "Give a factor of shape (dim, rank)."
            )
        self.location = leaf(location)
        self.log_scale = parameter_of(scale)
        self.factor = leaf(factor)

    @staticmethod
    def from_covariance(
        location: Float[Array | np.ndarray, " dim"],
        variance: Float[Array | np.ndarray, " dim"],
        factor: Float[Array | np.ndarray, "dim rank"],
    ) -> "LowRankAffine":
        """The map of a standard normal to the covariance diag(variance) + factor factor^T."""
        scale = jnp.sqrt(variance)
        directions, lengths, _ = jnp.linalg.svd(factor / scale[:, None], full_matrices=False)
        # (1 + u^2)^2 = 1 + w^2 per direction; sqrt(1 + w^2) - 1 without cancellation
        stretch = lengths / jnp.sqrt(1 + jnp.sqrt(1 + lengths**2))
        return LowRankAffine(location, scale, directions * stretch)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        log_scale = log_scale_of(self.log_scale)
        stretched = x + _matmul(self.factor, _matmul(self.factor.T, x))
        return self.location + jnp.exp(log_scale) * stretched, jnp.sum(log_scale) + _log_det(
            self._capacitance()
        )

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        log_scale = log_scale_of(self.log_scale)
        stretched = (y - self.location) * jnp.exp(-log_scale)
        root = self._capacitance()
        x = stretched - _matmul(self.factor, cho_solve((root, True), _matmul(self.factor.T, stretched)))
        return x, -jnp.sum(log_scale) - _log_det(root)

    def _capacitance(self) -> Float[Array, "rank rank"]:
        """Cholesky factor of I_r + U^T U."""
        rank = self.factor.shape[1]
        return jnp.linalg.cholesky(
            jnp.eye(rank, dtype=self.factor.dtype) + _matmul(self.factor.T, self.factor)
        )


def _log_det(root: Float[Array, "rank rank"]) -> Float[Array, ""]:
    return 2 * jnp.sum(jnp.log(jnp.diagonal(root)))


def _matmul(a: Array, b: Array) -> Array:
    # accelerators multiply float32 matrices in lower precision by default, which breaks the round trip
    return jnp.matmul(a, b, precision="highest")


def _common_length(location: Array | np.ndarray, scale: Array | np.ndarray) -> tuple[int, ...]:
    if np.ndim(location) != 1 or np.shape(location) != np.shape(scale):
        raise FlowError(
            f"An affine map was given a location of shape {np.shape(location)} and a scale of shape "
            f"{np.shape(scale)}. Give two vectors of the same length."
        )
    return np.shape(location)
