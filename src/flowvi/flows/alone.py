"""Which flows want no other program beside theirs."""

from __future__ import annotations

import jax
from jaxtyping import PyTree

from flowvi.bijections import Amortized, Residual


def factorises_rows(flow: PyTree) -> bool:
    """Whether programs of a flow, or of a map, may factorise a matrix for each row.

    Side by side they may wait for each other without end; see docs/decisions/compiling.md.

    Example:
        >>> import flowvi
        >>> factorises_rows(flowvi.flows.residual(2, key=0)), factorises_rows(flowvi.flows.maf(2, key=0))
        (True, False)
    """
    kinds = (Amortized, Residual)
    nodes = jax.tree.leaves(flow, is_leaf=lambda node: isinstance(node, kinds))
    return any(isinstance(node, kinds) for node in nodes)
