"""Statistics that a user computes from data sets, in place of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.amortized.failures import count, reason_of
from flowvi.amortized.simulators import Pairs, Simulator
from flowvi.errors import ArgumentError


@dataclass(frozen=True)
class Statistics:
    """A user's function of one data set, as it is, that returns a vector."""

    function: Callable[[Any], Any]

    def __call__(self, x: Float[np.ndarray, ...]) -> Float[np.ndarray, " size"]:
        """The vector of one data set.

        Raises:
            ArgumentError: the function returns something else.
        """
        found = self.function(x.copy())
        try:
            values = np.atleast_1d(np.asarray(found, float))
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"summary= returned a {type(found).__name__}: {error}.") from error
        if values.ndim != 1 or not values.size:
            raise ArgumentError(
                f"summary= returned an array of shape {values.shape} for one data set of shape {x.shape}: a "
                "function has to return a vector, of one length for all."
            )
        return values


@dataclass(frozen=True)
class WithStatistics:
    """Pairs of a simulator, without those whose statistics cannot be computed."""

    simulator: Simulator
    statistics: Statistics

    def __call__(self, seed: int, n: int) -> Pairs:
        pairs = self.simulator(seed, n)
        failed, kept, sizes = dict(pairs.failed), [], set()
        for i, one in enumerate(pairs.x):
            try:
                values = self.statistics(one)
            except ArgumentError:
                raise
            except Exception as error:
                count(failed, f"summary: {reason_of(error)}")
                continue
            sizes.add(len(values))
            if np.isfinite(values).all():
                kept.append(i)
            else:
                count(failed, "statistics with NaN or infinite values")
        if len(sizes) > 1:
            raise ArgumentError(
                f"summary= returned vectors of {sorted(sizes)} numbers: give one length for all."
            )
        return pairs.take(np.array(kept, int))._replace(failed=failed)
