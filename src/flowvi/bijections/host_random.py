"""Random numbers on the host."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.errors import FlowError
from flowvi.precision import is_traced


def host_generator(key: PRNGKeyArray | int) -> np.random.Generator:
    """A NumPy generator from a JAX key or a seed.

    Initial weights are data rather than a program: drawn by JAX they take a second to compile.

    Raises:
        FlowError: the key is traced, or neither a key nor a seed of zero or more.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and key >= 0:
        return np.random.default_rng(int(key))
    if not isinstance(key, jax.Array):
        raise FlowError(f"A key was needed but {key!r} was given. Give a seed such as 0, or a JAX key.")
    if is_traced(key):
        raise FlowError(
            "Initial weights are drawn on the host, so their key may not be traced. Build the layers in a "
            "loop and put them together with Scan.stack."
        )
    data = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return np.random.default_rng(np.asarray(data).ravel())
