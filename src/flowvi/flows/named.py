"""Builders by their names, for those who choose a flow by a word."""

from jaxtyping import PRNGKeyArray

from flowvi.errors import FlowError
from flowvi.flows.bnaf import bnaf
from flowvi.flows.continuous import continuous
from flowvi.flows.flow import Flow
from flowvi.flows.gaussian import gaussian
from flowvi.flows.glow import glow
from flowvi.flows.iaf import iaf
from flowvi.flows.maf import maf
from flowvi.flows.neural_spline import neural_spline
from flowvi.flows.neural_spline_autoregressive import neural_spline_autoregressive
from flowvi.flows.nice import nice
from flowvi.flows.planar import planar
from flowvi.flows.radial import radial
from flowvi.flows.real_nvp import real_nvp
from flowvi.flows.residual import residual
from flowvi.flows.sylvester import sylvester
from flowvi.flows.unconstrained_monotonic import unconstrained_monotonic

_BY_WIDTH = {
    "gaussian": gaussian,
    "real_nvp": real_nvp,
    "neural_spline": neural_spline,
    "neural_spline_autoregressive": neural_spline_autoregressive,
    "nice": nice,
    "glow": glow,
    "maf": maf,
    "iaf": iaf,
    "unconstrained_monotonic": unconstrained_monotonic,
    "residual": residual,
    "continuous": continuous,
    "planar": planar,
    "radial": radial,
    "sylvester": sylvester,
}
_BY_UNITS = {"bnaf": bnaf}
"""Whose width counts units of each coordinate rather than of a network, and stays as it is."""

NAMES = (*_BY_WIDTH, *_BY_UNITS)

CHEAP_SAMPLING = ("iaf", "bnaf", "unconstrained_monotonic", "residual", "planar", "radial", "sylvester")
"""Those whose draws cost less than the density of other points, or as much."""


def named(
    name: str, dim: int, *, key: PRNGKeyArray | int, width: int = 32, condition_dim: int | None = None
) -> Flow:
    """The flow that the builder of this name makes, with networks of this width.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: the name is unknown, or a size is not a positive integer.

    Example:
        >>> named("planar", 2, key=0).dim
        2
    """
    if name in _BY_UNITS:
        return _BY_UNITS[name](dim, key=key, condition_dim=condition_dim)
    if name not in _BY_WIDTH:
        raise FlowError(f"No flow is named {name!r}. Choose one of {', '.join(NAMES)}, or give a Flow.")
    return _BY_WIDTH[name](dim, key=key, width=width, condition_dim=condition_dim)
