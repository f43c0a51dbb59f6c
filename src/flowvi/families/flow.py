"""Normalizing flows as a family: trained by the exact likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from flowvi import flows
from flowvi.density.fit_density import fit_density
from flowvi.density.result import DensityFit
from flowvi.families.family import Family, Fitted
from flowvi.families.rows import new_rows, read_rows
from flowvi.flows.arguments import number_of_draws, seed_of


@final
@dataclass(frozen=True, eq=False)
class FittedFlow(Fitted):
    """A flow fitted to data.

    Attributes:
        fit: what `flowvi.fit_density` gave.
    """

    fit: DensityFit

    def sample(self, n: int, seed: int = 0) -> Float[np.ndarray, "n columns"]:
        """Independent draws, on the scale of the data."""
        return np.asarray(self.fit.flow.sample(seed_of(seed), (number_of_draws(n),)))

    def log_prob(self, x: Any) -> Float[np.ndarray, " rows"]:
        """The exact log density of each row, in nats.

        Raises:
            DataError: x has other columns, or values that are not finite.
        """
        return np.asarray(self.fit.flow.log_prob(new_rows(x, self.fit.flow.dim)))


@final
@dataclass(frozen=True)
class Flow(Family):
    """A normalizing flow.

        maximise E_data [log q(x)],    x = f(u), u ~ q0

    Args:
        flow: "auto", a builder's name, or a `Flow` of standardised rows, as for `flowvi.fit_density`.
        max_steps: of Adam; training mostly ends before.
        dequantise: True, or the columns whose discrete values are spread.

    Raises (in `fit`):
        DataError: values are missing, rows are too few, or a column is constant or discrete.
        FlowError: the flow is unknown or does not fit the data.

    Source: RealNVP, equation 2.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> fitted = flowvi.families.Flow("gaussian", max_steps=50).fit(x)
        >>> fitted.log_prob(fitted.sample(5)).shape
        (5,)
    """

    flow: str | flows.Flow = "auto"
    max_steps: int = 20_000
    dequantise: bool | tuple[str | int, ...] = False

    def fit(self, x: Any, seed: int = 0) -> FittedFlow:
        """Train on rows of data (rows, columns)."""
        read_rows(x)
        options = {"max_steps": self.max_steps, "dequantise": self.dequantise}
        return FittedFlow(fit_density(x, flow=self.flow, seed=seed, progress=False, **options))
