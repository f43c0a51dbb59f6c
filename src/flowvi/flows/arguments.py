"""Arguments that the builders and `Flow` share."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.errors import FlowError
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
        FlowError: it is neither.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return jax.random.key(key)
    if not isinstance(key, jax.Array):
        raise FlowError(f"A key was needed but {key!r} was given. Give a seed such as 0, or a JAX key.")
    return key


def check_positive(**sizes: int | None) -> None:
    """Check that these named arguments are positive integers, or None.

    Raises:
        FlowError: one is not.
    """
    for name, size in sizes.items():
        is_integer = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if size is not None and not (is_integer and size > 0):
            raise FlowError(f"{name} must be a positive integer, not {size!r}.")
