"""Draws pushed through the flow, with the part of their log density whose derivative an estimator wants."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.flows import Flow
from flowvi.flows.flow import forward_and_log_prob
from flowvi.flows.score import forward_with_score

Through = Literal["all", "draws", "parameters"]
"""What the derivative of log q(z) goes through: both, the draws z, or the parameters at fixed z."""


def push(
    flow: Flow, base: Float[Array, "draws dim"], condition: Array | None, through: Through
) -> tuple[Float[Array, "draws dim"], Float[Array, " draws"]]:
    """z = f(x) and log q(z) at draws x of the base.

        d log q(z) = (grad log q)^T dz + d log q at fixed z

    The value of log q is the same whatever `through` is; its derivative is the sum, the first term (the path
    gradient of STL) or the second (the score of the parameters). The terms come from `forward_with_score`,
    so that no inverse is taken.
    """
    if through == "all":
        return jax.vmap(lambda x, c: forward_and_log_prob(flow, x, c))(base, condition)
    z, log_q, score = jax.vmap(lambda x, c: forward_with_score(flow, x, c))(base, condition)
    if through == "draws":
        return z, with_slope(log_q, score, z)
    return z, log_q + jax.lax.stop_gradient(log_q) - with_slope(log_q, score, z)


def with_slope(
    value: Float[Array, " draws"], slope: Float[Array, "draws dim"], z: Float[Array, "draws dim"]
) -> Float[Array, " draws"]:
    """These values as functions of z with these slopes; what they were computed from counts as constant."""
    value, slope = jax.lax.stop_gradient((value, slope))
    # zero, but not its derivative
    change = z - jax.lax.stop_gradient(z)
    return value + jnp.sum(slope.astype(z.dtype) * change, axis=-1)
