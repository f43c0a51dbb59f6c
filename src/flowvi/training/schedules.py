"""How step sizes fall in the course of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.errors import ArgumentError

Schedule = Callable[[Float[np.ndarray, " steps"]], Float[np.ndarray, " steps"]]
"""The factor on the first step size, as a function of the share of steps that are done, in [0, 1)."""

SCHEDULES: dict[str, Schedule] = {
    "constant": np.ones_like,
    "cosine": lambda done: 0.5 * (1 + np.cos(np.pi * done)),
    "halving": lambda done: 0.5 ** (5 * done),
}


def factors(schedule: Any, steps: int) -> Float[np.ndarray, " steps"]:
    """The factor at every step.

    Raises:
        ArgumentError: the schedule is unknown, or gives anything but one finite number >= 0 for each step.
    """
    if not callable(schedule):
        if schedule not in SCHEDULES:
            raise ArgumentError(
                f"schedule={schedule!r}: choose one of {', '.join(map(repr, SCHEDULES))}, or give a function "
                "of the share of steps done."
            )
        schedule = SCHEDULES[schedule]
    values = np.asarray(schedule(np.arange(steps) / steps), float)
    if values.shape != (steps,) or not np.all(np.isfinite(values) & (values >= 0)):
        raise ArgumentError(
            f"The schedule gave an array of shape {values.shape} for {steps} shares of steps done. It must "
            "give one finite number, zero or more, for each."
        )
    return values
