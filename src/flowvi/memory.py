"""A batched map in chunks that fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun
from jaxtyping import Array, PyTree

LIMIT = 2**30
"""Bytes that the intermediate arrays of one chunk may take, were none of them freed or fused."""

_MOST_POINTS = 2**13


def batch_map(function: Callable[[Any], PyTree], x: PyTree[Array]) -> PyTree:
    """`jax.vmap(function)(x)`, in chunks where all points at once would take more than a gigabyte.

    `x` is an array or a tree of arrays of the same length.

    The size of a chunk is read off the function's own intermediate arrays, so a model of a few rows is one
    batch and one of a million rows a few points at a time.
    """
    point = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), x)
    program, out = jax.make_jaxpr(function, return_shape=True)(point)
    structure = jax.tree.structure(out)

    def traced(one: PyTree[Array]) -> PyTree:
        return jax.tree.unflatten(structure, jaxpr_as_fun(program)(*jax.tree.leaves(one)))

    # larger batches of small dimension come out wrong on some versions of jaxlib (jax issue 39103)
    chunk = min(max(1, LIMIT // max(1, _bytes(program))), _MOST_POINTS)
    if chunk >= len(jax.tree.leaves(x)[0]):
        return jax.vmap(traced)(x)
    return jax.lax.map(traced, x, batch_size=int(chunk))


def _bytes(jaxpr: ClosedJaxpr | Jaxpr) -> int:
    """Bytes of every array computed once through the program; a loop's body counts with its stacked
    outputs."""
    inner = jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
    total = 0
    for equation in inner.eqns:
        total += sum(_size(v.aval) for v in equation.outvars)
        for value in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr):
            if _is_jaxpr(value):
                total += _bytes(value)
    return total


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)


def _size(aval: Any) -> int:
    return prod(aval.shape) * aval.dtype.itemsize if hasattr(aval, "dtype") else 0
