"""A flow in float32 between a float64 base and a float64 posterior."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import Bijection, Chain
from flowvi.bijections.leaf import leaf
from flowvi.flows import Fixed


class _SinglePrecision(Bijection):
    """A bijection evaluated in float32, whatever the precision of its arguments and results."""

    narrow: Bijection
    shape: tuple[int, ...] = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(self, bijection: Bijection) -> None:
        self.narrow = jax.tree.map(
            lambda array: leaf(np.asarray(array, np.float32)) if eqx.is_inexact_array(array) else array,
            bijection,
        )
        self.shape = bijection.shape
        self.out_shape = bijection.out_shape
        self.condition_dim = bijection.condition_dim

    def forward_and_log_det(
        self, x: Float[Array, ...], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, ...], Float[Array, ""]]:
        y, log_det = self.narrow.forward_and_log_det(x.astype(jnp.float32), condition)
        return y.astype(x.dtype), log_det.astype(x.dtype)

    def inverse_and_log_det(
        self, y: Float[Array, ...], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, ...], Float[Array, ""]]:
        x, log_det = self.narrow.inverse_and_log_det(y.astype(jnp.float32), condition)
        return x.astype(y.dtype), log_det.astype(y.dtype)


def flow_in_single_precision(bijection: Bijection) -> Bijection:
    """The same map with the flow in float32, in which it was trained, and its whitening in float64.

    On the whitened scale, where the posterior has unit width, the rounding is 1e-7 of a standard deviation.
    A map that is no whitened flow stays as it is.
    """
    if isinstance(bijection, Chain) and isinstance(bijection.bijections[-1], Fixed):
        return Chain([*map(_SinglePrecision, bijection.bijections[:-1]), bijection.bijections[-1]])
    return bijection
