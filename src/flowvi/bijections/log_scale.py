"""Positive scales from free numbers."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.leaf import leaf
from flowvi.errors import FlowError
from flowvi.precision import is_traced

BOUND = 60.0
"""|log scale| stays below this: e^60 = 1e26 leaves room in float32 for products and gradients."""


def soft_clamp(s: Float[Array, "..."], bound: float) -> Float[Array, "..."]:
    """A smooth, increasing clamp of s to (-bound, bound): c tanh(s / c), which is s near zero."""
    return bound * jnp.tanh(s / bound)


def log_scale_of(parameter: Float[Array, "..."]) -> Float[Array, "..."]:
    """The log scale that a free parameter stands for, near-equal to it for all scales met in practice."""
    return soft_clamp(parameter, BOUND)


def parameter_of(scale: Float[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
    """The free parameter of a positive scale: the inverse of `exp(log_scale_of(parameter))`.

    Raises:
        FlowError: a scale is not positive, or not within e^-60 and e^60.
    """
    if is_traced(scale):
        return BOUND * jnp.arctanh(jnp.log(scale) / BOUND)
    # on the host, where nothing is compiled
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scale = np.log(np.asarray(scale))
    # written so that NaN fails as well
    if not np.all(np.abs(log_scale) < BOUND):
        bad = np.ravel(scale)[np.argmax(~(np.abs(log_scale) < BOUND))]
        raise FlowError(
            f"A scale of {bad} was given. Scales must be positive and between 1e-26 and 1e26; "
            "standardise the coordinates first."
        )
    return leaf(BOUND * np.arctanh(log_scale / BOUND))
