"""The target's log density on the host: evaluated in batches of one shape, counted, within budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.compiling import Compiled
from flowvi.cores import in_batches, map_on_all_cores, on_all_cores
from flowvi.errors import DensityError
from flowvi.inference.budget import Ledger
from flowvi.inference.journal import Journal
from flowvi.memory import batch_map
from flowvi.targets.base import Target

BATCH = 32
"""Points per call of the one compiled value-and-gradient that every stage before the flow shares."""

VALUES = 512
"""Points per call of the compiled log density alone."""

A = TypeVar("A")
R = TypeVar("R")

_KEPT = 16 * VALUES
"""Points whose log densities are kept together in a journal."""


class Density:
    """Batched log density and gradient of a target as NumPy functions that book what they spend.

    The two compiled functions have one shape each, whatever number of points is asked for.

    Attributes:
        journal: what keeps the results of everything that evaluates the target.
    """

    def __init__(self, target: Target, ledger: Ledger, journal: Journal | None = None) -> None:
        self.target = target
        self.ledger = ledger
        self.journal = journal or Journal()
        # the density alone is needed later: it is compiled while its gradient is, and while the starts climb
        self._one_thread = _value.ahead(target, np.zeros((VALUES, target.dim)))
        self._values = _values if self._one_thread else _values_on_all_cores

    def value_and_grad(
        self, z: Float[np.ndarray, "n dim"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n dim"]]:
        """The log density and its gradient at n points; NaN stays NaN, for callers to leave out."""
        value, grad = self.journal.call(gradients, self.target, z, like=(0, 0))
        self.ledger.spend(len(z))
        self._count(z, value, np.asarray(np.isfinite(grad).all(axis=1)))
        return value, grad

    def value(self, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
        """The log density at n points."""
        starts = range(0, len(z), _KEPT)
        value = np.concatenate(
            [self.journal.call(self._values, self.target, z[i : i + _KEPT], like=0) for i in starts]
        )
        self.ledger.densities += len(z)
        self._count(z, value, np.ones(len(z), bool))
        return value

    def value_in_time(self, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " m"]:
        """The log density at the first m <= n points: all of them, or those that the budget's seconds allow
        (at least one batch)."""
        if not self.ledger.timed:
            return self.value(z)
        values = [self.value(z[:VALUES])]
        for start in range(VALUES, len(z), VALUES):
            if self.ledger.out_of_time():
                break
            values.append(self.value(z[start : start + VALUES]))
        return np.concatenate(values)

    def map(self, function: Callable[[A], R], items: Sequence[A]) -> list[R]:
        """`[function(item) for item in items]` for a function that evaluates the target, on all cores where
        the target bears it."""
        if self._one_thread:
            return [function(item) for item in items]
        return map_on_all_cores(function, items)

    def _count(
        self, z: Float[np.ndarray, "n dim"], value: Float[np.ndarray, " n"], smooth: Bool[np.ndarray, " n"]
    ) -> None:
        # a density of zero (-inf) is no fault, and has no gradient
        bad = np.isnan(value) | np.isposinf(value) | (np.isfinite(value) & ~smooth)
        if bad.any():
            self.ledger.count_nonfinite(int(bad.sum()), (z[bad][0], float(value[bad][0])))


def gradients(target: Target, z: Float[np.ndarray, "n dim"]) -> tuple[np.ndarray, np.ndarray]:
    """The log density and its gradient, booked nowhere."""
    value, grad = in_batches(lambda part: _value_and_grad(target, part), z, BATCH)
    return value, grad


def _values(target: Target, z: Float[np.ndarray, "n dim"]) -> np.ndarray:
    return in_batches(lambda part: (_value(target, part),), z, VALUES)[0]


def _values_on_all_cores(target: Target, z: Float[np.ndarray, "n dim"]) -> np.ndarray:
    return on_all_cores(lambda part: (_value(target, part),), z, VALUES)[0]


@Compiled
def _value_and_grad(target: Target, z: Array) -> tuple[Array, Array]:
    return batch_map(jax.value_and_grad(lambda one: scalar_log_density(target, one)), z)


@partial(Compiled, quick=False)
def _value(target: Target, z: Array) -> Array:
    return batch_map(lambda one: scalar_log_density(target, one), z)


_TRACING = threading.RLock()
"""Handlers of probabilistic programs are not safe in two threads."""


def scalar_log_density(target: Target, z: Float[Array, " dim"]) -> Float[Array, ""]:
    """The target's log density, known to be a floating scalar once it has been traced.

    Raises:
        DensityError: it is something else.
    """
    with _TRACING:
        out = target.log_density(z)
    if not isinstance(out, jax.Array) or out.shape != ():
        found = f"an array of shape {out.shape}" if isinstance(out, jax.Array) else f"a {type(out).__name__}"
        raise DensityError(
            f"The log density returned {found}; it must be a scalar. Sum over the observations."
        )
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise DensityError(f"The log density is of type {out.dtype}; it must be floating.")
    return out
