"""A Stan program and its data, as the user gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np

from flowvi.errors import DataError, ModelError

_INT32 = np.iinfo(np.int32)


@final
class StanModel:
    """A Stan program with its data, for `flowvi.fit`.

    Nothing is compiled before the model is fitted.

    Attributes:
        name: file name of the program, or "program" for Stan code.
        code: the Stan code.
        folder: where `#include` looks, or None for Stan code.
        data: the variables of the data block as arrays; integers stay integers (int32), as Stan asks.

    Args:
        program: path of a `.stan` file, or Stan code as a string.
        data: a dict of numbers, lists and arrays, the path of a JSON file in Stan's format, or None.

    Raises:
        DataError: the data file is missing or is not JSON, or a value is not a regular array of numbers.
        ModelError: the program's file is missing.

    Example:
        >>> model = StanModel("parameters { real x; } model { x ~ normal(0, 1); }")
        >>> model.name
        'program'
    """

    def __init__(
        self, program: str | PathLike[str], data: Mapping[str, Any] | str | PathLike[str] | None = None
    ):
        self.name, self.code, self.folder = _read_program(program)
        self.data = _arrays(_read_data(data))

    def with_data(self, **changed: Any) -> StanModel:
        """The same program with some of its data replaced."""
        new = object.__new__(StanModel)
        new.name, new.code, new.folder = self.name, self.code, self.folder
        new.data = {**self.data, **_arrays(changed)}
        return new


def _read_program(program: str | PathLike[str]) -> tuple[str, str, Path | None]:
    if isinstance(program, str) and not program.strip().endswith(".stan"):
        return "program", program, None
    path = Path(program)
    try:
        return path.name, path.read_text(encoding="utf-8"), path.resolve().parent
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"Cannot read the Stan program {path}: {error}.") from error


def _read_data(data: Mapping[str, Any] | str | PathLike[str] | None) -> Mapping[str, Any]:
    if data is None:
        return {}
    if isinstance(data, Mapping):
        return data
    path = Path(data)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"Cannot read the data file {path}: {error}.") from error
    except ValueError as error:
        raise DataError(f"The data file {path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"The data file {path} must hold one JSON object, variable name to value.")
    return content


def _arrays(data: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Every variable as an array under the name Stan looks it up by; a tuple's parts are `"t.1"`, `"t.2"`."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            arrays |= _arrays(value, f"{prefix}{name}.")
        else:
            arrays[f"{prefix}{name}"] = _array(f"{prefix}{name}", value)
    return arrays


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind == "U":  # Stan's JSON writes "NaN" and "Inf" as strings
            array = array.astype(np.float64)
    except ValueError as error:
        raise DataError(
            f"The data `{name}` are not an array of numbers (lists of unequal lengths, or text): {error}."
        ) from error
    if array.dtype.kind == "c":
        array = np.stack([np.real(array), np.imag(array)], axis=-1)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"The data `{name}` are not numbers but {array.dtype}: give numbers, lists or arrays of them."
        )
    # an empty list has no type of its own; Stan takes integers for reals, not the other way round
    if array.dtype.kind == "f" and array.size:
        return array.astype(np.float64)
    if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
        raise DataError(
            f"The data `{name}` hold integers beyond 32 bits, which Stan has not: give them as floats."
        )
    return array.astype(np.int32)
