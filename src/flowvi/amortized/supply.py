"""Simulated pairs on the scales on which a network is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from jaxtyping import Float

from flowvi.amortized.failures import count, count_all, listed, reason_of
from flowvi.amortized.layout import Layout
from flowvi.amortized.parameters import Parameters
from flowvi.amortized.simulators import Pairs, Simulator
from flowvi.amortized.training import Rows
from flowvi.errors import DataError

LEAST_PAIRS = 100
_FLAT = 1e-12
"""Spread, over the size of the values, of a parameter that is constant but for rounding."""


class ExhaustedError(Exception):
    """There are no more pairs; says why, or nothing where all that were asked for have been drawn."""


@final
class Supply:
    """Draws pairs, and knows what they are standardised by.

    Attributes:
        failed: why simulations were dropped -> how many, so far.
        used: how many were not.
        left: how many may still be drawn.
        location, scale: of the unconstrained parameters.
    """

    failed: dict[str, int]
    used: int
    left: int
    location: Float[np.ndarray, " dim"]
    scale: Float[np.ndarray, " dim"]

    def __init__(
        self,
        simulator: Simulator,
        parameters: Parameters,
        layout: Layout,
        first: Pairs,
        *,
        raw: bool = False,
        total: int = 0,
    ) -> None:
        """`first` are pairs that tell the scales, of `total` to be drawn in all; with `raw`, rows hold the
        data as they are too.

        Raises:
            DataError: too few of them can be used, or a parameter is always the same.
        """
        self._simulator, self._parameters, self._layout = simulator, parameters, layout
        # a density takes data of one shape
        self._raw, self._shape = raw, first.x[0].shape if raw else None
        self.failed, self.left = {}, total - len(first.x) - sum(first.failed.values())
        z, self.first = self._usable(first)
        self._waiting = z[:0], Pairs({}, [], {})
        require_enough(self.first, self.failed)
        self.used = len(z)
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
            ExhaustedError: the simulator gives no more.
        """
        z, pairs = self._waiting
        while len(z) < n:
            if self.left < 1:
                raise ExhaustedError
            # where some failed, as many again: more than are missing, but in batches of one size
            asked = min(n, self.left)
            more, new = self._new(int(rng.integers(2**32)), asked)
            self.left -= asked
            z, pairs = np.concatenate([z, more]), Pairs({}, [*pairs.x, *new.x], {})
        self._waiting = z[n:], Pairs({}, pairs.x[n:], {})
        self.used += n
        return self._rows(z[:n], Pairs({}, pairs.x[:n], {}))

    def _new(self, seed: int, n: int) -> tuple[Float[np.ndarray, "n dim"], Pairs]:
        try:
            z, pairs = self._usable(self._simulator(seed, n))
        except Exception as error:
            # whatever a user's simulator does late must not cost what was trained
            raise ExhaustedError(reason_of(error)) from error
        if not len(z):
            raise ExhaustedError(f"none of {n:,} new simulations can be used: {listed(self.failed)}")
        return z, pairs

    def _usable(self, pairs: Pairs) -> tuple[Float[np.ndarray, "n dim"], Pairs]:
        """Points, and the pairs that have one: draws may lie at the edge of their support after rounding."""
        pairs = fitting(pairs, self._layout, self._shape)
        count_all(self.failed, pairs.failed)
        if not len(pairs.x):
            return np.zeros((0, self._parameters.dim)), pairs
        z, _ = self._parameters.unconstrain(dict(pairs.parameters))
        inside = np.isfinite(z).all(axis=1)
        if not inside.all():
            count(self.failed, "parameters outside, or at the edge of, their support", int((~inside).sum()))
        kept = np.flatnonzero(inside)
        return z[kept], pairs.take(kept)

    def _rows(self, z: Float[np.ndarray, "n dim"], pairs: Pairs) -> Rows:
        u = ((z - self.location) / self.scale).astype(np.float32)
        return Rows(u, self._layout.batch(pairs.x), np.stack(pairs.x) if self._raw else None)


def fitting(pairs: Pairs, layout: Layout, shape: tuple[int, ...] | None = None) -> Pairs:
    """The pairs whose data have a shape that the layout takes, or just this shape; the others are counted."""
    fits = np.array([layout.fits(one.shape) and shape in (None, one.shape) for one in pairs.x], bool)
    if fits.all():
        return pairs
    failed = dict(pairs.failed)
    count(failed, "data of another shape than the first", int((~fits).sum()))
    return pairs.take(np.flatnonzero(fits))._replace(failed=failed)


def require_enough(pairs: Pairs, failed: Mapping[str, int]) -> None:
    """Raise where too few simulations are left to train on.

    Raises:
        DataError: how many, and why the others were dropped.
    """
    if len(pairs.x) >= LEAST_PAIRS:
        return
    why = f" {listed(failed)}." if failed else ""
    raise DataError(
        f"{len(pairs.x):,} of {len(pairs.x) + sum(failed.values()):,} simulations can be used; {LEAST_PAIRS} "
        f"are needed at least.{why}"
    )
