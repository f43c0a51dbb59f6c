"""Whether ranks are uniform: an exact test on their ECDF, with simultaneous bands."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int


class Band(NamedTuple):
    """Where the ECDF of uniform ranks stays, all of it, with at least a given probability.

    Attributes:
        points: (L,) the j / (L + 1) at which the ECDF is looked at.
        lower, upper: (L,) the least and the largest count of ranks below j.
    """

    points: Float[np.ndarray, " L"]
    lower: Int[np.ndarray, " L"]
    upper: Int[np.ndarray, " L"]


def ecdf_counts(ranks: Int[np.ndarray, " N"], draws: int) -> Int[np.ndarray, " L"]:
    """Counts of the ranks below j, for j = 1, ..., L: N times their ECDF at j / (L + 1).

    Example:
        >>> ecdf_counts(np.array([0, 0, 3]), draws=3)
        array([2, 2, 2])
    """
    return np.cumsum(np.bincount(ranks, minlength=draws + 1))[:-1]


def uniformity(ranks: Int[np.ndarray, " N"], draws: int) -> float:
    """Probability that uniform ranks depart as far from uniformity, somewhere along their ECDF.

        x_j = #{ranks < j} ~ Binomial(N, j / (L + 1)),    g = min_j 2 min(P(X_j <= x_j), P(X_j >= x_j))
        p = P(min over j of the same <= g)

    The last probability is exact. It is at most alpha where, and only where, the ECDF leaves `ecdf_band` of
    level 1 - alpha.

    Args:
        ranks: (N,) integers from 0 to L.
        draws: L.

    Source: Saeilynoja, Buerkner, Vehtari 2022 (arXiv 2103.10522), section 3.

    Example:
        >>> bool(uniformity(np.arange(100), draws=99) > 0.99)
        True
        >>> bool(uniformity(np.arange(100) // 2, draws=99) < 1e-6)
        True
    """
    counts = ecdf_counts(ranks, draws)
    tails = _two_tails(len(ranks), draws)
    smallest = tails[np.arange(draws), counts].min()
    return float(1 - _probability_within(len(ranks), draws, smallest))


@functools.lru_cache(maxsize=32)
def ecdf_band(simulations: int, draws: int, level: float = 0.95) -> Band:
    """The narrowest such band, of one pointwise level all along, that the ECDF of uniform ranks stays in.

    Args:
        simulations: N, how many ranks there are.
        draws: L, so that ranks are integers from 0 to L.
        level: the probability, at least; counts are integers, so it is met from above.

    Source: as for `uniformity`.

    Example:
        >>> band = ecdf_band(100, 99)
        >>> int(band.lower[49]), int(band.upper[49])
        (36, 64)
    """
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        inside = _probability_within(simulations, draws, middle) >= level
        low, high = (middle, high) if inside else (low, middle)
    within = _within(simulations, draws, low)
    lower = within.argmax(axis=1)
    upper = simulations - within[:, ::-1].argmax(axis=1)
    return Band(np.arange(1, draws + 1) / (draws + 1), lower, upper)


def holm(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """p values adjusted for there being k of them: the smallest times k, the next times k - 1, and so on.

    Whatever the dependence between the tests, rejecting where the adjusted one is at most alpha makes a false
    rejection, of one or more, with probability at most alpha.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).

    Example:
        >>> holm(np.array([0.01, 0.5, 0.02]))
        array([0.03, 0.5 , 0.04])
    """
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


@functools.lru_cache(maxsize=8)
def _two_tails(simulations: int, draws: int) -> Float[np.ndarray, "L counts"]:
    """2 min(P(X_j <= x), P(X_j >= x)) for every count x = 0, ..., N at every j."""
    x, share = np.arange(simulations + 1), np.arange(1, draws + 1)[:, None] / (draws + 1)
    at_most = scipy.stats.binom.cdf(x, simulations, share)
    at_least = scipy.stats.binom.sf(x - 1, simulations, share)
    return 2 * np.minimum(at_most, at_least)


def _within(simulations: int, draws: int, tail: float) -> Bool[np.ndarray, "L counts"]:
    # not those that are the same on the other side, but for rounding
    return _two_tails(simulations, draws) > tail * (1 + 1e-9)


def _probability_within(simulations: int, draws: int, tail: float) -> float:
    """The probability that two-tailed probabilities stay above `tail` all along the ECDF of uniform ranks.

    Counts of N uniform ranks are those of independent Poisson numbers, one for each of the L + 1 ranks, given
    that their sum is N: a walk with independent steps, whose distribution within the band is a convolution at
    each step.
    """
    within = _within(simulations, draws, tail)
    step = scipy.stats.poisson.pmf(np.arange(simulations + 1), simulations / (draws + 1))
    first, walk = 0, np.ones(1)
    for allowed in within:
        counts = np.flatnonzero(allowed)
        if len(counts) == 0:
            return 0.0
        low, high = counts[0], counts[-1]
        # the walk only goes up
        start = max(low, first)
        moved = np.convolve(walk, step[: high - first + 1])
        first, walk = start, moved[start - first : high - first + 1]
    last = walk @ step[simulations - first - np.arange(len(walk))]
    return float(min(1.0, last / scipy.stats.poisson.pmf(simulations, simulations)))
