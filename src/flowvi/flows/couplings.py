"""What the coupling flows have in common."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import MLP, Chain, Coupling, LocationScale, Scan, Transformer, alternating_mask
from flowvi.bijections.host_random import host_generator


def couplings(
    key: PRNGKeyArray | int,
    transformer: Transformer,
    dim: int,
    layers: int,
    width: int,
    depth: int,
    condition_dim: int | None,
) -> Chain:
    """Scanned couplings with alternating masks, then a location and scale: the identity at the start."""
    outputs = dim * transformer.parameters_per_dim
    seeds = host_generator(key).integers(2**63, size=layers)

    def coupling(layer: int) -> Coupling:
        conditioner = MLP(
            dim + (condition_dim or 0), outputs, key=int(seeds[layer]), width=width, depth=depth
        )
        return Coupling(alternating_mask(dim, layer), conditioner, transformer, condition_dim)

    stacked = Scan.stack([coupling(layer) for layer in range(layers)])
    return Chain([stacked, LocationScale(np.zeros(dim), np.ones(dim))])
