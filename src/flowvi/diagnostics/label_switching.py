"""Are several modes one mode, with the labels of a mixture's components in another order?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

_MOST_LABELS = 5
"""Elements whose orders are all tried."""

_CLOSE = 1.0
"""Sds within which the means of two modes are the same."""


def switched_labels(
    means: Mapping[str, np.ndarray],
    sds: Mapping[str, np.ndarray],
) -> tuple[str, ...]:
    """The quantities whose elements stand in another order in some modes, where every mode is the first one
    but for one order of the elements along the first axis of all of them; empty where that is not so.

    Args:
        means: quantity -> (modes, *shape), its mean in each mode.
        sds: likewise.

    Source: Stephens 2000, JRSS B 62(4), section 2.

    Example:
        >>> means = {"mu": np.array([[-2.0, 2.0], [2.0, -2.0]]), "sigma": np.array([[1.0], [1.0]])}
        >>> sds = {"mu": np.full((2, 2), 0.1), "sigma": np.full((2, 1), 0.1)}
        >>> switched_labels(means, sds)
        ('mu',)
    """
    modes = len(next(iter(means.values()), ()))
    lengths = {mean.shape[1] for mean in means.values() if mean.ndim > 1}
    for length in sorted(n for n in lengths if 2 <= n <= _MOST_LABELS):
        orders = list(permutations(range(length)))
        switched: set[str] = set()
        for mode in range(1, modes):
            tried = (_switched(means, sds, mode, order) for order in orders)
            found = next((names for names in tried if names is not None), None)
            if found is None:
                break
            switched |= found
        else:
            if switched:
                return tuple(sorted(switched))
    return ()


def _switched(
    means: Mapping[str, np.ndarray], sds: Mapping[str, np.ndarray], mode: int, order: tuple[int, ...]
) -> set[str] | None:
    """The quantities that the order moves from the first mode to another; None where it leads elsewhere."""
    moved = set()
    for name, mean in means.items():
        here, there = np.asarray(mean[0]), np.asarray(mean[mode])
        sd_here, sd_there = np.asarray(sds[name][0]), np.asarray(sds[name][mode])
        if _close(here, there, sd_here, sd_there):
            continue
        if here.shape[:1] != (len(order),):
            return None
        if not _close(here[list(order)], there, sd_here[list(order)], sd_there):
            return None
        moved.add(name)
    return moved


def _close(a: np.ndarray, b: np.ndarray, sd_a: np.ndarray, sd_b: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - b) <= _CLOSE * np.maximum(sd_a, sd_b)))
