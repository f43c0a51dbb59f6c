"""Weighted draws to unweighted ones, none of them twice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def unique_indices(
    weights: Float[np.ndarray, " S"], n: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Indices of n different draws, draw i among them with probability n w_i, by systematic sampling.

    The draws are put in random order and laid on a line with lengths n w_i; one uniform offset then picks
    those at offset, 1 + offset, ... A length of at most one is never hit twice.

    Args:
        weights: (S,) normalised weights with n max(w) <= 1.
        n: how many to pick.

    Raises:
        ValueError: a weight is so large that its draw would have to be picked twice.

    Source: Madow 1949, Annals of Mathematical Statistics 20(3).
    """
    if n * weights.max() > 1 + 1e-9:
        raise ValueError(f"n * max(weights) is {n * weights.max():.3g}, above 1: more proposals are needed.")
    order = rng.permutation(len(weights))
    ends = np.cumsum(n * weights[order])
    picked = np.searchsorted(ends, rng.uniform() + np.arange(n), side="right")
    return order[np.minimum(picked, len(weights) - 1)]
