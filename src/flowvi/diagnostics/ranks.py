"""The rank of a true value among draws."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Num

_ROUND_OFF = 1e-12
"""Relative difference below which two numbers are the same but for rounding."""


def rank_among(
    truth: Num[np.ndarray, "*shape"], draws: Num[np.ndarray, " L *shape"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
    """How many of L draws lie below the truth, and whether all of them equal it; ties are broken at random.

        rank = #{draws < truth} + (one of 0, ..., #{draws = truth}, each as likely)

    If truth and draws are L + 1 independent draws of one distribution, continuous or discrete, the rank is
    uniform on 0, ..., L. Numbers that differ by rounding alone (the sum of a simplex, the ones of a
    correlation matrix) are equal.

    Source: Talts et al. 2018, theorem 1 (arXiv 1804.06788); ties as in Modrak et al. 2023 (arXiv 2211.02383).

    Example:
        >>> ranks, constant = rank_among(np.array(2.5), np.arange(10.0), np.random.default_rng(0))
        >>> int(ranks), bool(constant)
        (3, False)
    """
    equal = (draws == truth) | np.isclose(draws, truth, rtol=_ROUND_OFF, atol=0)
    below = np.sum((draws < truth) & ~equal, axis=0)
    ties = equal.sum(axis=0)
    return np.asarray(below + rng.integers(0, ties + 1)), np.asarray(ties == len(draws))


def evenly_thinned(count: int, kept: int) -> Int[np.ndarray, " kept"]:
    """Indices of `kept` of `count` draws, as far apart as they can be.

    Draws of Markov chains lie next to their neighbours in time, so that few of them, evenly spaced, are worth
    nearly as many independent ones.

    Example:
        >>> evenly_thinned(10, 3)
        array([1, 5, 8])
    """
    return ((np.arange(kept) + 0.5) * count / kept).astype(int)


def mean_and_spread(
    ranks: Int[np.ndarray, " N *shape"], draws: int
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Mean of the ranks as a share of the draws, 1/2 when calibrated; and their spread around 1/2, over that
    of uniform ranks.

    A mean below 1/2 says that the draws are too high, a spread above 1 that they are too narrow.

    Example:
        >>> mean, spread = mean_and_spread(np.arange(100), draws=99)
        >>> float(mean), round(float(spread), 2)
        (0.5, 1.0)
    """
    mean = ranks.mean(axis=0) / draws
    # of the integers 0, ..., L
    uniform = draws * (draws + 2) / 12
    spread = np.sqrt(((ranks - draws / 2) ** 2).mean(axis=0) / uniform)
    return np.asarray(mean), np.asarray(spread)
