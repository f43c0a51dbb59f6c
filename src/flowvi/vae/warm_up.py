"""How the model's part in the bound grows at the beginning of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.errors import ArgumentError


def temperatures(steps: int, warm_up: Any) -> Float[np.ndarray, " steps"]:
    """The inverse temperature of the model at every step.

        F_t = E_q [log q(z | x) - beta_t log p(x, z)],    beta_t = min(1, 0.01 + t / warm_up)

    With `warm_up` 0 it is one throughout. At first the entropy of q counts for more than the model, so that
    no latent coordinate is given up early.

    Raises:
        ArgumentError: `warm_up` is not a whole number, zero or more.

    Source: R&M, equation 20, where warm_up is 10,000.

    Example:
        >>> temperatures(5, 4).tolist()
        [0.01, 0.26, 0.51, 0.76, 1.0]
    """
    if isinstance(warm_up, bool) or not isinstance(warm_up, int | np.integer) or warm_up < 0:
        raise ArgumentError(f"warm_up={warm_up!r}: give a number of steps, zero or more.")
    if warm_up == 0:
        return np.ones(steps)
    return np.minimum(1.0, 0.01 + np.arange(steps) / warm_up)
