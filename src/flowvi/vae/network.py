"""Networks whose output is not zero at the start."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.mlp import MLP


def random_mlp(in_size: int, out_size: int, *, key: PRNGKeyArray | int, width: int, depth: int) -> MLP:
    """An `MLP` whose last layer starts at random numbers too: where no map has to start as the identity.

    Shapes: input (in_size,), output (out_size,).

    Example:
        >>> bool(abs(random_mlp(2, 3, key=0, width=8, depth=1)(np.ones(2))).min() > 0)
        True
    """
    rng = host_generator(key)
    network = MLP(in_size, out_size, key=int(rng.integers(2**63)), width=width, depth=depth)
    last = network.weights[-1]
    drawn = leaf(rng.standard_normal(last.shape) / np.sqrt(last.shape[1]))
    return eqx.tree_at(lambda network: network.weights[-1], network, drawn)
