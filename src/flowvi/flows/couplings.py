"""What the coupling flows have in common."""

import numpy as np
from jaxtyping import Int, PRNGKeyArray

from flowvi.bijections import MLP, Chain, Coupling, LocationScale, Permutation, Scan, Transformer
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
    """Scanned couplings of random halves, then a location and scale: the identity at the start.

    Each second layer moves what the one before it held. New halves in every pair of layers let every
    coordinate depend on nearly every other directly.
    """
    rng = host_generator(key)
    seeds = rng.integers(2**63, size=layers)
    moved = (dim + 1) // 2
    inputs, outputs = dim - moved + (condition_dim or 0), moved * transformer.parameters_per_dim
    before, stacked = np.arange(dim), []
    for layer, order in enumerate(_orders(rng, dim, layers, moved)):
        conditioner = MLP(inputs, outputs, key=int(seeds[layer]), width=width, depth=depth)
        coupling = Coupling(dim, moved, conditioner, transformer, condition_dim)
        stacked.append(Chain([Permutation(np.argsort(before)[order]), coupling]))
        before = order
    end = [Permutation(np.argsort(before)), LocationScale(np.zeros(dim), np.ones(dim))]
    return Chain([Scan.stack(stacked), *end])


def _orders(rng: np.random.Generator, dim: int, layers: int, moved: int) -> list[Int[np.ndarray, " dim"]]:
    """The order of the coordinates in each layer, those that move first."""
    orders = []
    for layer in range(layers):
        orders.append(rng.permutation(dim) if layer % 2 == 0 else np.roll(orders[-1], -moved))
    return orders
