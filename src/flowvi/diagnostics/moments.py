"""Do importance weights carry means and variances, and not only their own sum?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.diagnostics.psis import smooth_weights


class MomentTails(NamedTuple):
    """Shapes of the tails of weighted moments, per coordinate; beyond 0.7 the moment is not to be trusted, or
    does not exist.

    Attributes:
        first: k-hat of w |z - mean|.
        second: k-hat of w (z - mean)^2.
    """

    first: Float[np.ndarray, " dim"]
    second: Float[np.ndarray, " dim"]


def moment_tails(
    z: Float[np.ndarray, "S dim"],
    log_weights: Float[np.ndarray, " S"],
    weights: Float[np.ndarray, " S"],
) -> MomentTails:
    """k-hat of the weighted first and second moments about the mean.

    Args:
        z: draws of q.
        log_weights: log p - log q; -inf where the target is zero.
        weights: smoothed and normalised, for the mean.

    Source: PSIS (arXiv 1507.02646), section 3.2.3.

    Example:
        >>> z = np.random.default_rng(0).standard_normal((4000, 1))
        >>> bool(moment_tails(z, np.zeros(4000), np.full(4000, 1 / 4000)).second[0] < 0.5)
        True
    """
    with np.errstate(divide="ignore"):
        log_distance = np.log(np.abs(z - weights @ z))
    first = [_shape(log_weights + column) for column in log_distance.T]
    second = [_shape(log_weights + 2 * column) for column in log_distance.T]
    return MomentTails(np.array(first), np.array(second))


def _shape(log_terms: Float[np.ndarray, " S"]) -> float:
    # a coordinate that does not vary has no tail
    return smooth_weights(log_terms).khat if np.isfinite(log_terms).any() else float("-inf")
