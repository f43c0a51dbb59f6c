"""Two samples that are to be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.errors import DataError


def two_samples(
    x: Any, y: Any, *, least: int = 2
) -> tuple[Float[np.ndarray, "m dim"], Float[np.ndarray, "n dim"]]:
    """Both in double precision.

    Raises:
        DataError: one is not rows of finite numbers, they differ in columns, or one has too few rows.

    Example:
        >>> [len(sample) for sample in two_samples([[0.0], [1.0]], [[2.0], [3.0], [4.0]])]
        [2, 3]
    """
    first, second = (_rows(name, values, least) for name, values in (("x", x), ("y", y)))
    if first.shape[1] != second.shape[1]:
        raise DataError(f"x has {first.shape[1]} columns and y {second.shape[1]}: they must have as many.")
    return first, second


def _rows(name: str, values: Any, least: int) -> np.ndarray:
    try:
        rows = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array of numbers: {error}.") from error
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise DataError(f"{name} has shape {rows.shape}: give rows, (rows, columns).")
    if len(rows) < least:
        raise DataError(f"{name} has {len(rows)} rows: give {least} at least.")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{name} has {len(bad)} values that are not finite, the first in row {row}, column {column}."
        )
    return rows
