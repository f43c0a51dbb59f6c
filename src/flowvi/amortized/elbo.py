"""Training q(z | x) by the evidence lower bound of every simulated data set."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.errors import ArgumentError
from flowvi.inference.density import scalar_log_density
from flowvi.targets.base import Target


class Bound(NamedTuple):
    """What the evidence lower bound of a data set needs.

    Attributes:
        target: the posterior given any data set.
        leaf: which of its array leaves are the data.
        location, scale: of the unconstrained parameters.
    """

    target: Target
    leaf: int
    location: Float[Array, " dim"]
    scale: Float[Array, " dim"]

    def log_density(self, u: Float[Array, " dim"], x: Float[Array, ...]) -> Float[Array, ""]:
        """log p(z, x) + log |det dz / du| at z = location + scale u."""
        leaves, structure = jax.tree.flatten(eqx.filter(self.target, eqx.is_array))
        leaves[self.leaf] = x.astype(leaves[self.leaf].dtype)
        target = eqx.combine(jax.tree.unflatten(structure, leaves), self.target)
        z = self.location + self.scale * u.astype(self.location.dtype)
        return scalar_log_density(target, z) + jnp.sum(jnp.log(self.scale))


def bound_of(one: Target, other: Target, location: np.ndarray, scale: np.ndarray) -> Bound:
    """The bound of a model, from its posterior given two different data sets: the leaf that differs is the
    data.

    Raises:
        ArgumentError: the data are not found as they are in the model.
    """
    pairs = zip(*(jax.tree.leaves(eqx.filter(target, eqx.is_array)) for target in (one, other)), strict=True)
    changed = [i for i, (a, b) in enumerate(pairs) if a.shape != b.shape or not np.array_equal(a, b)]
    if len(changed) != 1:
        raise ArgumentError(
            "objective='elbo' needs a model that takes its data as one array of one shape. Leave the "
            "objective out."
        )
    return Bound(one, changed[0], jnp.asarray(location), jnp.asarray(scale))
