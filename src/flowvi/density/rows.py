"""Rows of a table as training wants them: standardised, and with noise on columns of discrete values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowvi.density.table import Table
from flowvi.errors import DataError
from flowvi.flows.standardise import CONSTANT

LEAST_ROWS = 50
_SHARE = 0.1
"""Of the rows for validation, and again for the test."""
_FEWEST, _MOST = 10, 10_000
"""Rows in each of the two."""


class Split(NamedTuple):
    """Row numbers, sorted: to train on, to decide when to stop, and for the score that is reported."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def split(rows: int, rng: np.random.Generator) -> Split:
    """A random split; a tenth of the rows each for validation and test, but 10 at least and 10,000 at most.

    Raises:
        DataError: there are fewer than 50 rows.

    Example:
        >>> [len(part) for part in split(1000, np.random.default_rng(0))]
        [800, 100, 100]
    """
    if rows < LEAST_ROWS:
        raise DataError(
            f"x has {rows} row{'' if rows == 1 else 's'}. A density needs {LEAST_ROWS} at least: some are "
            "held out, to decide when to stop and for the score."
        )
    held = int(np.clip(_SHARE * rows, _FEWEST, _MOST))
    order = rng.permutation(rows)
    return Split(np.sort(order[2 * held :]), np.sort(order[held : 2 * held]), np.sort(order[:held]))


class Moments(NamedTuple):
    """Mean and standard deviation of the columns."""

    location: Float[np.ndarray, " columns"]
    scale: Float[np.ndarray, " columns"]


def moments(table: Table, chosen: Int[np.ndarray, " n"]) -> Moments:
    """Mean and standard deviation of the columns over chosen rows, which are read in pieces.

    Raises:
        DataError: a column is the same in all of them but for rounding, or its spread is beyond double
            precision.
    """
    location, scale = _moments(table, chosen)
    constant = np.flatnonzero(scale <= CONSTANT * np.abs(location))
    if len(constant):
        raise DataError(
            f"{table.listed(constant)} has a standard deviation of {scale[constant[0]]:g} around "
            f"{location[constant[0]]:g} over the training rows, by which it cannot be standardised: most "
            "values are equal but for rounding. Leave the column out, or rescale it."
        )
    return Moments(location, scale)


def moments_of_condition(table: Table, chosen: Int[np.ndarray, " n"]) -> Moments:
    """The same of a condition, where a column that does not vary over these rows keeps its scale.

    A class that only few rows have may be in none of them; it needs no density.

    Raises:
        DataError: the spread of a column is beyond double precision.
    """
    location, scale = _moments(table, chosen)
    return Moments(location, np.where(scale <= CONSTANT * np.abs(location), 1.0, scale))


def _moments(table: Table, chosen: Int[np.ndarray, " n"]) -> Moments:
    within = np.zeros(table.rows, bool)
    within[chosen] = True
    count, mean, squares = 0, np.zeros(table.columns), np.zeros(table.columns)
    with np.errstate(over="ignore", invalid="ignore"):
        for start, values in table.chunks():
            values = values[within[start : start + len(values)]]
            if not len(values):
                continue
            # pieces are joined by their own means: sums of squares lose digits far from zero
            own = values.mean(axis=0)
            total, step = count + len(values), own - mean
            squares += ((values - own) ** 2).sum(axis=0) + step**2 * (count * len(values) / total)
            mean, count = mean + step * (len(values) / total), total
        scale = np.sqrt(squares / count)
    bad = np.flatnonzero(~np.isfinite(scale))
    if len(bad):
        raise DataError(
            f"{table.listed(bad)} has a standard deviation of {scale[bad[0]]:g} over the training rows: its "
            "values are out of range. Rescale the column, or leave it out."
        )
    return Moments(mean, scale)


class Rows(NamedTuple):
    """Rows of x and of the condition on the scale on which the flow is trained.

    Attributes:
        x: the table.
        widths: of the uniform noise on its columns.
        moments: what its columns are standardised by.
        condition: its table and moments, or None.
    """

    x: Table
    widths: Float[np.ndarray, " columns"]
    moments: Moments
    condition: tuple[Table, Moments] | None

    def take(
        self, numbers: Int[np.ndarray, " n"], rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "n columns"], Float[np.ndarray, "n condition"] | None]:
        """The rows of these numbers, with new noise."""
        # a memory-mapped table is read front to back
        numbers, back = np.unique(numbers, return_inverse=True)
        values = self.x.take(numbers)[back]
        if self.widths.any():
            values = values + self.widths * rng.uniform(-0.5, 0.5, values.shape)
        x = (values - self.moments.location) / self.moments.scale
        if self.condition is None:
            return x, None
        table, of_condition = self.condition
        return x, (table.take(numbers)[back] - of_condition.location) / of_condition.scale
