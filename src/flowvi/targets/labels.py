"""Labels for the entries of an array parameter."""

from __future__ import annotations

import numpy as np


def labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """One label per entry in C order: `"tau"` for a scalar, `"theta[0,1]"` otherwise.

    Example:
        >>> labels("theta", (2,))
        ['theta[0]', 'theta[1]']
    """
    if shape == ():
        return [name]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(shape)]
