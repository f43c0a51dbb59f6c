"""The flow to fit, by what the user asks for."""

from __future__ import annotations

from flowvi.bijections import Invert
from flowvi.errors import FlowError
from flowvi.flows import Flow
from flowvi.flows.named import CHEAP_SAMPLING, named
from flowvi.flows.named import NAMES as BUILDERS

_WIDTH = 64
"""Of the networks of coupling and autoregressive flows."""

NAMES = ("auto", *BUILDERS)


def flow_of(asked: str | Flow, dim: int, condition_dim: int | None, seed: int) -> Flow:
    """A flow of standardised rows, whose density is the cheap direction.

    Families in which sampling is cheap are turned around: their map goes from data to base.

    Raises:
        FlowError: the name is unknown, or the flow does not fit the data.

    Example:
        >>> flow_of("planar", 2, None, seed=0).dim
        2
    """
    if isinstance(asked, Flow):
        if asked.dim != dim or asked.condition_dim != condition_dim:
            raise FlowError(
                f"The flow has dim {asked.dim} and condition_dim {asked.condition_dim}, but these data need "
                f"dim {dim} and condition_dim {condition_dim}. Build it with these."
            )
        return asked
    name = "neural_spline" if asked == "auto" else asked
    flow = named(name, dim, key=seed, width=_WIDTH, condition_dim=condition_dim)
    return Flow(flow.base, Invert(flow.bijection)) if name in CHEAP_SAMPLING else flow
