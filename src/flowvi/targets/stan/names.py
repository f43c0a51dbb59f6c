"""Stan's flat names, `"m.2.1"`, and the arrays they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.errors import DataError


class Variable(NamedTuple):
    """Where the entries of a variable lie among the flat values: `positions` has the variable's shape."""

    name: str
    positions: np.ndarray


def variables(flat_names: Sequence[str]) -> list[Variable]:
    """The variables behind flat names, in Stan's order.

    Parts of a tuple become variables of their own, `"t:1"` and `"t:2"`, as do `"z.real"` and `"z.imag"` of a
    complex number; indices of an array around them are kept. Variables of size zero have no flat names: they
    are left out.

    Example:
        >>> [(v.name, v.positions.tolist()) for v in variables(["mu", "m.1.1", "m.2.1", "m.1.2", "m.2.2"])]
        [('mu', 0), ('m', [[1, 3], [2, 4]])]
    """
    entries: dict[str, list[tuple[tuple[int, ...], int]]] = {}
    for position, flat in enumerate(flat_names):
        name, index = _split(flat)
        entries.setdefault(name, []).append((index, position))
    found = []
    for name, places in entries.items():
        positions = np.empty(tuple(np.max([index for index, _ in places], axis=0)), dtype=np.intp)
        for index, position in places:
            positions[tuple(i - 1 for i in index)] = position
        found.append(Variable(name, positions))
    return found


def label(flat: str) -> str:
    """A flat name as Stan code would write it: `"theta.3"` is `"theta[3]"`, counted from 1."""
    name, index = _split(flat)
    return f"{name}[{','.join(map(str, index))}]" if index else name


def flatten(parts: Sequence[Variable], values: Mapping[str, Any]) -> Float[np.ndarray, "*batch width"]:
    """Values of the variables as flat rows, with whatever leading axes they share.

    Raises:
        DataError: a variable is missing, or its shape is not the program's.
    """
    leading: tuple[int, ...] | None = None
    columns = {}
    for name, positions in parts:
        if name not in values:
            raise DataError(
                f"No value for parameter '{name}'; the Stan program's are {[v.name for v in parts]}."
            )
        value = np.asarray(values[name], dtype=np.float64)
        split = value.ndim - positions.ndim
        if split < 0 or value.shape[split:] != positions.shape or leading not in (None, value.shape[:split]):
            expected = (*(leading or ()), *positions.shape)
            raise DataError(f"Parameter '{name}' has shape {value.shape}; the Stan program's is {expected}.")
        leading = value.shape[:split]
        columns[name] = value
    flat = np.empty((*(leading or ()), sum(positions.size for _, positions in parts)))
    for name, positions in parts:
        flat[..., positions] = columns[name]
    return flat


def _split(flat: str) -> tuple[str, tuple[int, ...]]:
    """`"a.1:2.3"`, entry 3 of the second part of tuple 1 in an array, is `("a:2", (1, 3))`."""
    name, index = "", []
    for depth, part in enumerate(flat.split(":")):
        head, *rest = part.split(".")
        name += f":{head}" if depth else head
        for piece in rest:
            if piece.isdigit():
                index.append(int(piece))
            else:
                name += f".{piece}"
    return name, tuple(index)
