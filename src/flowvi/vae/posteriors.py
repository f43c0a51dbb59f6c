"""The flow that makes the posterior of a row richer than a Gaussian, by its name."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import PRNGKeyArray

from flowvi import flows
from flowvi.bijections import Bijection, Identity
from flowvi.errors import ArgumentError, FlowError
from flowvi.flows import Flow

_BUILDERS: dict[str, Callable[..., Flow]] = {
    "planar": flows.planar,
    "radial": flows.radial,
    "sylvester": flows.sylvester,
    "iaf": flows.iaf,
    "real_nvp": flows.real_nvp,
    "neural_spline": flows.neural_spline,
}
_AMORTIZED = ("planar", "radial", "sylvester")
"""One network makes the parameters of all maps."""
_AMORTIZED_WIDTH = 64
"""Of that network, which has an output for each of many parameters."""
_USUAL = {"planar": 10, "radial": 10, "sylvester": 4, "iaf": 8, "real_nvp": 8, "neural_spline": 4}
"""Maps, where their number is not given."""
NAMES = ("diagonal", *_BUILDERS)


def posterior_flow(
    asked: str | Bijection,
    latent: int,
    features: int,
    *,
    key: PRNGKeyArray | int,
    length: int | None = None,
) -> Bijection:
    """The map z_0 -> z_K of a posterior, conditioned on the features of a row.

    "diagonal" is no map at all. "planar", "radial" and "sylvester" have parameters that one network makes
    of the features; the networks of "iaf", "real_nvp" and "neural_spline" see features and coordinates, and
    have one layer as wide as the features. All start as the identity or near it, and are cheap in the
    direction of sampling. `length` is the number of maps. Shapes: z (latent,), features (features,).

    Raises:
        ArgumentError: the name is unknown.
        FlowError: a bijection is given whose shape or condition does not fit.

    Source: R&M, section 4.2; Sylvester; IAF.

    Example:
        >>> posterior_flow("planar", 3, 8, key=0, length=80).condition_dim
        8
    """
    if isinstance(asked, Bijection):
        if asked.shape != (latent,) or asked.condition_dim not in (None, features):
            raise FlowError(
                f"The posterior takes shape {asked.shape} and a condition of length {asked.condition_dim}, "
                f"but the latent has shape {(latent,)} and the encoder {features} features. Build it so."
            )
        return asked
    if asked not in NAMES:
        raise ArgumentError(
            f"posterior={asked!r}: choose one of {', '.join(map(repr, NAMES))}, or give a bijection."
        )
    if asked == "diagonal":
        return Identity((latent,))
    maps = length or _USUAL[asked]
    if asked in _AMORTIZED:
        sizes = {"length": maps, "width": _AMORTIZED_WIDTH}
    else:
        sizes = {"layers": maps, "width": features, "depth": 1}
    return _BUILDERS[asked](latent, key=key, condition_dim=features, **sizes).bijection
