"""Pictures of how well true parameters are found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from flowvi.plots.panels import BAND, INK, outer_labels, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SHOWN = 300


def recovery(scalars: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """A panel per scalar: posterior means, with one sd to each side, against true values.

    Args:
        scalars: label -> true values, posterior means and posterior sds, each (data sets,).

    Raises:
        DependencyError: matplotlib is missing.
    """
    figure, axes = panels(len(scalars))
    for axis, (label, columns) in zip(axes, scalars.items(), strict=True):
        truth, mean, sd = (np.asarray(column)[:_MOST_SHOWN] for column in columns)
        ends = np.array([truth.min(), truth.max()])
        axis.plot(ends, ends, color="gray", linewidth=0.8)
        axis.errorbar(truth, mean, sd, fmt="none", ecolor=BAND, elinewidth=0.8)
        axis.plot(truth, mean, ".", color=INK, markersize=3)
        axis.set(title=label)
    outer_labels(figure, axes, "true value", "posterior mean, one sd to each side")
    return figure
