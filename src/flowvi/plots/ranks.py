"""Pictures of the ranks that simulation-based calibration gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import scipy.stats
from jaxtyping import Int

from flowvi.diagnostics.uniformity import ecdf_band, ecdf_counts
from flowvi.plots.panels import BAND, INK, OFF, outer_labels, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rank_histograms(ranks: Mapping[str, Int[np.ndarray, " N"]], draws: int) -> Figure:
    """A panel per scalar: a histogram of its ranks, and the band that all bars of uniform ranks stay in.

    The band is a binomial interval for each bar, together 95% by Bonferroni. Bars outside it are red.

    Args:
        ranks: label -> integers from 0 to `draws`.

    Raises:
        DependencyError: matplotlib is missing.

    Source: Talts et al. 2018, section 4.1 (arXiv 1804.06788).
    """
    figure, axes = panels(len(ranks))
    for axis, (label, values) in zip(axes, ranks.items(), strict=True):
        edges = _bins(len(values), draws)
        counts = np.histogram(values, edges)[0]
        # where the bins cannot be equal, each has its own expected count
        share = np.diff(edges) / (draws + 1)
        tail = 0.025 / len(share)
        low, high = (scipy.stats.binom.ppf(q, len(values), share) for q in (tail, 1 - tail))
        axis.stairs(high, edges, baseline=low, fill=True, color=BAND)
        axis.stairs(len(values) * share, edges, color="white")
        outside = (counts < low) | (counts > high)
        colors = np.where(outside, OFF, INK)
        axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=colors, alpha=0.55)
        axis.set(title=label, xlim=(edges[0], edges[-1]), ylim=(0, None))
    outer_labels(figure, axes, "rank of the true value", "data sets")
    return figure


def ecdf_differences(ranks: Mapping[str, Int[np.ndarray, " N"]], draws: int, tests: int) -> Figure:
    """A panel per scalar: the ECDF of its ranks minus that of uniform ones, and simultaneous 95% bands.

    Shaded is the band for one scalar, dashed the band for `tests` of them together (Bonferroni). An ECDF that
    leaves the dashed band is red.

    Args:
        ranks: label -> integers from 0 to `draws`.

    Raises:
        DependencyError: matplotlib is missing.

    Source: Saeilynoja, Buerkner, Vehtari 2022 (arXiv 2103.10522).
    """
    figure, axes = panels(len(ranks))
    for axis, (label, values) in zip(axes, ranks.items(), strict=True):
        n, counts = len(values), ecdf_counts(values, draws)
        one, all_ = ecdf_band(n, draws), ecdf_band(n, draws, 1 - 0.05 / tests)
        x = one.points
        axis.fill_between(x, one.lower / n - x, one.upper / n - x, step="mid", color=BAND, linewidth=0)
        for bound in (all_.lower, all_.upper):
            axis.plot(x, bound / n - x, "--", color="gray", linewidth=0.8)
        outside = np.any((counts < all_.lower) | (counts > all_.upper))
        axis.plot(x, counts / n - x, color=OFF if outside else INK, linewidth=1.2)
        axis.set(title=label, xlim=(0, 1))
    outer_labels(figure, axes, "rank, as a share of the draws", "ECDF - uniform")
    return figure


def _bins(simulations: int, draws: int) -> np.ndarray:
    """Edges of at most 20 bins for the ranks 0, ..., draws: equal ones where some number of them divides, and
    ten ranks or more in each of them on average."""
    most = int(np.clip(simulations // 10, 2, min(20, draws + 1)))
    equal = [b for b in range((most + 1) // 2, most + 1) if (draws + 1) % b == 0]
    return np.round(np.linspace(0, draws + 1, (equal[-1] if equal else most) + 1)) - 0.5
