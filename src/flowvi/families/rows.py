"""The data that all families take, and the scale on which their networks see them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.density.columns import check_finite
from flowvi.density.rows import LEAST_ROWS, Moments, moments
from flowvi.density.table import read_table
from flowvi.errors import DataError


def read_rows(x: Any) -> Float[np.ndarray, "rows columns"]:
    """Rows of finite numbers, as `flowvi.fit_density` takes them; a vector is one column.

    Raises:
        DataError: values are missing or not numbers, a column is constant, or there are fewer than 50 rows.

    Example:
        >>> read_rows(np.arange(60.0)).shape
        (60, 1)
    """
    table = read_table(x, "x")
    check_finite(table)
    if table.rows < LEAST_ROWS:
        raise DataError(f"x has {table.rows} rows. A generative model needs {LEAST_ROWS} at least.")
    every = np.arange(table.rows)
    moments(table, every)
    return table.take(every)


def new_rows(x: Any, columns: int) -> Float[np.ndarray, "rows columns"]:
    """Rows to be judged by a model that was fitted to as many columns.

    Raises:
        DataError: there are other columns, or values that are not finite.

    Example:
        >>> new_rows([[1.0, 2.0]], 2).shape
        (1, 2)
    """
    table = read_table(x, "x")
    if table.columns != columns:
        raise DataError(f"x has {table.columns} columns, but the model was fitted to {columns}.")
    values = table.take(np.arange(table.rows))
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(f"{table.listed([column])} is {values[row, column]} in row {row}. Leave the row out.")
    return values


def moments_of(x: Float[np.ndarray, "rows columns"]) -> Moments:
    """Mean and standard deviation of the columns."""
    return Moments(x.mean(axis=0), x.std(axis=0))
