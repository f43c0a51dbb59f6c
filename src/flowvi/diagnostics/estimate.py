"""A number with its Monte Carlo error."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """An estimate and its standard error.

    Example:
        >>> print(Estimate(-31.312, 0.004))
        -31.312 ± 0.004
    """

    value: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f}"
