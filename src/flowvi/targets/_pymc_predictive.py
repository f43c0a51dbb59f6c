"""Draws of the observed variables of a PyMC model, also for new data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowvi.errors import DataError
from flowvi.targets._pytensor import (
    RandomType,
    RandomVariable,
    clone_replace,
    evaluate,
    map_rows,
    pm,
    to_jax,
    toposort,
    with_values,
)

Values = Mapping[Any, np.ndarray]


def simulate(
    free: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    rows: Sequence[np.ndarray],
    observed: Sequence[Any],
    shared: Values,
    seed: int,
) -> list[np.ndarray]:
    """One draw of the observed variables per row of the free ones, each (n, *shape).

    What the random variables depend on is computed for all rows at once by JAX; only the draws themselves are
    made row by row, by PyTensor's NumPy generators, which know every distribution.
    """
    if not observed:
        return []
    dependent, random, frontier = set(free), set(), {}
    for node in toposort(observed, blockers=free):
        if any(v in random or isinstance(v.type, RandomType) for v in node.inputs):
            random.update(node.outputs)
            frontier.update((v, None) for v in node.inputs if v in dependent and v not in random)
        elif any(v in dependent for v in node.inputs):
            dependent.update(node.outputs)
    parameters = map_rows(to_jax(free, shapes, list(frontier), shared), rows) if frontier else []
    inputs = [v.type() for v in frontier]
    outputs = clone_replace(observed, dict(zip(frontier, inputs, strict=True)), rebuild_strict=False)
    outputs = with_values(outputs, shared)
    draw = pm.compile(inputs, outputs, random_seed=seed, mode="FAST_COMPILE", on_unused_input="ignore")
    columns = [p.astype(v.dtype) for p, v in zip(parameters, frontier, strict=True)]
    simulated = [draw(*(column[i] for column in columns)) for i in range(len(rows[0]))]
    return [np.stack(values) for values in zip(*simulated, strict=True)]


def new_data(model: pm.Model, shared: Values, new: Mapping[str, Any]) -> dict[Any, np.ndarray]:
    """Values of the shared variables, new data and lengths of dimensions included; the model is not touched.

    Raises:
        DataError: the model has no data of that name, or of another kind or number of dimensions.
    """
    values = dict(shared)
    known = {var.name: var for var in model.data_vars}
    for name, value in new.items():
        if name not in known:
            raise DataError(f"The model has no pm.Data named {name}, but: {', '.join(known) or 'none'}.")
        var, array = known[name], np.asarray(value)
        if array.ndim != var.ndim or not np.can_cast(array.dtype, var.dtype, "same_kind"):
            raise DataError(
                f"New values of {name} are {array.dtype} with {array.ndim} dimensions; "
                f"the model has {var.dtype} with {var.ndim}."
            )
        values[var] = array.astype(var.dtype)
        for dim, length in zip(model.named_vars_to_dims.get(name, ()), array.shape, strict=False):
            if model.dim_lengths.get(dim) in values:
                values[model.dim_lengths[dim]] = np.array(length)
    return values


def sized_by_parameters(rv: Any, shared: Values) -> Any:
    """An observed variable that takes its shape from its parameters alone, where these gave it before.

    PyMC fixes the shape to that of the old observations, which new predictors need not have.
    """
    op = rv.owner.op
    if not isinstance(op, RandomVariable):
        return rv
    rng, _, *parameters = rv.owner.inputs
    unsized: Any = op(*parameters, rng=rng, size=None)
    old, natural = evaluate([rv.shape, unsized.shape], shared)
    return unsized if np.array_equal(old, natural) else rv
