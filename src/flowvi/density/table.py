"""Tables of numbers, whoever made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowvi.errors import DataError, DependencyError
from flowvi.flows.arguments import is_real

_CHUNK = 2**22
"""Numbers looked at in one piece."""


class Table(NamedTuple):
    """Rows of numbers with names for their columns; a memory-mapped array is read where rows are asked for.

    Attributes:
        values: (rows, columns), of any real dtype.
        names: of the columns.
        argument: the argument it came from, for errors.
        labels: what its data frame calls the columns, where it is one: text, numbers, or anything else.

    Example:
        >>> Table(np.zeros((3, 2)), ("a", "b"), "x").take(np.array([0, 2])).shape
        (2, 2)
    """

    values: np.ndarray
    names: tuple[str, ...]
    argument: str
    labels: tuple[Any, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.values.shape[0]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    def take(self, numbers: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n columns"]:
        """The rows of these numbers, in double precision."""
        return np.asarray(self.values[numbers], np.float64)

    def chunks(self) -> Iterator[tuple[int, Float[np.ndarray, "n columns"]]]:
        """All rows, so many at a time, each with the number of its first row."""
        size = max(1, _CHUNK // self.columns)
        for start in range(0, self.rows, size):
            yield start, np.asarray(self.values[start : start + size], np.float64)

    def listed(self, columns: Iterable[int | np.integer]) -> str:
        """The names of some columns, as errors show them."""
        names = [f"{self.argument}[{self.names[column]!r}]" for column in columns]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def read_table(data: Any, argument: str) -> Table:
    """A table from what a user has.

    Takes arrays (NumPy, memory-mapped or not, JAX and what else turns into one), nested lists, data frames
    with `columns` and `to_numpy` (pandas, Polars), Arrow tables, and what can be read as one. A vector is one
    column, which has the name of a series. Columns without a name are named by their number.

    Raises:
        DataError: the data are not real numbers in rows and columns, or there are none, or two columns have
            one name.

    Example:
        >>> read_table([1.0, 2.0, 3.0], "x").values.shape
        (3, 1)
    """
    of_series = None
    if not _has_columns(data) and hasattr(data, "to_numpy"):
        data, of_series = data.to_numpy(), getattr(data, "name", None)
    elif not _has_columns(data) and hasattr(data, "__arrow_c_stream__"):
        data = _through_arrow(data, argument)
    if _has_columns(data):
        labels = tuple(getattr(data, "column_names", None) or list(data.columns))
        names = _distinct([str(label) for label in labels], argument)
        # Arrow tables and data frames both give a column by its name
        columns = [_numbers(data[label].to_numpy(), f"{argument}[{label!r}]") for label in labels]
        values = np.column_stack(columns) if columns else np.zeros((0, 0))
        table = Table(values, names, argument, labels)
    else:
        values = _numbers(_array(data, argument), argument)
        values = values[:, None] if values.ndim == 1 else values
        names = tuple(str(column) for column in range(values.shape[-1]))
        # Polars calls a series without a name ""
        table = Table(values, (str(of_series),) if of_series not in (None, "") else names, argument)
    if table.values.ndim != 2 or 0 in table.values.shape:
        raise DataError(
            f"{argument} has shape {values.shape}. Give a table of rows and columns, with at least one of "
            "each."
        )
    return table


def _distinct(names: list[str], argument: str) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{argument} has more than one column named {', '.join(map(repr, twice))}. Rename or drop all "
            "but one, or give a NumPy array."
        )
    return tuple(names)


def _has_columns(data: Any) -> bool:
    arrow = hasattr(data, "column_names") and hasattr(data, "__getitem__")
    return arrow or (hasattr(data, "columns") and hasattr(data, "to_numpy"))


def _through_arrow(data: Any, argument: str) -> Any:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DependencyError(
            f"{argument} is a {type(data).__name__}, which is read through Arrow: install pyarrow, or give a "
            "NumPy array."
        ) from error
    return pyarrow.table(data)


def _array(data: Any, argument: str) -> np.ndarray:
    if isinstance(data, np.ma.MaskedArray):
        # a masked number is a missing one
        return np.ma.filled(data.astype(np.float64), np.nan)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"{argument} is no table: {error}. Give rows of equal length.") from error
    if array.ndim == 0:
        raise DataError(f"{argument} is {data!r}. Give a table of rows and columns.")
    return array


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind == "O":
        # what a frame of numbers and truth values becomes
        other = next((value for value in array.flat if not is_real(value)), array)
        if other is array:
            return array.astype(np.float64)
        raise DataError(
            f"{where} holds objects, such as {other!r}. Give real numbers: leave such a column out, encode "
            "it as numbers, or fill in what is missing."
        )
    if array.dtype.kind not in "fiub":
        sort = {"U": "text", "T": "text", "S": "bytes", "c": "complex numbers", "M": "dates"}
        raise DataError(
            f"{where} holds {sort.get(array.dtype.kind, f'values of type {array.dtype}')}. Give real "
            "numbers: leave such a column out, or encode it as numbers."
        )
    return array
