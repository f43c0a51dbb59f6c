"""Double precision where it matters, whatever JAX's global flag says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
from jax.core import Tracer

from flowvi.errors import PrecisionError

P = ParamSpec("P")
R = TypeVar("R")


def is_traced(*trees: object) -> bool:
    """Whether any array in the trees belongs to a JAX trace (`jit`, `grad`, `vmap`)."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def double_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run an eager public function in float64 without changing JAX's flag for the caller.

    The context is local to the thread, so a function decorated with this may be called from any thread.

    Raises:
        PrecisionError: when called under a caller's own trace (`jit`, `grad`, `vmap`) with x64 off, where
            the precision can no longer be changed.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if not jax.enable_x64.value and is_traced(args, kwargs):
            raise PrecisionError(
                f"{function.__qualname__} was called inside jit, grad or vmap while JAX is in single "
                f"precision. "
                "Call it outside the transformation, or put your code under `with jax.enable_x64(True):`."
            )
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wrapper
