"""Tables as rows of floating numbers: what is read, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.errors import DataError

_LEAST_ROWS = 50
_LOOKED_AT = 10_000
"""Rows in which values are counted."""
_DISTINCT = 0.05
"""Share of them that differ, below which a column is discrete."""
_CHUNK = 2**18
"""Rows looked at in one piece, so that a memory-mapped array is never read whole."""


def rows_of(table: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """A table as an array (rows, columns), without copying arrays, and the names of its columns.

    Takes NumPy and JAX arrays, memory-mapped or not, data frames (pandas, or anything with `columns` and
    `to_numpy`) and Arrow tables. A vector is one column.

    Raises:
        DataError: the table is not numeric or not two-dimensional, or a value is not finite.

    Example:
        >>> rows_of(np.arange(3.0), "x")[0].shape
        (3, 1)
    """
    if hasattr(table, "column_names") and hasattr(table, "column"):
        columns = [str(column) for column in table.column_names]
        array = np.column_stack([_numeric(table.column(c).to_numpy(), name, c) for c in columns])
    elif hasattr(table, "columns") and hasattr(table, "to_numpy"):
        columns = [str(column) for column in table.columns]
        array = np.column_stack([_numeric(table[c].to_numpy(), name, str(c)) for c in table.columns])
    else:
        array = _numeric(np.asanyarray(table), name, None)
        array = array[:, None] if array.ndim == 1 else array
        columns = [f"column {i}" for i in range(array.shape[-1])] if array.ndim == 2 else []
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{name} has shape {array.shape}. Give a table of rows and columns, neither empty.")
    for start in range(0, len(array), _CHUNK):
        bad = ~np.isfinite(array[start : start + _CHUNK])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{name} has a value that is not finite: {array[start + row, column]} in row {start + row}, "
                f"{columns[column]}. Leave such rows out, or fill them in."
            )
    return array, columns


def check_continuous(array: np.ndarray, columns: list[str], rng: np.random.Generator) -> np.ndarray:
    """Which columns are discrete, judging by how few values they take.

    Raises:
        DataError: there are too few rows, or a column is constant.
    """
    if len(array) < _LEAST_ROWS:
        raise DataError(f"x has {len(array)} rows. A density needs {_LEAST_ROWS} at least.")
    size = min(len(array), _LOOKED_AT)
    seen = np.asarray(array[np.sort(rng.choice(len(array), size, replace=False))], np.float64)
    constant = seen.max(axis=0) == seen.min(axis=0)
    if constant.any():
        raise DataError(
            f"x is constant in {_listed(columns, constant)} (it is {seen[0, constant][0]:g} in every row "
            "looked at), and has no density there. Leave it out, or give it as `condition`."
        )
    distinct = np.array([len(np.unique(column)) for column in seen.T])
    return distinct < max(_DISTINCT * size, 3)


def refuse_discrete(discrete: np.ndarray, columns: list[str]) -> None:
    """Discrete columns have no density.

    Raises:
        DataError: there is one.
    """
    if discrete.any():
        raise DataError(
            f"x takes few values in {_listed(columns, discrete)}: a density would grow without bound there. "
            "Give `dequantise=True` to spread each value over the gap to the next, or give the column as "
            "`condition`."
        )


def gaps(array: np.ndarray, discrete: np.ndarray) -> Float[np.ndarray, " columns"]:
    """The smallest distance between the values of each discrete column, and zero for the others."""
    smallest = np.zeros(array.shape[1])
    for column in np.flatnonzero(discrete):
        smallest[column] = np.diff(np.unique(np.asarray(array[:, column], np.float64))).min()
    return smallest


def _numeric(array: np.ndarray, name: str, column: str | None) -> np.ndarray:
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        where = "" if column is None else f" in column {column!r}"
        raise DataError(f"{name} holds {array.dtype} values{where}. Give real numbers.")
    return array


def _listed(columns: list[str], chosen: np.ndarray) -> str:
    names = [columns[i] for i in np.flatnonzero(chosen)]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
