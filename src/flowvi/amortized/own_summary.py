"""Summaries of a user's own, whose code no file holds: only their weights can be stored."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from flowvi.amortized.conditional_flow import in_single_precision
from flowvi.amortized.summary import Flatten, OfModule, Summary
from flowvi.bijections.leaf import leaf
from flowvi.errors import ArgumentError, SaveError


def is_own(summary: Summary) -> bool:
    """Whether the network's class is not flowvi's."""
    return isinstance(summary, OfModule) or not type(summary).__module__.startswith("flowvi.")


def only_size(summary: Summary) -> Summary:
    """What stands in its place in a file."""
    return Flatten(summary.size)


def weights(summary: Summary) -> list[np.ndarray]:
    """Its arrays, in the order of its leaves."""
    return [np.asarray(a) for a in jax.tree.leaves(eqx.filter(summary, eqx.is_array))]


def with_weights(asked: Any, size: int, kept: list[np.ndarray]) -> Summary:
    """A summary of the user's, as given to be trained, with the arrays that it had after training.

    Raises:
        SaveError: none is given.
        ArgumentError: it is no module, or of other arrays.
    """
    if asked is None:
        raise SaveError(
            "q was trained with a summary network of your own, of which the file has the weights alone. Give "
            "the module as well: Amortized.load(path, ..., summary=module)."
        )
    if not isinstance(asked, eqx.Module):
        raise ArgumentError(f"summary={asked!r:.60}: q was trained with an equinox module.")
    whole = asked if isinstance(asked, Summary) else OfModule(module=in_single_precision(asked), size=size)
    arrays, rest = eqx.partition(whole, eqx.is_array)
    own, structure = jax.tree.flatten(arrays)
    shapes, wanted = [np.shape(a) for a in own], [a.shape for a in kept]
    if shapes != wanted:
        raise ArgumentError(f"summary= has arrays of the shapes {shapes}, but q was trained with {wanted}.")
    return eqx.combine(jax.tree.unflatten(structure, [leaf(a) for a in kept]), rest)
