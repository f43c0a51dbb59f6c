"""Warnings that point to the user's own line."""

from __future__ import annotations

import sys
import warnings

_INSIDE = ("flowvi", "contextlib", "functools", "jaxtyping", "beartype", "equinox")


def warn(message: str) -> None:
    """Warn at the first line up the stack that is not the library's, below whatever decorates it."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
