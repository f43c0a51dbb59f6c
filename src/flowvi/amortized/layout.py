"""Data sets as networks take them: of one shape, standardised, padded where their sizes vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from flowvi.amortized.arguments import plain
from flowvi.amortized.statistics import Statistics
from flowvi.errors import ArgumentError, DataError

_CONSTANT = 1e-9
"""Spread, over the size of the values, below which numbers are the same but for rounding."""


class Batch(NamedTuple):
    """Data sets side by side.

    Attributes:
        values: float32 (n, *shape), standardised; zero where it is padding.
        mask: (n, length), whether there is an element; None where all data sets have one size.
    """

    values: Float[np.ndarray, "n ..."]
    mask: Bool[np.ndarray, "n length"] | None

    def rows(self, chosen: Any) -> Batch:
        """Some of them."""
        return Batch(self.values[chosen], None if self.mask is None else self.mask[chosen])


@dataclass(frozen=True)
class Layout:
    """What data sets look like, and what they are standardised by.

    Attributes:
        shape: of one data set, of the longest where the first axis varies.
        varies: whether the first axis may have any length.
        location, scale: of entries, with shape `shape` where every entry has its own, else of the last axis,
            or of all entries; or of the statistics.
        statistics: what makes a vector of a data set before it is standardised, if anything does.
    """

    shape: tuple[int, ...]
    varies: bool
    location: Float[np.ndarray, ...]
    scale: Float[np.ndarray, ...]
    statistics: Statistics | None = None

    def read(self, x: Any) -> tuple[Batch, bool]:
        """One data set or several, and whether it is one.

        Raises:
            DataError: x is of another shape, or has NaN or infinite values, or statistics that have.
        """
        x = plain(x)
        several = self._several(x)
        sets = list(x) if several else [x]
        if not sets:
            raise DataError("x holds no data set.")
        arrays = [self._checked(one, f"x[{i}]" if several else "x") for i, one in enumerate(sets)]
        return self.batch(arrays), not several

    def batch(self, arrays: Sequence[np.ndarray]) -> Batch:
        """Standardised, and padded to the next power of two beyond the longest where sizes vary, so that few
        programs serve all."""
        if self.statistics is not None:
            return Batch(
                self._standard(np.stack([self._vector(self.statistics, one) for one in arrays])), None
            )
        if not self.varies:
            return Batch(self._standard(np.stack(arrays)), None)
        longest = max(self.shape[0], *(len(one) for one in arrays))
        length = 1 << (longest - 1).bit_length()
        values = np.zeros((len(arrays), length, *self.shape[1:]), np.float32)
        mask = np.zeros((len(arrays), length), bool)
        for i, one in enumerate(arrays):
            values[i, : len(one)] = self._standard(one)
            mask[i, : len(one)] = True
        return Batch(values, mask)

    def _standard(self, values: np.ndarray) -> np.ndarray:
        return ((values - self.location) / self.scale).astype(np.float32)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether data sets may have this shape."""
        if len(shape) != len(self.shape):
            return False
        return shape[1:] == self.shape[1:] if self.varies else shape == self.shape

    def _vector(self, statistics: Statistics, x: np.ndarray) -> np.ndarray:
        try:
            values = statistics(x)
        except ArgumentError:
            raise
        except Exception as error:
            raise DataError(f"summary= failed for these data: {type(error).__name__}: {error}") from error
        if values.shape != self.location.shape or not np.isfinite(values).all():
            raise DataError(
                f"summary= gives {values} for these data; for simulated data it gave {len(self.location)} "
                "finite numbers."
            )
        return values

    def _several(self, x: Any) -> bool:
        """Whether x is a batch: it has one axis more than a data set has, or is a list of data sets."""
        try:
            if isinstance(x, list | tuple) and x and self.varies:
                return np.ndim(x[0]) == len(self.shape)
            return np.ndim(x) == len(self.shape) + 1
        except ValueError:
            # a ragged list is no data set: what is wrong with it shows one by one
            return True

    def _checked(self, x: Any, name: str) -> Float[np.ndarray, ...]:
        try:
            array = np.asarray(x, float)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} is not an array of numbers: {error}.") from error
        if not self.fits(array.shape) or not array.size:
            wanted = ("(any length", *map(str, self.shape[1:])) if self.varies else ()
            shape = ", ".join(wanted) + ")" if wanted else str(self.shape)
            raise DataError(
                f"{name} has shape {array.shape}, but the simulated data sets have {shape}: give one of that "
                "shape, or several with one axis more in front."
            )
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{name} is {array[where]} at {list(where)}; the simulated data are finite.")
        return array


def layout_of(
    x: Sequence[np.ndarray],
    sizes_vary: bool = False,
    *,
    one_scale: bool = False,
    statistics: Statistics | None = None,
) -> Layout:
    """The layout of simulated data sets: vectors are standardised entry by entry, all else by its last axis.

    Args:
        sizes_vary: whether the first axis may have any length, and its entries are alike.
        one_scale: whether matrices have no columns, as images of one channel, and one location and scale.
        statistics: of data sets, whose first axis may then have any length; they are standardised one by one.

    Raises:
        DataError: shapes differ where they may not, or all data sets are the same.
    """
    shapes = sorted({one.shape for one in x})
    if statistics is not None:
        sizes_vary = len(shapes) > 1
    if len({shape[1:] for shape in shapes}) > 1 or (len(shapes) > 1 and not sizes_vary):
        raise DataError(
            f"Simulated data sets have the shapes {shapes[0]} and {shapes[-1]}. Only with summary='set', "
            "'set_transformer' or 'series', or with a function, may the first axis vary in length."
        )
    if shapes[0] == () and sizes_vary:
        raise DataError("The simulated data are single numbers, of which there is no set or series.")
    if all(np.array_equal(one, x[0]) for one in x):
        raise DataError(
            "All simulated data sets are the same, so they say nothing about the parameters. Look at what "
            "the simulator returns."
        )
    if statistics is not None:
        whole, axes = np.stack([statistics(one) for one in x]), 0
    elif sizes_vary:
        whole, axes = np.concatenate(list(x)), 0
    else:
        whole = np.stack(x)
        columns = whole.ndim > 3 or not one_scale
        axes = 0 if whole.ndim <= 2 else tuple(range(whole.ndim - 1)) if columns else None
    location, scale = np.asarray(whole.mean(axis=axes)), np.asarray(whole.std(axis=axes))
    return Layout(shapes[-1], sizes_vary, location, _positive(location, scale), statistics)


def _positive(location: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The scale, with one for entries that never vary."""
    return np.where(scale > _CONSTANT * np.abs(location), scale, 1.0)
