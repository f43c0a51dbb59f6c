"""Data sets that show what depends on the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST = 3


def contrasts(x: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A few data sets that differ from the first: together in every entry that varies, as far as few can.

    Where sizes vary, one of another size is among them.

    Example:
        >>> [one.tolist() for one in contrasts([np.zeros(3), np.zeros(3), np.array([0.0, 1.0, 1.0])])]
        [[0.0, 1.0, 1.0]]
    """
    alike = [one for one in x if one.shape == x[0].shape]
    chosen = [one for one in x if one.shape != x[0].shape][:1]
    differs = (np.stack(alike) != alike[0]).reshape(len(alike), -1)
    missing = differs.any(axis=0)
    while missing.any() and len(chosen) < _MOST:
        best = int((differs & missing).sum(axis=1).argmax())
        chosen.append(alike[best])
        missing &= ~differs[best]
    return chosen
