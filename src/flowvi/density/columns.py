"""What columns of a table have a density, and how those of discrete values can be given one."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.density.table import Table
from flowvi.errors import ArgumentError, DataError

_LOOKED_AT = 100_000
"""Rows in which equal values are counted."""
_COINCIDENCE = 0.02
"""Chance that two rows share their value, beyond which a column is discrete: 14 values per sd of a normal."""
_ATOM = 0.04
"""Share of rows with one and the same value, beyond which a column is discrete."""
_LEAST_ROWS_OF_ATOM = 10
"""In a small table a few equal numbers are rounding."""
_OFF_LATTICE = 0.02
"""Distance from the nearest lattice point, in lattice widths, that is still rounding."""


class Repeats(NamedTuple):
    """How the values of a column repeat.

    Attributes:
        distinct: the values, sorted.
        rows: number of rows looked at.
        coincidence: chance that two of the rows share their value.
        most_frequent: the value most rows have.
        share: of the rows that have it.
    """

    distinct: Float[np.ndarray, " values"]
    rows: int
    coincidence: float
    most_frequent: float
    share: float

    @property
    def discrete(self) -> bool:
        """Whether a flow could gain likelihood without bound by spikes on the values that repeat."""
        atom = self.share > _ATOM and self.share * self.rows >= _LEAST_ROWS_OF_ATOM
        return atom or self.coincidence > _COINCIDENCE


def check_finite(table: Table, *, may_be_constant: bool = False) -> None:
    """Check every number, in pieces.

    Raises:
        DataError: a value is NaN or infinite, or all of a column are equal and may not be.
    """
    low, high = np.full(table.columns, np.inf), np.full(table.columns, -np.inf)
    for start, values in table.chunks():
        bad = ~np.isfinite(values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{table.listed([column])} is {values[row, column]} in row {start + row}. Leave rows with "
                "missing or infinite values out, or fill them in."
            )
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    constant = np.flatnonzero(low == high)
    if len(constant) and not may_be_constant:
        raise DataError(
            f"{table.listed(constant)} has 1 distinct value, {low[constant[0]]:g}, in all {table.rows:,} "
            "rows. A constant has no density and tells nothing: leave the column out."
        )


_ROUNDING = 1e-6
"""Of angles in single precision, beyond pi."""


def check_angles(table: Table) -> None:
    """Check that every number is an angle of one turn, in radians.

    Raises:
        DataError: one lies outside [-pi, pi].
    """
    for start, values in table.chunks():
        bad = np.abs(values) > np.pi + _ROUNDING
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{table.listed([column])} is {values[row, column]:g} in row {start + row}, but the flow is "
                "of angles in radians, from -pi to pi. Convert degrees by numpy.deg2rad, bring angles to one "
                "turn by numpy.angle(numpy.exp(1j * x)), or choose a flow of real numbers."
            )


def repeats_of(table: Table) -> list[Repeats]:
    """How the values of each column repeat, by up to 100,000 rows."""
    numbers = np.arange(table.rows)
    if table.rows > _LOOKED_AT:
        numbers = np.sort(np.random.default_rng(0).choice(table.rows, _LOOKED_AT, replace=False))
    return [_repeats(column) for column in table.take(numbers).T]


def _repeats(column: Float[np.ndarray, " rows"]) -> Repeats:
    distinct, counts = np.unique(column, return_counts=True)
    n, most = len(column), int(np.argmax(counts))
    coincidence = float(np.sum(counts * (counts - 1.0)) / (n * (n - 1.0)))
    return Repeats(distinct, n, coincidence, float(distinct[most]), float(counts[most]) / n)


def noise_widths(table: Table, dequantise: Any) -> Float[np.ndarray, " columns"]:
    """Widths of the uniform noise that gives each column a density; zero where it has one.

    `dequantise` is True for all discrete columns, or names or numbers of those to spread: a data frame's own
    labels come first, and where some of them are whole numbers, numbers are labels alone.

    Raises:
        DataError: a discrete column is not to be spread, or its values lie on no lattice.
        ArgumentError: `dequantise` is of another type, or names a column that is not there.
    """
    repeats = repeats_of(table)
    chosen = _chosen(table, repeats, dequantise)
    for column, of_column in enumerate(repeats):
        if of_column.discrete and column not in chosen:
            lattice = _lattice(of_column).width is not None
            spread = "Give dequantise=True to spread every value over the gap to the next, give the"
            beyond = "Noise cannot mend that, since its values are not equally spaced: give the"
            raise DataError(
                f"{table.listed([column])} is discrete: it has {len(of_column.distinct):,} distinct values "
                f"in {of_column.rows:,} rows, {of_column.most_frequent:g} in {of_column.share:.0%} of them, "
                f"where a density grows without bound. {spread if lattice else beyond} column as condition=, "
                "or leave it out."
            )
    widths = np.zeros(table.columns)
    for column in chosen:
        widths[column] = _lattice_width(table, column, repeats[column])
    return widths


def _chosen(table: Table, repeats: list[Repeats], dequantise: Any) -> set[int]:
    if isinstance(dequantise, bool | np.bool):
        return {column for column, of_column in enumerate(repeats) if dequantise and of_column.discrete}
    named = [dequantise] if isinstance(dequantise, str | int | np.integer) else dequantise
    if not isinstance(named, Collection):
        raise ArgumentError(
            f"dequantise={dequantise!r} is of type {type(dequantise).__name__}. Give True, or names or "
            "numbers of columns."
        )
    # of what is said twice the last counts
    numbers: dict[Any, int] = (
        {} if any(map(_is_number, table.labels)) else {n: n for n in range(table.columns)}
    )
    numbers |= {name: number for number, name in enumerate(table.names)}
    numbers |= {label: number for number, label in enumerate(table.labels)}
    for name in named:
        if not isinstance(name, Hashable) or isinstance(name, bool | np.bool) or name not in numbers:
            raise ArgumentError(
                f"dequantise names column {name!r}, but the columns of x are {', '.join(table.names)}. Give "
                "their names, or, where these are no numbers, numbers counted from 0."
            )
    return {numbers[name] for name in named}


def _is_number(label: Any) -> bool:
    return isinstance(label, int | np.integer)


class _Lattice(NamedTuple):
    """Equally spaced points that hold the values of a column.

    Attributes:
        width: the distance of neighbours, or None where there is no such lattice.
        smallest: the smallest distance of two values.
    """

    width: float | None
    smallest: float


def _lattice(repeats: Repeats) -> _Lattice:
    values = repeats.distinct
    if len(values) < 2:
        return _Lattice(None, 0.0)
    span, smallest = values[-1] - values[0], np.diff(values).min()
    # many gaps measure the width more closely than one
    width = span / np.round(span / smallest)
    steps = (values - values[0]) / width
    on_it = np.abs(steps - np.round(steps)).max() <= _OFF_LATTICE
    return _Lattice(float(width) if on_it else None, float(smallest))


def _lattice_width(table: Table, column: int, repeats: Repeats) -> float:
    width, smallest = _lattice(repeats)
    if width is None:
        raise DataError(
            f"{table.listed([column])} cannot be dequantised: its {len(repeats.distinct):,} distinct values "
            f"are not equally spaced (the smallest gap is {smallest:g}, and not all others are multiples of "
            "it). Code its values as 0, 1, 2, ... first, give the column as condition=, or leave it out."
        )
    return width
