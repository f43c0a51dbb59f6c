"""The flow to fit, by what the user asks for."""

from __future__ import annotations

from flowvi import flows
from flowvi.bijections import Invert
from flowvi.errors import FlowError
from flowvi.flows import Flow

_WIDTH = 64
"""Of the networks of coupling and autoregressive flows."""

_CHEAP_DENSITY = {
    "neural_spline": flows.neural_spline,
    "neural_spline_autoregressive": flows.neural_spline_autoregressive,
    "real_nvp": flows.real_nvp,
    "nice": flows.nice,
    "glow": flows.glow,
    "maf": flows.maf,
    "continuous": flows.continuous,
}
_CHEAP_SAMPLING = {"iaf": flows.iaf, "residual": flows.residual}
_CHEAP_SAMPLING_OWN_WIDTH = {
    "planar": flows.planar,
    "radial": flows.radial,
    "sylvester": flows.sylvester,
    "bnaf": flows.bnaf,
}
NAMES = ("auto", "gaussian", *_CHEAP_DENSITY, *_CHEAP_SAMPLING, *_CHEAP_SAMPLING_OWN_WIDTH)


def flow_of(asked: str | Flow, dim: int, condition_dim: int | None, seed: int) -> Flow:
    """A flow of standardised rows, whose density is the cheap direction.

    Families in which sampling is cheap (planar, radial, Sylvester, residual, IAF, BNAF) are turned around:
    their map goes from data to base.

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
    if asked not in NAMES:
        raise FlowError(f"No flow is named {asked!r}. Choose one of {', '.join(NAMES)}, or give a Flow.")
    if asked == "gaussian":
        return flows.gaussian(dim, key=seed, width=_WIDTH, condition_dim=condition_dim)
    if asked in _CHEAP_SAMPLING_OWN_WIDTH:
        return _turned_around(_CHEAP_SAMPLING_OWN_WIDTH[asked](dim, key=seed, condition_dim=condition_dim))
    if asked in _CHEAP_SAMPLING:
        return _turned_around(
            _CHEAP_SAMPLING[asked](dim, key=seed, width=_WIDTH, condition_dim=condition_dim)
        )
    build = _CHEAP_DENSITY["neural_spline" if asked == "auto" else asked]
    return build(dim, key=seed, width=_WIDTH, condition_dim=condition_dim)


def _turned_around(flow: Flow) -> Flow:
    return Flow(flow.base, Invert(flow.bijection))
