"""Vectors as the entries below the diagonal of a matrix, row by row."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def strictly_lower(entries: Float[Array, "*batch n"], size: int) -> Float[Array, "*batch size size"]:
    """The square matrix with these size (size - 1) / 2 entries below its diagonal and zeros elsewhere."""
    rows, columns = np.tril_indices(size, -1)
    return jnp.zeros((*entries.shape[:-1], size, size), entries.dtype).at[..., rows, columns].set(entries)


def entries_below_diagonal(
    matrix: Float[Array | np.ndarray, "*batch size size"],
) -> Float[Array | np.ndarray, "*batch n"]:
    """The inverse of `strictly_lower`."""
    rows, columns = np.tril_indices(matrix.shape[-1], -1)
    return matrix[..., rows, columns]
