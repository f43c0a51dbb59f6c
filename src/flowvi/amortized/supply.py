"""Simulated pairs on the scales on which a network is trained."""

from __future__ import annotations

from collections import Counter
from typing import final

import numpy as np
from jaxtyping import Float

from flowvi.amortized.layout import Layout
from flowvi.amortized.parameters import Parameters
from flowvi.amortized.simulators import Pairs, Simulator
from flowvi.amortized.training import Rows
from flowvi.errors import DataError

LEAST_PAIRS = 100
_FLAT = 1e-12
"""Spread, over the size of the values, of a parameter that is constant but for rounding."""


@final
class Supply:
    """Draws pairs, and knows what they are standardised by.

    Attributes:
        failed: why simulations were dropped -> how many, so far.
        used: how many were not.
        location, scale: of the unconstrained parameters.
    """

    failed: Counter[str]
    used: int
    location: Float[np.ndarray, " dim"]
    scale: Float[np.ndarray, " dim"]

    def __init__(
        self, simulator: Simulator, parameters: Parameters, layout: Layout, first: Pairs, *, raw: bool = False
    ) -> None:
        """`first` are pairs that tell the scales; with `raw`, rows hold the data as they are too.

        Raises:
            DataError: too few of them can be used, or a parameter is always the same.
        """
        self._simulator, self._parameters, self._layout = simulator, parameters, layout
        self._raw = raw
        self.failed, self.used = Counter(), 0
        z, self.first = self._usable(first)
        require_enough(self.first, self.failed)
        self.location, self.scale = z.mean(axis=0), z.std(axis=0)
        fixed = np.flatnonzero(~(self.scale > _FLAT * np.abs(self.location)))
        if fixed.size:
            raise DataError(
                f"'{parameters.coordinates[fixed[0]]}' is the same in all simulations: there is nothing to "
                "infer about it. Leave it out of the parameters."
            )
        self.first_rows = self._rows(z, self.first)

    def fresh(self, n: int, rng: np.random.Generator) -> Rows:
        """n new pairs.

        Raises:
            DataError: a whole batch of simulations failed.
        """
        parts: list[tuple[np.ndarray, Pairs]] = []
        missing = n
        while missing > 0:
            z, pairs = self._usable(self._simulator(int(rng.integers(2**32)), missing))
            if not len(z):
                raise DataError(f"None of {missing:,} new simulations can be used: {dict(self.failed)}.")
            parts.append((z, pairs))
            missing -= len(z)
        return self._rows(
            np.concatenate([z for z, _ in parts]), Pairs({}, [x for _, pairs in parts for x in pairs.x], {})
        )

    def _usable(self, pairs: Pairs) -> tuple[Float[np.ndarray, "n dim"], Pairs]:
        """Points, and the pairs that have one: draws may lie at the edge of their support after rounding."""
        self.failed.update(pairs.failed)
        if not len(pairs.x):
            return np.zeros((0, self._parameters.dim)), pairs
        z, _ = self._parameters.unconstrain(dict(pairs.parameters))
        inside = np.isfinite(z).all(axis=1)
        if not inside.all():
            self.failed["parameters outside, or at the edge of, their support"] += int((~inside).sum())
        kept = np.flatnonzero(inside)
        self.used += len(kept)
        return z[kept], pairs.take(kept)

    def _rows(self, z: Float[np.ndarray, "n dim"], pairs: Pairs) -> Rows:
        u = ((z - self.location) / self.scale).astype(np.float32)
        return Rows(u, self._layout.batch(pairs.x), np.stack(pairs.x) if self._raw else None)


def require_enough(pairs: Pairs, failed: Counter[str]) -> None:
    """Raise where too few simulations are left to train on.

    Raises:
        DataError: how many, and why the others were dropped.
    """
    if len(pairs.x) >= LEAST_PAIRS:
        return
    why = "".join(f" {count:,} were dropped: {reason}." for reason, count in failed.most_common(4))
    raise DataError(
        f"{len(pairs.x):,} of {len(pairs.x) + failed.total():,} simulations can be used; {LEAST_PAIRS} are "
        f"needed at least.{why}"
    )
