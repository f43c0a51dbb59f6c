"""Whether there is a prior to draw parameters from."""

from __future__ import annotations

from flowvi.errors import CannotSimulateError
from flowvi.targets.base import Target


def require_proper_prior(target: Target) -> None:
    """Raise where a parameter's prior does not integrate.

    Raises:
        CannotSimulateError: which parameters, and why that rules simulation out.
    """
    if target.improper:
        raise CannotSimulateError(
            f"The prior of {', '.join(map(repr, target.improper))} is improper: it does not integrate, so no "
            "true values can be drawn from it, and there is nothing that posteriors of simulated data could "
            "be calibrated to. Give it a proper prior, however wide."
        )
