"""Which of the modes that are known to be there a sample has."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from flowvi.diagnostics.two_samples import two_samples
from flowvi.flows.arguments import positive_number


class Modes(NamedTuple):
    """Modes of a sample.

    Attributes:
        covered: modes with draws enough.
        of: all modes.
        near: share of the draws that lie near any mode.
    """

    covered: int
    of: int
    near: float


def modes_covered(draws: Any, centres: Any, radius: float, least: float = 0.2) -> Modes:
    """Count the modes with at least `least` of the draws that each would have if all had as many.

    A draw belongs to the nearest centre if it lies within `radius` of it (three standard deviations, say).
    Shapes: draws (n, dim), centres (modes, dim).

    Raises:
        DataError: draws and centres are not rows of finite numbers in as many columns.
        ArgumentError: `radius` or `least` is not positive.

    Source: Srivastava et al. 2017 (arXiv 1705.07761), section 4.1, where one draw is enough.

    Example:
        >>> modes_covered([[0.1], [0.0], [9.0]], [[0.0], [1.0]], radius=0.5)
        Modes(covered=1, of=2, near=0.6666666666666666)
    """
    radius, least = positive_number("radius", radius), positive_number("least", least)
    draws, centres = two_samples(draws, centres, least=1)
    distances, nearest = (np.asarray(found) for found in KDTree(centres).query(draws))
    near = distances <= radius
    counts = np.bincount(nearest[near], minlength=len(centres))
    wanted = max(1.0, least * len(draws) / len(centres))
    return Modes(int(np.sum(counts >= wanted)), len(centres), float(near.mean()))
