"""The supports of Cholesky factors of correlation and covariance matrices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.safe_exp import safe_exp
from flowvi.bijections.triangle import entries_below_diagonal, strictly_lower
from flowvi.errors import SupportError


class CholeskyCorr(Bijection):
    """R^(K(K-1)/2) onto Cholesky factors of correlation matrices: rows of length one, positive diagonal.

        y_ij = tanh(x_ij) l_ij for j < i,    y_ii = l_ii,    l_ij = sqrt(prod_(k<j) (1 - tanh^2 x_ik))
        log |det d(y_ij, j < i)/dx| = sum_(j<i) log(1 - tanh^2 x_ij) + log l_ij

    Shapes: x (..., K (K - 1) / 2), the entries below the diagonal row by row; y (..., K, K) = `out_shape`.
    Source: Stan reference manual, "Cholesky factors of correlation matrices".

    Raises:
        SupportError: the shape does not end in a square matrix.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import CholeskyCorr
        >>> CholeskyCorr((2, 2)).forward_and_log_det(jnp.zeros(1))[0].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    out_shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, out_shape: tuple[int, ...]):
        _check_square("cholesky_corr", out_shape)
        self.out_shape = out_shape

    @property
    def shape(self) -> tuple[int, ...]:
        size = self.out_shape[-1]
        return (*self.out_shape[:-2], size * (size - 1) // 2)

    def forward_and_log_det(
        self, x: Float[Array, "*batch free"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch size size"], Float[Array, ""]]:
        size = self.out_shape[-1]
        log_left = _log_left(x, size)
        y = (strictly_lower(jnp.tanh(x), size) + jnp.eye(size, dtype=x.dtype)) * safe_exp(log_left)
        return y, _corr_log_det(x, log_left)

    def inverse_and_log_det(
        self, y: Float[Array, "*batch size size"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch free"], Float[Array, ""]]:
        square_from_here = jnp.cumsum(y[..., ::-1] ** 2, axis=-1)[..., ::-1]
        square_after = entries_below_diagonal(jnp.roll(square_from_here, -1, axis=-1))
        after = jnp.sqrt(jnp.maximum(square_after, jnp.finfo(y.dtype).tiny))
        # sinh x = tanh x / sqrt(1 - tanh^2 x), which unlike arctanh is exact where tanh x rounds to one
        x = jnp.arcsinh(entries_below_diagonal(y) / after)
        return x, -_corr_log_det(x, _log_left(x, self.out_shape[-1]))


class CholeskyCov(Bijection):
    """R^(K(K+1)/2) onto lower-triangular matrices with a positive diagonal: Cholesky factors of covariances.

        y_ij = x_ij for j < i,    y_ii = exp(x_ii),    log |det d(y_ij, j <= i)/dx| = sum_i x_ii

    Shapes: x (..., K (K + 1) / 2), the entries below the diagonal row by row and then the diagonal;
    y (..., K, K) = `out_shape`. Source: Stan reference manual, "Cholesky factors of covariance matrices".

    Raises:
        SupportError: the shape does not end in a square matrix.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import CholeskyCov
        >>> CholeskyCov((2, 2)).forward_and_log_det(jnp.array([3.0, 0.0, 0.0]))[0].tolist()
        [[1.0, 0.0], [3.0, 1.0]]
    """

    out_shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def __init__(self, out_shape: tuple[int, ...]):
        _check_square("cholesky_cov", out_shape)
        self.out_shape = out_shape

    @property
    def shape(self) -> tuple[int, ...]:
        size = self.out_shape[-1]
        return (*self.out_shape[:-2], size * (size + 1) // 2)

    def forward_and_log_det(
        self, x: Float[Array, "*batch free"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch size size"], Float[Array, ""]]:
        size = self.out_shape[-1]
        below, log_diagonal = x[..., :-size], x[..., -size:]
        on_diagonal = safe_exp(log_diagonal)[..., None] * jnp.eye(size, dtype=x.dtype)
        return strictly_lower(below, size) + on_diagonal, jnp.sum(log_diagonal)

    def inverse_and_log_det(
        self, y: Float[Array, "*batch size size"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "*batch free"], Float[Array, ""]]:
        log_diagonal = jnp.log(jnp.diagonal(y, axis1=-2, axis2=-1))
        return jnp.concatenate([entries_below_diagonal(y), log_diagonal], axis=-1), -jnp.sum(log_diagonal)


def _log_left(x: Float[Array, "*batch free"], size: int) -> Float[Array, "*batch size size"]:
    """log l_ij: how long the rest of row i is from column j on."""
    log_kept = strictly_lower(_log_sech(x), size)
    before = jnp.concatenate([jnp.zeros_like(log_kept[..., :1]), log_kept[..., :-1]], axis=-1)
    return jnp.cumsum(before, axis=-1)


def _corr_log_det(
    x: Float[Array, "*batch free"], log_left: Float[Array, "*batch size size"]
) -> Float[Array, ""]:
    return jnp.sum(2 * _log_sech(x)) + jnp.sum(entries_below_diagonal(log_left))


def _log_sech(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """1/2 log(1 - tanh^2 x) without cancellation."""
    return np.log(2) - x - jax.nn.softplus(-2 * x)


def _check_square(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] == 0:
        raise SupportError(
            f"{name}: a parameter of shape {shape} is not a square matrix in its last two axes. Give it "
            "such a shape, or another support."
        )
