"""The log evidence from draws of q and draws of the posterior together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from flowvi.diagnostics.estimate import Estimate

_MOST_STEPS = 1000
_TOLERANCE = 1e-10


def bridge_sampling(
    of_q: Float[np.ndarray, " n"], of_posterior: Float[np.ndarray, " m"], effective: float
) -> Estimate:
    """log Z by the optimal bridge between a normalised q and the posterior p / Z.

        Z = E_q[p / (s_p p / Z + s_q q)] / E_p[q / (s_p p / Z + s_q q)]

    solved by iteration, where s_p and s_q are the shares of effective draws.

    Args:
        of_q: log p - log q at independent draws of q; -inf where the target is zero.
        of_posterior: the same at draws of the posterior, which must not have been used to fit q.
        effective: how many independent draws those are worth.

    Source: Meng & Wong 1996, equation 4.1; the standard error by Fruehwirth-Schnatter 2004, Econometrics
    Journal 7(1), equation 9.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> q, p = rng.standard_normal(4000), 0.5 * rng.standard_normal(4000)
        >>> log_ratio = lambda x: -0.5 * (x / 0.5) ** 2 + 0.5 * x**2 + np.log(3 * 2 * 1.0)
        >>> value, error = bridge_sampling(log_ratio(q), log_ratio(p), 4000)
        >>> bool(abs(value - np.log(3.0)) < 4 * error)
        True
    """
    share = effective / (effective + len(of_q))
    log_z = float(logsumexp(of_q) - np.log(len(of_q)))
    for _ in range(_MOST_STEPS):
        above = of_q - np.logaddexp(np.log(share) + of_q - log_z, np.log1p(-share))
        below = -np.logaddexp(np.log(share) + of_posterior - log_z, np.log1p(-share))
        new = float(logsumexp(above) - np.log(len(of_q)) - logsumexp(below) + np.log(len(of_posterior)))
        moved, log_z = abs(new - log_z), new
        if moved < _TOLERANCE:
            break
    numerator, denominator = np.exp(above - above.max()), np.exp(below - below.max())
    variance = numerator.var() / numerator.mean() ** 2 / len(of_q)
    variance += denominator.var() / denominator.mean() ** 2 / effective
    return Estimate(log_z, float(np.sqrt(variance)))
