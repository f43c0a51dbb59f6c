"""A summary network and a conditional flow, trained as one."""

from __future__ import annotations

from typing import final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.amortized.layout import Batch
from flowvi.amortized.summary import Summary
from flowvi.compiling import Compiled
from flowvi.flows import Flow
from flowvi.flows.flow import log_prob

_SUMMARISED = 1024
"""Data sets in a compiled call."""


@final
class Network(eqx.Module):
    """q(u | x) = flow(u | summary(x)), with u the standardised unconstrained parameters."""

    summary: Summary
    flow: Flow

    def log_prob(
        self, u: Float[Array, " dim"], x: Float[Array, ...], mask: Bool[Array, " length"] | None
    ) -> Float[Array, ""]:
        """log q(u | x) of one pair, in the precision of the caller's trace."""
        return log_prob(self.flow, u, self.summary(x, mask))


def summaries(summary: Summary, batch: Batch) -> Float[np.ndarray, "n size"]:
    """The summaries of data sets, in float64, by programs of few shapes."""
    n = len(batch.values)
    rows = 1 << (min(n, _SUMMARISED) - 1).bit_length()
    parts = []
    for start in range(0, n, rows):
        part = batch.rows(slice(start, start + rows))
        # the last ones are repeated, so that the shape stays
        filled = part.rows(np.minimum(np.arange(rows), len(part.values) - 1))
        parts.append(np.asarray(_summaries(summary, *filled))[: len(part.values)])
    return np.concatenate(parts).astype(np.float64)


@Compiled
def _summaries(summary: Summary, values: Array, mask: Array | None) -> Array:
    return jax.vmap(summary)(values, mask)
