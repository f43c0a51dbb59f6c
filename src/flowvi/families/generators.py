"""The maps from noise to data that adversarial training can shape."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array, Float

from flowvi import flows
from flowvi.bijections import MLP
from flowvi.errors import ArgumentError, FlowError
from flowvi.flows import Distribution, Flow, Normal
from flowvi.vae.network import random_mlp

_BUILDERS: dict[str, Callable[..., Flow]] = {
    "real_nvp": flows.real_nvp,
    "neural_spline": flows.neural_spline,
    "nice": flows.nice,
    "glow": flows.glow,
    "iaf": flows.iaf,
    "planar": flows.planar,
    "sylvester": flows.sylvester,
    "residual": flows.residual,
}
NAMES = ("network", *_BUILDERS)


class NetworkGenerator(eqx.Module):
    """A network of noise: its draws have no density that could be computed.

    Attributes:
        base: of the noise.
        network: noise -> row.
    """

    base: Distribution
    network: MLP


Generator = NetworkGenerator | Flow


def generator_of(asked: str | Flow, dim: int, *, latent: int, width: int, depth: int, seed: int) -> Generator:
    """A generator of standardised rows, by its name or as it is.

    Raises:
        ArgumentError: the name is unknown.
        FlowError: a flow is given whose dim is another, that takes a condition, or that is of angles.

    Example:
        >>> type(generator_of("real_nvp", 2, latent=2, width=8, depth=1, seed=0)).__name__
        'Flow'
    """
    if isinstance(asked, Flow):
        if asked.dim != dim or asked.condition_dim is not None:
            raise FlowError(
                f"The flow has dim {asked.dim} and condition_dim {asked.condition_dim}, but these data "
                f"need dim {dim} and no condition. Build it with these."
            )
        if asked.periodic:
            raise FlowError(
                f"The flow is over {type(asked.base).__name__}, of angles, but rows are standardised, which "
                "changes their period. Give a flow on R^dim, or fit the angles by flowvi.fit_density."
            )
        return asked
    if asked not in NAMES:
        raise ArgumentError(
            f"generator={asked!r}: choose one of {', '.join(map(repr, NAMES))}, or give a Flow."
        )
    if asked == "network":
        return NetworkGenerator(Normal(latent), random_mlp(latent, dim, key=seed, width=width, depth=depth))
    return _BUILDERS[asked](dim, key=seed)


def generate(generator: Generator, noise: Float[Array, " latent"]) -> Float[Array, " dim"]:
    """The row that a draw of the base becomes, in the caller's precision."""
    if isinstance(generator, Flow):
        return generator.bijection.forward_and_log_det(noise)[0]
    return generator.network(noise)
