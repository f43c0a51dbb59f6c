"""Arguments that the objectives share."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.leaf import leaf
from flowvi.errors import ArgumentError, DataError
from flowvi.precision import double_precision


def check_count(name: str, value: Any) -> int:
    """The value, if it is a positive integer.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ArgumentError(f"{name}={value!r}: give a positive integer.")
    return int(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """The value, if it is one of the choices.

    Raises:
        ArgumentError: it is not.
    """
    if value not in choices:
        raise ArgumentError(f"{name}={value!r}: choose one of {', '.join(map(repr, choices))}.")
    return value


def as_condition(condition: Any) -> Float[Array, ...] | None:
    """One condition or a row for each, in double precision.

    Raises:
        DataError: it is neither, or not finite.
    """
    if condition is None:
        return None
    values = as_numbers("condition", condition)
    if values.ndim not in (1, 2):
        raise DataError(
            f"condition has shape {values.shape}: give (condition_dim,) or one row for each, "
            "(n, condition_dim)."
        )
    return in_double_precision(values)


def as_numbers(name: str, values: Any) -> np.ndarray:
    """Finite numbers in double precision, at least one.

    Raises:
        DataError: they are not.
    """
    try:
        numbers_ = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array of numbers: {error}.") from error
    bad = np.argwhere(~np.isfinite(numbers_))
    if len(bad):
        where = tuple(bad[0].tolist())
        raise DataError(
            f"{name} has {len(bad)} values that are not finite, the first at {where}. Leave them out."
        )
    if numbers_.size == 0:
        raise DataError(f"{name} has shape {numbers_.shape}: there is nothing in it.")
    return numbers_


@double_precision
def in_double_precision(values: np.ndarray) -> Array:
    """A JAX array of these values, whatever JAX's flag says."""
    return leaf(values)
