"""Products of matrices in the full precision of their entries."""

import jax.numpy as jnp
from jaxtyping import Array


def matmul(a: Array, b: Array) -> Array:
    """a @ b, without the lower precision that accelerators take for float32, which breaks round trips."""
    return jnp.matmul(a, b, precision="highest")
