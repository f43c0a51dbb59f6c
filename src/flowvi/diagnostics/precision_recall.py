"""How much of a sample looks like data, and how much of the data a sample reaches."""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.two_samples import two_samples
from flowvi.errors import ArgumentError

_PAIRS = 2**22
"""Distances in one piece."""


class PrecisionRecall(NamedTuple):
    """Shares of two samples, with binomial standard errors.

    Attributes:
        precision: of the draws that lie where data are.
        recall: of the data that lie where draws are.
    """

    precision: Estimate
    recall: Estimate


def precision_recall(data: Any, draws: Any, neighbours: int = 3) -> PrecisionRecall:
    """Precision and recall of draws by the balls around points that reach to the k-th neighbour.

        precision = share of draws within a ball of the data,    recall = share of data within a ball of draws

    The ball of a point reaches to its k-th nearest neighbour in its own sample. Two samples of one
    distribution do not reach 1: take the value of fresh data beside it. Shapes: data (m, dim), draws
    (n, dim). Cost: m n distances, in pieces.

    Raises:
        DataError: data and draws are not rows of finite numbers in as many columns, more than `neighbours`.
        ArgumentError: `neighbours` is not a positive integer.

    Source: Kynkäänniemi et al. 2019 (arXiv 1904.06991), equations 1 and 2.

    Example:
        >>> x = np.arange(10.0)[:, None]
        >>> precision_recall(x, x + 0.1, neighbours=1).recall.value
        1.0
    """
    if isinstance(neighbours, bool) or not isinstance(neighbours, numbers.Integral) or neighbours < 1:
        raise ArgumentError(f"neighbours={neighbours!r}: give a positive integer.")
    data, draws = two_samples(data, draws, least=neighbours + 1)
    return PrecisionRecall(
        _share(_within_balls(draws, data, neighbours)), _share(_within_balls(data, draws, neighbours))
    )


def _within_balls(
    points: Float[np.ndarray, "n dim"], centres: Float[np.ndarray, "m dim"], neighbours: int
) -> Bool[np.ndarray, " n"]:
    """Whether each point lies within the ball of some centre."""
    # the nearest point of a sample to one of its own is that one itself
    radii = KDTree(centres).query(centres, k=neighbours + 1)[0][:, -1]
    size = max(1, _PAIRS // len(centres))
    pieces = [points[start : start + size] for start in range(0, len(points), size)]
    return np.concatenate([(cdist(piece, centres) <= radii).any(axis=1) for piece in pieces])


def _share(inside: Bool[np.ndarray, " n"]) -> Estimate:
    share = float(inside.mean())
    return Estimate(share, float(np.sqrt(share * (1 - share) / len(inside))))
