"""exp and bounds that stay inside an open set where plain arithmetic would round onto its edge."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_exp(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x), kept positive and finite: beyond the range of the precision it stays at its edge."""
    limits = jnp.finfo(x.dtype)
    # x is clipped rather than exp(x), whose gradient would be inf * 0 = NaN; rounding must not pass the edge
    return jnp.exp(jnp.clip(x, math.log(limits.tiny) + 1, math.log(limits.max) - 1))


def just_above(low: Float[Array, "..."]) -> Float[Array, "..."]:
    """The smallest number y for which log(y - low) is finite."""
    low = jax.lax.stop_gradient(low)
    # next to zero the neighbouring number is subnormal, which processors may flush to zero
    return jnp.maximum(jnp.nextafter(low, jnp.full_like(low, jnp.inf)), low + jnp.finfo(low.dtype).tiny)
