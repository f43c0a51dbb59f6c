"""Many draws of a conditional flow, quickly."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.cores import ROWS, in_batches, on_all_cores
from flowvi.flows import Flow
from flowvi.flows.alone import factorises_rows
from flowvi.flows.base_draws import base_draws

_BLOCK = 2**16
"""Draws whose conditions are in memory together."""


def draw(
    flow: Flow, condition: Float[np.ndarray, "sets size"], n: int, seed: int
) -> Float[np.ndarray, "sets n dim"]:
    """n draws for each condition, computed in float32.

    That is half the time of float64, and its rounding is far below what n draws can tell.
    """
    base = base_draws(flow.base, np.random.default_rng(seed), len(condition) * n).astype(np.float32)
    of_row = np.repeat(np.arange(len(condition)), n)
    condition = condition.astype(np.float32)
    u = np.empty(base.shape)
    mapped = in_batches if factorises_rows(flow) else on_all_cores
    for start in range(0, len(base), _BLOCK):
        block = slice(start, start + _BLOCK)
        inputs = np.concatenate([base[block], condition[of_row[block]]], axis=1)
        (u[block],) = mapped(lambda rows: (_push(flow, rows),), inputs, ROWS)
    return u.reshape(len(condition), n, flow.dim)


# not by `Compiled`, whose quickly compiled programs take twice as long for these networks


@eqx.filter_jit
def _push(flow: Flow, rows: Array | np.ndarray) -> Float[Array, "rows dim"]:
    def one(row: Array) -> Array:
        return flow.bijection.forward_and_log_det(row[: flow.dim], row[flow.dim :])[0]

    return jax.vmap(one)(jnp.asarray(rows))
