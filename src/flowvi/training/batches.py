"""Which rows the steps of a round see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int


def endless(
    numbers: Int[np.ndarray, " n"], size: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, " size"]]:
    """So many row numbers at a time, in a new random order every time through.

    Example:
        >>> rows = endless(np.arange(3), 4, np.random.default_rng(0))
        >>> sorted(next(rows)[:3].tolist())
        [0, 1, 2]
    """
    left = numbers[:0]
    while True:
        parts, missing = [left], size - len(left)
        while missing > 0:
            parts.append(rng.permutation(numbers))
            missing -= len(numbers)
        left = np.concatenate(parts)
        yield left[:size]
        left = left[size:]
