"""Compiled functions of one batch size over any number of rows, on as many threads as there are cores."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from flowvi.precision import double_precision

ROWS = 512
"""Of a batch: few enough for its arrays to stay near the core."""

_CORES = os.cpu_count() or 1

A = TypeVar("A")
R = TypeVar("R")


def map_on_all_cores(function: Callable[[A], R], items: Sequence[A]) -> list[R]:
    """`[function(item) for item in items]` in double precision, for a function that XLA runs on one core.

    Example:
        >>> from flowvi.cores import map_on_all_cores
        >>> map_on_all_cores(lambda item: 2 * item, [1, 2, 3])
        [2, 4, 6]
    """
    if min(_CORES, len(items)) < 2:
        return [function(item) for item in items]
    return list(_threads().map(double_precision(function), items))


def in_batches(function: Callable, z: np.ndarray, size: int) -> list[np.ndarray]:
    """The arrays that a compiled function of `size` rows gives, for any number of rows.

    Example:
        >>> import numpy as np
        >>> from flowvi.cores import in_batches
        >>> in_batches(lambda rows: (2 * rows,), np.arange(3), 2)[0].tolist()
        [0, 2, 4]
    """
    padded = np.concatenate([z, np.repeat(z[-1:], -len(z) % size, axis=0)])
    # all calls are dispatched before the first result is waited for
    parts = [function(padded[i : i + size]) for i in range(0, len(padded), size)]
    columns = zip(*parts, strict=True)
    return [np.concatenate([np.asarray(part) for part in column])[: len(z)] for column in columns]


def on_all_cores(function: Callable, z: np.ndarray, size: int) -> list[np.ndarray]:
    """`in_batches` on as many threads as there are cores.

    Example:
        >>> import numpy as np
        >>> from flowvi.cores import on_all_cores
        >>> on_all_cores(lambda rows: (2 * rows,), np.arange(3), 2)[0].tolist()
        [0, 2, 4]
    """
    batches = -(-len(z) // size)
    threads = max(1, min(_CORES, batches))
    ends = size * (np.arange(1, threads) * batches // threads)
    parts = map_on_all_cores(lambda part: in_batches(function, part, size), np.split(z, ends))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_CORES, "flowvi-map")
