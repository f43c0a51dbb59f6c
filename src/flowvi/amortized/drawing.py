"""Many draws of a conditional flow, quickly."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from flowvi.flows import Flow
from flowvi.flows.base_draws import base_draws

_MOST_ROWS = 2**13
"""Draws in a compiled call: larger batches come out wrong on some versions of jaxlib (jax issue 39103)."""


def draw(
    flow: Flow, condition: Float[np.ndarray, "sets size"], n: int, seed: int
) -> Float[np.ndarray, "sets n dim"]:
    """n draws for each condition, computed in float32.

    That is half the time of float64, and its rounding is far below what n draws can tell. Calls take a power
    of two rows, so that few programs serve every n.
    """
    base = base_draws(flow.base, np.random.default_rng(seed), len(condition) * n).astype(np.float32)
    of_row = np.repeat(np.arange(len(condition)), n)
    condition = condition.astype(np.float32)
    rows = min(1 << (len(base) - 1).bit_length(), _MOST_ROWS)
    parts = []
    for start in range(0, len(base), rows):
        chosen = np.arange(start, start + rows).clip(max=len(base) - 1)
        parts.append(_push(flow, base[chosen], condition[of_row[chosen]]))
    u = np.concatenate([np.asarray(part) for part in parts])[: len(base)]
    return u.reshape(len(condition), n, flow.dim).astype(np.float64)


# not by `Compiled`, whose quickly compiled programs take twice as long for these networks


@eqx.filter_jit
def _push(flow: Flow, base: Array | np.ndarray, condition: Array | np.ndarray) -> Float[Array, "rows dim"]:
    return jax.vmap(lambda x, c: flow.bijection.forward_and_log_det(x, c)[0])(base, condition)
