"""Arguments that the builders and `Flow` share."""

import functools
import math
import numbers
import operator
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.errors import ArgumentError, FlowError
from flowvi.precision import is_traced

P = ParamSpec("P")
R = TypeVar("R")


def under_trace(*trees: object) -> bool:
    """Whether results will belong to a JAX trace: an argument does, or a caller is being traced."""
    return is_traced(trees, jnp.zeros(()))


def compile_quickly(*, static: tuple[str, ...]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`jax.jit` for random numbers, which otherwise take longer to optimise than they will ever run."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        compiled = jax.jit(
            function, static_argnames=static, compiler_options={"xla_backend_optimization_level": 1}
        )

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            # a caller's own trace has its own compiler options
            return (function if under_trace(args, kwargs) else compiled)(*args, **kwargs)

        return wrapper

    return decorate


def as_key(key: PRNGKeyArray | int) -> PRNGKeyArray:
    """A JAX key from a key or a seed.

    Raises:
        FlowError: it is neither, or a seed beyond 64 bits.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if not -(2**63) <= key < 2**63:
            raise FlowError(f"The seed {key} is too large: give a whole number from 0 to 2**63 - 1.")
        return jax.random.key(int(key))
    if not isinstance(key, jax.Array):
        raise FlowError(f"A key was needed but {key!r} was given. Give a seed such as 0, or a JAX key.")
    return key


def as_draws_shape(shape: Any) -> tuple[int, ...]:
    """The leading axes of draws, from a tuple or from their number.

    Raises:
        FlowError: it is not sizes of zero or more.

    Example:
        >>> as_draws_shape(5), as_draws_shape((np.int64(5), 2)), as_draws_shape(())
        ((5,), (5, 2), ())
    """
    try:
        sizes = tuple(shape)
    except TypeError:
        sizes = (shape,)
    try:
        sizes = tuple(operator.index(size) for size in sizes)
    except TypeError as error:
        raise FlowError(f"shape={shape!r}: give a tuple of whole numbers, such as (1000,).") from error
    if any(size < 0 for size in sizes):
        raise FlowError(f"shape={shape!r}: a size is negative. Give zero or more.")
    return sizes


def as_floats(name: str, values: Any, traced: bool) -> Float[Array | np.ndarray, "..."]:
    """Real numbers in double precision: a NumPy array, or under a trace a JAX array.

    Raises:
        FlowError: they are text, complex, or rows of several lengths.
    """
    try:
        array = jnp.asarray(values) if traced else np.asarray(values)
    except (TypeError, ValueError) as error:
        raise FlowError(f"{name} is no array of numbers: {error}.") from error
    if array.dtype.kind in "USTcmM" or (array.dtype.kind == "O" and not all(map(is_real, np.ravel(array)))):
        raise FlowError(
            f"{name} holds values of type {array.dtype}, in an array of shape {array.shape}. Give real "
            "numbers."
        )
    return jnp.asarray(array, float) if traced else np.asarray(array, np.float64)


def is_real(value: Any) -> bool:
    """Whether this is one real number: text is none, though it can be read as one.

    Example:
        >>> is_real(np.float32(1.0)), is_real("1.0"), is_real(None)
        (True, False, False)
    """
    return isinstance(value, numbers.Real | np.bool)


_OPTIONAL = "condition_dim", "rank"
"""Sizes that may be None: there is none, or as many as usual."""


def check_positive(**sizes: int | None) -> None:
    """Check that these named arguments are positive integers; `condition_dim` and `rank` may be None.

    Raises:
        FlowError: one is not.
    """
    for name, size in sizes.items():
        positive = isinstance(size, int | np.integer) and not isinstance(size, bool) and size > 0
        if not positive and not (size is None and name in _OPTIONAL):
            raise FlowError(f"{name} must be a positive integer, not {size!r}.")


def positive_number(name: str, value: Any) -> float:
    """The value, if it is a positive finite number of any type.

    Raises:
        ArgumentError: it is not.

    Example:
        >>> positive_number("step_size", np.float32(0.5))
        0.5
    """
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not 0 < number < math.inf:
        raise ArgumentError(f"{name}={value!r}: give a positive number.")
    return number


def seed_of(value: Any) -> int:
    """The value, if it is a seed.

    Raises:
        ArgumentError: it is not a whole number from 0 to 2**63 - 1.

    Example:
        >>> seed_of(np.int64(3))
        3
    """
    seed = int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else -1
    # JAX takes no larger seeds
    if not 0 <= seed < 2**63:
        raise ArgumentError(f"seed={value!r}: give a whole number from 0 to 2**63 - 1.")
    return seed


def number_of_draws(value: Any) -> int:
    """The value, if so many draws can be asked for.

    Raises:
        ArgumentError: it is not a whole number, zero or more.

    Example:
        >>> number_of_draws(5)
        5
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ArgumentError(f"n={value!r}: ask for a whole number of draws, zero or more.")
    return int(value)
