"""What `fit_density` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Int

from flowvi.diagnostics.estimate import Estimate
from flowvi.flows import Flow
from flowvi.training.early_stopping import Curve


@final
@dataclass(frozen=True, eq=False, repr=False)
class DensityFit:
    """A flow fitted to data.

    Attributes:
        flow: on the scale of the data: `flow.log_prob(x, condition)` is exact, in nats.
        held_out: mean log likelihood, nats per row, of rows that neither training nor stopping has seen. With
            dequantised columns a lower bound on the log of their probabilities.
        curve: how training went.
        names: of the columns.
        dequantised: the names of those that were spread by uniform noise.
        test_rows: numbers of the rows that `held_out` is the mean over.
        skipped: training steps that were not taken because they were not finite.
        interrupted: whether Ctrl-C ended training.

    Example:
        >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 1))
        >>> flowvi.fit_density(x, flow="gaussian", progress=False).names
        ('0',)
    """

    flow: Flow
    held_out: Estimate
    curve: Curve
    names: tuple[str, ...]
    dequantised: tuple[str, ...]
    test_rows: Int[np.ndarray, " test"]
    skipped: int
    interrupted: bool

    def __repr__(self) -> str:
        dim, condition_dim = self.flow.dim, self.flow.condition_dim
        given = "" if condition_dim is None else f" given {condition_dim}"
        bound = f", a lower bound: {', '.join(self.dequantised)} dequantised" if self.dequantised else ""
        notes = [f"{self.skipped} steps skipped"] if self.skipped else []
        notes += ["interrupted"] if self.interrupted else []
        return (
            f"DensityFit of {dim} column{'' if dim == 1 else 's'}{given}: held-out log likelihood "
            f"{self.held_out} nats per row over {len(self.test_rows):,} rows{bound}; "
            + "; ".join([f"{self.curve.steps[-1] if len(self.curve.steps) else 0:,} steps", *notes])
        )
