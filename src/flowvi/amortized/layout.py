"""Data sets as networks take them: of one shape, standardised, padded where their sizes vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from flowvi.errors import DataError

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
        location, scale: of entries, with shape `shape` where every entry has its own, else of the last axis.
    """

    shape: tuple[int, ...]
    varies: bool
    location: Float[np.ndarray, ...]
    scale: Float[np.ndarray, ...]

    def read(self, x: Any) -> tuple[Batch, bool]:
        """One data set or several, and whether it is one.

        Raises:
            DataError: x is of another shape, or has NaN or infinite values.
        """
        several = self._several(x)
        sets = list(x) if several else [x]
        if not sets:
            raise DataError("x holds no data set.")
        arrays = [self._checked(one, f"x[{i}]" if several else "x") for i, one in enumerate(sets)]
        return self.batch(arrays), not several

    def batch(self, arrays: Sequence[np.ndarray]) -> Batch:
        """Standardised, and padded to the next power of two beyond the longest where sizes vary, so that few
        programs serve all."""
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

    def _several(self, x: Any) -> bool:
        """Whether x is a batch: it has one axis more than a data set has, or is a list of data sets."""
        if isinstance(x, list | tuple) and x and self.varies:
            return np.ndim(x[0]) == len(self.shape)
        return np.ndim(x) == len(self.shape) + 1

    def _checked(self, x: Any, name: str) -> Float[np.ndarray, ...]:
        try:
            array = np.asarray(x, float)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} is not an array of numbers: {error}.") from error
        fits = array.shape[1:] == self.shape[1:] if self.varies else array.shape == self.shape
        if not fits or array.ndim != len(self.shape) or not array.size:
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


def layout_of(x: Sequence[np.ndarray], sizes_vary: bool) -> Layout:
    """The layout of simulated data sets: vectors are standardised entry by entry, all else by its last axis.

    Args:
        sizes_vary: whether the first axis may have any length, and its entries are alike.

    Raises:
        DataError: shapes differ where they may not, or all data sets are the same.
    """
    shapes = sorted({one.shape for one in x})
    if len({shape[1:] for shape in shapes}) > 1 or (len(shapes) > 1 and not sizes_vary):
        raise DataError(
            f"Simulated data sets have the shapes {shapes[0]} and {shapes[-1]}. Only with summary='set', "
            "'set_transformer' or 'series' may the first axis vary in length."
        )
    if shapes[0] == () and sizes_vary:
        raise DataError("The simulated data are single numbers, of which there is no set or series.")
    if all(np.array_equal(one, x[0]) for one in x):
        raise DataError(
            "All simulated data sets are the same, so they say nothing about the parameters. Look at what "
            "the simulator returns."
        )
    if not sizes_vary:
        whole = np.stack(x)
        axes: Any = 0 if whole.ndim <= 2 else tuple(range(whole.ndim - 1))
        location, scale = np.asarray(whole.mean(axis=axes)), np.asarray(whole.std(axis=axes))
        return Layout(shapes[0], False, location, _positive(location, scale))
    elements = np.concatenate(list(x))
    location, scale = np.asarray(elements.mean(axis=0)), np.asarray(elements.std(axis=0))
    return Layout(max(shapes), True, location, _positive(location, scale))


def _positive(location: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The scale, with one for entries that never vary."""
    return np.where(scale > _CONSTANT * np.abs(location), scale, 1.0)
