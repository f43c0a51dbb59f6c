"""Pareto-smoothed importance sampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class SmoothedWeights(NamedTuple):
    """Normalised importance weights and the shape of their tail.

    Attributes:
        weights: (S,), positive, summing to one.
        khat: shape of the generalised Pareto distribution fitted to the largest weights; nan with fewer
            than 25 draws, -inf where all the largest weights are equal.
    """

    weights: Float[np.ndarray, " S"]
    khat: float


def smooth_weights(log_weights: Float[np.ndarray, " S"]) -> SmoothedWeights:
    """Replace the largest importance weights by the quantiles of a generalised Pareto distribution fitted
    to them.

    The min(S / 5, 3 sqrt(S)) largest are smoothed, and none may then exceed the largest raw weight. A log
    weight of -inf (a draw outside the target's support) has weight zero.

    Args:
        log_weights: (S,) log p - log q, up to a constant; NaN is not allowed.

    Source: PSIS, section 2.2 and appendix C (arXiv 1507.02646).

    Example:
        >>> smooth_weights(np.zeros(100)).weights.sum().round(6)
        np.float64(1.0)
    """
    size = len(log_weights)
    log_weights = log_weights - log_weights.max()
    weights = np.exp(log_weights)
    tail_size = int(min(size / 5, 3 * np.sqrt(size)))
    if tail_size < 5:
        return SmoothedWeights(weights / weights.sum(), float("nan"))
    largest = np.argpartition(log_weights, size - tail_size - 1)[size - tail_size - 1 :]
    largest = largest[np.argsort(log_weights[largest])]
    tail, cutoff = largest[1:], weights[largest[0]]
    excess = weights[tail] - cutoff
    if excess[0] <= 0 and excess[-1] <= 1e-12:
        return SmoothedWeights(weights / weights.sum(), float("-inf"))
    khat, scale = fit_generalised_pareto(excess[excess > 0])
    if np.isfinite(khat):
        levels = (np.arange(tail_size) + 0.5) / tail_size
        weights[tail] = np.minimum(cutoff + _quantile(levels, khat, scale), 1.0)
    return SmoothedWeights(weights / weights.sum(), khat)


def fit_generalised_pareto(excess: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Shape k and scale of a generalised Pareto distribution, from sorted positive excesses over its
    threshold.

    The posterior mean of Zhang & Stephens (2009) with the weakly informative prior of PSIS, appendix C:
    ten observations at k = 0.5. Returns (nan, nan) for fewer than five excesses.
    """
    n = len(excess)
    if n < 5:
        return float("nan"), float("nan")
    points = 30 + int(np.sqrt(n))
    theta = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    theta = theta / (3 * excess[int(n / 4 + 0.5) - 1]) + 1 / excess[-1]
    k = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_likelihood = n * (np.log(-theta / k) - k - 1)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    mean = (theta * posterior).sum() / posterior.sum()
    k_mean = np.log1p(-mean * excess).mean()
    return float((n * k_mean + 10 * 0.5) / (n + 10)), float(-k_mean / mean)


def khat_threshold(size: int) -> float:
    """The largest k-hat at which estimates from S draws are reliable: min(1 - 1 / log10 S, 0.7). Source:
    PSIS, section 3.2.4."""
    return min(1 - 1 / np.log10(size), 0.7)


def _quantile(level: np.ndarray, k: float, scale: float) -> np.ndarray:
    if abs(k) < 1e-8:
        return -scale * np.log1p(-level)
    return scale * np.expm1(-k * np.log1p(-level)) / k
