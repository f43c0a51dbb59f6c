"""Whether data look like those that were simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from flowvi.amortized.layout import Batch
from flowvi.amortized.network import summaries
from flowvi.amortized.summary import Summary

OUTSIDE = 0.01
"""Share of simulated data sets that are as far out, below which data count as outside."""

_RIDGE = 1e-3
"""Of the correlation matrix, in which features may be the same up to rounding."""

_TAIL = 4
"""Of the distribution of distances, in case few simulations were held out; heavier than most."""


@final
@dataclass(frozen=True, eq=False)
class Familiar:
    """How far from the centre simulated data sets lie, by their summaries and by plain statistics of them.

    A network may map what it has never seen to summaries that it has, so that these alone do not tell; mean,
    sd and extremes of the data beside them do.

    Attributes:
        location, scale: of the features.
        root: of the inverse of their correlations.
        distances: (held out, 2) sorted columns: the Mahalanobis distance, and the largest feature in sds.
    """

    location: Float[np.ndarray, " features"]
    scale: Float[np.ndarray, " features"]
    root: Float[np.ndarray, "features features"]
    distances: Float[np.ndarray, "held_out 2"]

    @staticmethod
    def of(summary: Summary, seen: Batch, held_out: Batch) -> Familiar:
        """From simulated data sets: those that tell what is usual, and others that tell how far out."""
        usual, others = (_features(summaries(summary, x), x) for x in (seen, held_out))
        usual, others = (a[np.isfinite(a).all(axis=1)] for a in (usual, others))
        location, scale = usual.mean(axis=0), usual.std(axis=0)
        scale = np.where(scale > 1e-6 * (1 + np.abs(location)), scale, 1.0)
        standard = (usual - location) / scale
        correlations = standard.T @ standard / len(standard) + _RIDGE * np.eye(len(location))
        root = np.linalg.inv(np.linalg.cholesky(correlations)).T
        found = Familiar(location, scale, root, np.empty((0, 2)))
        # few of them, if any, where the network is not finite at others
        distances = found._distances(others if len(others) else usual)
        return Familiar(location, scale, root, np.sort(distances, axis=0))

    def share_beyond(self, summary: Float[np.ndarray, "n size"], x: Batch) -> Float[np.ndarray, " n"]:
        """The share of held-out simulated data sets that are as far out as these, by the worse of both
        distances, adjusted for there being two; `summary` are those of x."""
        n = len(self.distances)
        # what is not finite is as far out as can be
        found = np.nan_to_num(self._distances(_features(summary, x)), nan=np.inf)
        counts = [n - np.searchsorted(self.distances[:, i], found[:, i]) for i in range(2)]
        # where none is as far out, the tail is taken to fall like this power of the distance
        beyond = np.maximum(1.0, found / self.distances[-1]) ** _TAIL
        shares = [(1 + counts[i]) / (1 + n) / beyond[:, i] for i in range(2)]
        return np.minimum(1.0, 2 * np.minimum(*shares))

    def _distances(self, features: Float[np.ndarray, "n features"]) -> Float[np.ndarray, "n 2"]:
        standard = (features - self.location) / self.scale
        mahalanobis = np.sqrt(((standard @ self.root) ** 2).sum(axis=1))
        return np.stack([mahalanobis, np.abs(standard).max(axis=1)], axis=1)


def outside(shares: Float[np.ndarray, " n"]) -> Int[np.ndarray, " outside"]:
    """Which of several data sets lie outside what was simulated, by the shares that are as far out.

    One in a hundred simulated data sets has a share of a hundredth, so that of many more is needed: the false
    discovery rate is a hundredth.

    Source: Benjamini & Hochberg 1995 (J. R. Stat. Soc. B 57).

    Example:
        >>> outside(np.array([0.5, 0.009])).tolist(), outside(np.array([0.009])).tolist()
        ([], [0])
    """
    order = np.sort(shares)
    below = np.flatnonzero(order < OUTSIDE * np.arange(1, len(order) + 1) / len(order))
    return np.flatnonzero(shares <= order[below[-1]]) if below.size else below


def _features(summary: Float[np.ndarray, "n size"], x: Batch) -> Float[np.ndarray, "n features"]:
    return np.concatenate([summary, _statistics(x)], axis=1)


def _statistics(x: Batch) -> Float[np.ndarray, "n statistics"]:
    """Mean, sd, least and largest of every column of the last axis; of vectors, of all entries."""
    n = len(x.values)
    columns = x.values.shape[-1] if x.values.ndim > 2 else 1
    values = x.values.reshape(n, -1, columns).astype(np.float64)
    if x.mask is None:
        inside = np.ones(values.shape[:2], bool)
    else:
        inside = np.repeat(x.mask, values.shape[1] // x.mask.shape[1], axis=1)
    values = np.where(inside[..., None], values, np.nan)
    parts = [f(values, axis=1) for f in (np.nanmean, np.nanstd, np.nanmin, np.nanmax)]
    return np.concatenate([*parts, np.log(inside.sum(axis=1))[:, None]], axis=1)
