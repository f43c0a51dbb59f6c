"""Parameters and data drawn from a PyMC model, and the model given such data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flowvi.errors import CannotSimulateError, DataError
from flowvi.targets._pytensor import RandomType, pm, shared, with_values

Sampler = Callable[[int], list[np.ndarray]]


def prior_sampler(model: pm.Model, values: Mapping[Any, np.ndarray]) -> Sampler:
    """A function of a seed that draws the unobserved and the observed variables of the model together.

    Args:
        values: of the shared variables.

    Raises:
        CannotSimulateError: nothing is observed, or the density has parts that sampling passes over.
    """
    if not model.observed_RVs:
        raise CannotSimulateError(
            "The model has no observed variables, so it simulates no data: give one `observed=`."
        )
    if model.potentials:
        names = ", ".join(repr(potential.name) for potential in model.potentials)
        raise CannotSimulateError(
            f"The model cannot simulate from its own prior: the potentials {names} change the density but "
            "not what the model draws. Give `simulate=`, a function that draws parameters and data."
        )
    outputs = with_values([*model.unobserved_RVs, *model.observed_RVs], values)
    # PyTensor's default mode compiles C
    draw = pm.compile([], outputs, mode="FAST_COMPILE")
    generators = [variable for variable in draw.get_shared() if isinstance(variable.type, RandomType)]

    def sample(seed: int) -> list[np.ndarray]:
        streams = np.random.SeedSequence(seed).spawn(len(generators))
        for variable, stream in zip(generators, streams, strict=True):
            variable.set_value(np.random.Generator(np.random.PCG64(stream)))
        try:
            return [np.asarray(value) for value in draw()]
        except NotImplementedError as error:
            raise CannotSimulateError(
                f"A variable of the model cannot be drawn: {error}. Give it a `random=`, or give `simulate=`."
            ) from error

    return sample


def with_observed(model: pm.Model, values: Mapping[Any, np.ndarray], observed: Mapping[str, Any]) -> pm.Model:
    """A copy of the model with other observations.

    They are shared variables, which programs take as arguments: one program serves all of them.

    Args:
        values: of the shared variables, which the copy is to have.

    Raises:
        DataError: values have another type or number of axes than the model's.
    """
    new = {}
    for name, value in observed.items():
        variable, array = model[name], np.asarray(value)
        if array.ndim != variable.ndim or not np.can_cast(array.dtype, variable.dtype, "same_kind"):
            raise DataError(
                f"New values of {name} are {array.dtype} with {array.ndim} dimensions; the model has "
                f"{variable.dtype} with {variable.ndim}."
            )
        new[variable] = shared(array.astype(variable.dtype), shape=array.shape)
    copy: Any = pm.observe(model, new)
    for variable, value in values.items():
        if variable in model.data_vars:
            copy[variable.name].set_value(value)
        elif variable.name in model.dim_lengths:
            copy.dim_lengths[variable.name].set_value(value)
    return copy
