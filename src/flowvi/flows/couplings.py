"""What the coupling flows have in common."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from flowvi.bijections import MLP, Bijection, Chain, Coupling, LocationScale, Permutation, Scan, Transformer
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
    """Scanned couplings of random halves, then a location and scale: the identity at the start."""

    def conditioner(held: int, outputs: int, seed: int) -> MLP:
        return MLP(held + (condition_dim or 0), outputs, key=seed, width=width, depth=depth)

    end = LocationScale(np.zeros(dim), np.ones(dim))
    return Chain([*halves_in_turn(key, transformer, conditioner, dim, layers, condition_dim), end])


def halves_in_turn(
    key: PRNGKeyArray | int,
    transformer: Transformer,
    conditioner: Callable[[int, int, int], Callable[[Array], Array]],
    dim: int,
    layers: int,
    condition_dim: int | None,
) -> list[Bijection]:
    """Scanned couplings of random halves, and the permutation that puts the coordinates back in order.

    Each second layer moves what the one before it held. New halves in every pair of layers let every
    coordinate depend on nearly every other directly. `conditioner` makes a network from the number of
    coordinates it sees, the number of its outputs, and a seed.
    """
    rng = host_generator(key)
    seeds = rng.integers(2**63, size=layers)
    moved = (dim + 1) // 2
    before, stacked = np.arange(dim), []
    for layer, order in enumerate(_orders(rng, dim, layers, moved)):
        network = conditioner(dim - moved, moved * transformer.parameters_per_dim, int(seeds[layer]))
        coupling = Coupling(dim, moved, network, transformer, condition_dim)
        stacked.append(Chain([Permutation(np.argsort(before)[order]), coupling]))
        before = order
    return [Scan.stack(stacked), Permutation(np.argsort(before))]


def _orders(rng: np.random.Generator, dim: int, layers: int, moved: int) -> list[Int[np.ndarray, " dim"]]:
    """The order of the coordinates in each layer, those that move first."""
    orders = []
    for layer in range(layers):
        orders.append(rng.permutation(dim) if layer % 2 == 0 else np.roll(orders[-1], -moved))
    return orders
