"""A model's arguments, split into arrays that are traced and values that are part of the program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from flowvi.errors import DataError, ModelError

R = TypeVar("R")

_NEEDS_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


class _Constant:
    """An array a model inspects while it is traced: compared by identity, since its values are part of the
    program.

    A NumPy array, since what JAX computes from one of its own is traced and has no value to inspect.
    """

    def __init__(self, value: Array) -> None:
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        self.value = value if is_key else np.asarray(value)


class Arguments(eqx.Module):
    """Positional and keyword arguments: arrays and floats as leaves to trace, everything else static.

    Attributes:
        arrays: per leaf of the arguments, the array, or None where the leaf is static.
        others: per leaf, the static value, or None where the leaf is an array.
        structure: the tree of the arguments.
    """

    arrays: tuple[Array | None, ...]
    others: tuple[Hashable, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)

    @staticmethod
    def split(args: tuple, kwargs: Mapping[str, Any]) -> Arguments:
        """Sort the leaves; call under x64, floats become float64.

        Raises:
            DataError: an array is not numeric.
        """
        leaves, structure = jax.tree.flatten((args, dict(kwargs)), is_leaf=lambda leaf: leaf is None)
        traced = [isinstance(leaf, float) or hasattr(leaf, "__array__") for leaf in leaves]
        arrays = tuple(_as_array(leaf) if t else None for leaf, t in zip(leaves, traced, strict=True))
        return Arguments(
            arrays, tuple(None if t else leaf for leaf, t in zip(leaves, traced, strict=True)), structure
        )

    def join(self) -> tuple[tuple, dict[str, Any]]:
        """The arguments as they were given."""
        leaves = [
            (other.value if isinstance(other, _Constant) else other) if array is None else array
            for array, other in zip(self.arrays, self.others, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def as_constants(self) -> Arguments:
        """The same with every array part of the program: new data then compile anew."""
        others = tuple(
            other if array is None else _Constant(array)
            for array, other in zip(self.arrays, self.others, strict=True)
        )
        return Arguments((None,) * len(others), others, self.structure)


def trace_with(given: Arguments, trace: Callable[[Arguments], R]) -> tuple[Arguments, R]:
    """The arguments that a model can be traced with, and what tracing gave: traced arrays, or constants
    where a model needs their values (`int(x.max())`, `np.unique(group)`)."""
    try:
        return given, trace(given)
    except _NEEDS_VALUES:
        given = given.as_constants()
        return given, trace(given)


def require_callable_with(function: Callable, args: tuple, kwargs: Mapping[str, Any], hint: str) -> None:
    """Raise where a model cannot be called with the arguments that it was given.

    Raises:
        ModelError: one is missing or is one too many; the message ends with the hint.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise ModelError(
            f"{name}{signature} cannot be called with what was given: {error}. {hint}"
        ) from error


def overlay(
    function: Callable, old: tuple[tuple, Mapping[str, Any]], new: tuple[tuple, Mapping[str, Any]]
) -> tuple[tuple, dict[str, Any]]:
    """The old arguments of a function with the new ones in their place, each given by position or by name.

    Raises:
        DataError: the function takes no such arguments.
    """
    signature = inspect.signature(function)
    bound = signature.bind_partial(*old[0], **old[1])
    try:
        arguments = signature.bind_partial(*new[0], **new[1]).arguments
    except TypeError as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise DataError(f"{name}{signature} cannot be called with these new data: {error}.") from error
    for name, value in arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            value = {**bound.arguments.get(name, {}), **value}
        bound.arguments[name] = value
    return bound.args, bound.kwargs


def _as_array(leaf: Any) -> Array:
    if jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key):
        return leaf
    array = np.asarray(leaf)
    if array.dtype.kind not in "biufc":
        raise DataError(
            f"An argument of the model is an array of type {array.dtype}, shape {array.shape}; arrays must "
            f"be numeric. "
            "Encode categories as integers."
        )
    return jnp.asarray(array, float if array.dtype.kind == "f" else None)
