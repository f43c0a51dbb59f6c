"""Targets that are tempered at first."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from flowvi.errors import ArgumentError
from flowvi.objectives.log_density import Annealed, Density, check_callable

Schedule = Callable[[Int[Array, ""]], Float[Array, ""]]


def linear_schedule(start: float = 0.01, steps: int = 10_000) -> Schedule:
    """beta_t = min(1, start + t / steps) at step t.

    Raises:
        ArgumentError: `start` is not in (0, 1] or `steps` is not positive.

    Source: R&M, section 6.1, whose values are the defaults.

    Example:
        >>> from flowvi.objectives import linear_schedule
        >>> round(float(linear_schedule(0.1, 100)(50)), 2)
        0.6
    """
    if not 0 < start <= 1:
        raise ArgumentError(f"start={start!r}: give an inverse temperature above 0 and at most 1.")
    if not steps > 0:
        raise ArgumentError(f"steps={steps!r}: give a positive number of steps.")
    return lambda step: jnp.minimum(1.0, start + jnp.asarray(step) / steps)


def annealed(log_density: Density, schedule: Schedule | None = None) -> Annealed:
    """The target beta_t log p, to be given to an objective in the place of log p.

        reverse KL at step t:   E_q[log q - beta_t log p]

    `schedule` takes the number of the step, from 0, to beta_t > 0 (`linear_schedule()` where it is left out);
    modes far apart are found while beta_t is small. An Equinox module may hold arrays; of a function those
    are constants of the compiled program.

    Raises:
        ArgumentError: `log_density` is no log density, or `schedule` no function.

    Source: R&M, equation 20.

    Example:
        >>> import flowvi
        >>> target = flowvi.objectives.annealed(lambda z: -0.5 * z @ z)
        >>> objective = flowvi.objectives.reverse_kl(target)
    """
    check_callable(log_density)
    if schedule is None:
        schedule = linear_schedule()
    elif not callable(schedule):
        raise ArgumentError(f"schedule={schedule!r}: give a function of the step, such as linear_schedule().")
    return Annealed(log_density, schedule)
