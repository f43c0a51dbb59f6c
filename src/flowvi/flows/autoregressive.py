"""What the autoregressive flows have in common."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, MaskedAutoregressive, MaskedMLP, Permutation, Scan, Transformer
from flowvi.bijections.host_random import host_generator


def autoregressive_layers(
    key: PRNGKeyArray | int,
    transformer: Transformer,
    dim: int,
    layers: int,
    width: int,
    depth: int,
    condition_dim: int | None,
) -> Scan:
    """Scanned autoregressive layers in alternating order: the identity at the start."""
    seeds = host_generator(key).integers(2**63, size=layers)
    orders = np.tile(np.arange(dim)[::-1], (layers, 1))
    # the last layer restores the order, so that the whole starts as the identity
    orders[-1] = orders[-1][:: (-1) ** layers]

    def layer(number: int) -> Chain:
        conditioner = MaskedMLP(
            dim,
            transformer.parameters_per_dim,
            key=int(seeds[number]),
            condition_dim=condition_dim,
            width=width,
            depth=depth,
        )
        autoregressive = MaskedAutoregressive(conditioner, transformer, dim, condition_dim)
        return Chain([autoregressive, Permutation(orders[number])])

    return Scan.stack([layer(number) for number in range(layers)])
