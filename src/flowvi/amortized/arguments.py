"""Whole numbers, and tables as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowvi.errors import ArgumentError


def whole(name: str, value: Any, least: int) -> int:
    """The value, if it is a whole number that is large enough.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name}={value!r}: give a whole number, {least} or more.")
    return int(value)


def plain(x: Any) -> Any:
    """A table as its values by row, since one of pandas is iterated by column; all else as it is."""
    return x.to_numpy() if hasattr(x, "to_numpy") else x
