"""Parameters that a condition moves: the amortized flows of variational autoencoders."""

import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.mlp import MLP
from flowvi.errors import FlowError


def condition_network(
    condition_dim: int | None, parameters: int, rng: np.random.Generator, width: int, depth: int
) -> MLP | None:
    """The network from a condition to what it adds to the parameters, zero at the start; None without one."""
    if condition_dim is None:
        return None
    return MLP(condition_dim, parameters, key=int(rng.integers(2**63)), width=width, depth=depth)


def amortized_parameters(
    parameters: Float[Array, " parameters"],
    network: MLP | None,
    condition: Float[Array, " condition"] | None,
    condition_dim: int | None,
) -> Float[Array, " parameters"]:
    """The parameters, and what the network adds to them at a condition.

    Raises:
        FlowError: the condition is missing or has another length.
    """
    if network is None:
        return parameters
    if condition is None or condition.shape != (condition_dim,):
        given = "none" if condition is None else f"one of shape {condition.shape}"
        raise FlowError(f"This map needs a condition of shape ({condition_dim},) but was given {given}.")
    return parameters + network(condition)
