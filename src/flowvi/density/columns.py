"""What columns of a table have a density, and how those of discrete values can be given one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


def check_finite(table: Table) -> None:
    """Check every number, in pieces.

    Raises:
        DataError: a value is NaN or infinite, or all of a column are equal.
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
    if len(constant):
        raise DataError(
            f"{table.listed(constant)} has 1 distinct value, {low[constant[0]]:g}, in all {table.rows:,} "
            "rows. A constant has no density and tells nothing: leave the column out."
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


def noise_widths(table: Table, dequantise: bool | Sequence[str | int]) -> Float[np.ndarray, " columns"]:
    """Widths of the uniform noise that gives each column a density; zero where it has one.

    `dequantise` is True for all discrete columns, or names or numbers of those to spread.

    Raises:
        DataError: a discrete column is not to be spread, or its values lie on no lattice.
        ArgumentError: `dequantise` names a column that is not there.
    """
    repeats = repeats_of(table)
    chosen = _chosen(table, repeats, dequantise)
    for column, of_column in enumerate(repeats):
        if of_column.discrete and column not in chosen:
            raise DataError(
                f"{table.listed([column])} is discrete: it has {len(of_column.distinct):,} distinct values "
                f"in {of_column.rows:,} rows, {of_column.most_frequent:g} in {of_column.share:.0%} of them, "
                "where a density grows without bound. Give dequantise=True to spread every value over the "
                "gap to the next, give the column as condition=, or leave it out."
            )
    widths = np.zeros(table.columns)
    for column in chosen:
        widths[column] = _lattice_width(table, column, repeats[column])
    return widths


def _chosen(table: Table, repeats: list[Repeats], dequantise: bool | Sequence[str | int]) -> set[int]:
    if isinstance(dequantise, bool):
        return {column for column, of_column in enumerate(repeats) if dequantise and of_column.discrete}
    named = [dequantise] if isinstance(dequantise, str | int) else list(dequantise)
    numbers = {name: number for number, name in enumerate(table.names)}
    numbers |= {number: number for number in range(table.columns)}
    for name in named:
        if name not in numbers:
            raise ArgumentError(
                f"dequantise names column {name!r}, but the columns of x are {', '.join(table.names)}. Give "
                "names, or numbers counted from 0."
            )
    return {numbers[name] for name in named}


def _lattice_width(table: Table, column: int, repeats: Repeats) -> float:
    """The distance between neighbours of the lattice that the values lie on."""
    values = repeats.distinct
    span, smallest = values[-1] - values[0], np.diff(values).min()
    # many gaps measure the width more closely than one
    width = span / np.round(span / smallest)
    steps = (values - values[0]) / width
    if np.abs(steps - np.round(steps)).max() > _OFF_LATTICE:
        raise DataError(
            f"{table.listed([column])} cannot be dequantised: its {len(values):,} distinct values are not "
            f"equally spaced (the smallest gap is {smallest:g}, and not all others are multiples of it). "
            "Code its values as 0, 1, 2, ... first, give the column as condition=, or leave it out."
        )
    return float(width)
