"""What a fit may spend, and what it has spent."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from flowvi.display import Display
from flowvi.errors import ArgumentError


@dataclass(frozen=True)
class Budget:
    """A limit on target gradients, on seconds, or on both; a stage that reaches it ends with the best it has.

    Attributes:
        gradients: target gradients in all.
        seconds: wall time from the call of `fit`, compiling included.

    Raises:
        ArgumentError: a limit is not a positive number.

    Example:
        >>> Budget(gradients=50_000)
        Budget(gradients=50000, seconds=inf)
    """

    gradients: float = math.inf
    seconds: float = math.inf

    def __post_init__(self) -> None:
        for name, value in (("gradients", self.gradients), ("seconds", self.seconds)):
            if not isinstance(value, int | float | np.number) or not value > 0:
                raise ArgumentError(f"Budget({name}={value!r}): a budget must be positive, and a number.")


class Ledger:
    """Counts target evaluations per stage, keeps the budget, and tells the display.

    Attributes:
        stages: target gradients by stage.
        densities: evaluations of the log density without gradient.
        nonfinite: evaluations that gave NaN or +inf, or a gradient that is not finite.
        first_nonfinite: the first point of those, unconstrained, and what the log density was there.
    """

    def __init__(self, budget: Budget, display: Display) -> None:
        self.budget = budget
        self.display = display
        self.stages: Counter[str] = Counter()
        self.densities = 0
        self.nonfinite = 0
        self.first_nonfinite: tuple[Float[np.ndarray, " dim"], float] | None = None
        self.stage = "preflight"
        self._start = time.monotonic()

    @property
    def gradients(self) -> int:
        """Target gradients of all stages."""
        return self.stages.total()

    @property
    def seconds(self) -> float:
        """Seconds since the fit began."""
        return time.monotonic() - self._start

    def enter(self, stage: str) -> None:
        """Book what follows on a stage."""
        self.stage = stage
        self.stages[stage] += 0
        self.show()

    def spend(self, gradients: int) -> None:
        """Book target gradients on the stage."""
        self.stages[self.stage] += gradients

    def count_nonfinite(self, count: int, first: tuple[Float[np.ndarray, " dim"], float]) -> None:
        """Book evaluations that were not finite: how many, and the point and value of the first."""
        self.nonfinite += count
        self.first_nonfinite = self.first_nonfinite or first

    def exhausted(self) -> bool:
        """Whether the budget is spent."""
        return self.gradients >= self.budget.gradients or self.out_of_time()

    @property
    def timed(self) -> bool:
        """Whether the seconds are limited."""
        return self.budget.seconds < math.inf

    def out_of_time(self) -> bool:
        """Whether the budget's seconds are over."""
        return self.seconds >= self.budget.seconds

    def show(
        self,
        elbo: float | None = None,
        sd_log_weights: float | None = None,
        khat: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Display the newest numbers."""
        self.display.update(
            self.stage,
            elbo=elbo,
            sd_log_weights=sd_log_weights,
            khat=khat,
            gradients=self.gradients,
            seconds_left=seconds_left,
        )
