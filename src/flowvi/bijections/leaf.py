"""Array leaves of bijections."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from flowvi.precision import is_traced


def leaf(value: Any) -> Array:
    """An array leaf; host arrays are moved as they are, where `jnp.asarray` compiles a program a shape."""
    if isinstance(value, jax.Array) or is_traced(value):
        return value
    if is_traced(jnp.zeros(())):
        return jnp.asarray(value)
    return jax.device_put(np.asarray(value, _canonical(np.asarray(value).dtype)))


def _canonical(dtype: np.dtype) -> np.dtype:
    """The dtype that JAX's flag allows."""
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))
