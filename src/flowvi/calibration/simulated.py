"""Simulated data sets: true parameters, and the posterior given data that were drawn with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flowvi.errors import ArgumentError, ModelError
from flowvi.targets.arguments import overlay
from flowvi.targets.base import Target
from flowvi.targets.of_model import RESERVED, target_of
from flowvi.targets.prior import require_proper_prior

Simulate = Callable[[np.random.Generator], tuple[Mapping[str, Any], Mapping[str, Any]]]
"""A user's function of a random generator that draws parameters from the prior, and data given these."""

DataSet = tuple[dict[str, np.ndarray], Target]

_CALLER = "flowvi.calibrate"
_RESERVED = (*RESERVED, "simulate", "simulations")


def data_sets(
    model: Any,
    args: tuple,
    kwargs: Mapping[str, Any],
    simulate: Simulate | None = None,
    example: Any = None,
    supports: Mapping[str, Any] | None = None,
) -> Callable[[int], DataSet]:
    """A function of a seed that draws parameters and data, from the model itself or by `simulate`.

    Raises:
        CannotSimulateError: the model cannot draw from its own prior, or that is improper.
        ModelError: the model is of no known form, or its arguments do not suit that form.
        ArgumentError: `simulate` is not a function, or does not return what it should.
        DataError: the model takes no data of the names that `simulate` gives.
    """
    if simulate is None:
        return target_of(model, args, kwargs, example, supports, _CALLER, _RESERVED).simulate
    if not callable(simulate):
        raise ArgumentError(f"simulate={simulate!r}: give a function of a NumPy random generator.")

    def draw(seed: int) -> DataSet:
        parameters, data = _require_pair(simulate(np.random.default_rng(seed)))
        target = given_data(data, model, args, kwargs, example, supports)
        require_proper_prior(target)
        return _flat(parameters), target

    return draw


def given_data(
    data: Mapping[str, Any],
    model: Any,
    args: tuple,
    kwargs: Mapping[str, Any],
    example: Any,
    supports: Mapping[str, Any] | None,
) -> Target:
    """The target of a model with these data, by the names that the model takes data under: arguments of a
    function, variables of Stan's data block, observed variables and `pm.Data` of PyMC."""
    if isinstance(model, Target):
        raise ModelError(
            "A flowvi.Target has its data already. Beside `simulate=`, give the model itself: a function "
            "with its arguments, a pymc.Model or a flowvi.StanModel."
        )
    pymc, stan = sys.modules.get("pymc"), sys.modules.get("flowvi.targets.stan")
    if pymc is not None and isinstance(model, pymc.Model):
        target: Any = target_of(model, args, kwargs)
        return target.with_data(data)
    if stan is not None and isinstance(model, stan.StanModel):
        model = model.with_data(**data)
    elif example is not None:
        # the parameters come first
        args, kwargs = overlay(model, ((None, *args), kwargs), ((), data))
        args = args[1:]
    elif callable(model):
        args, kwargs = overlay(model, (args, kwargs), ((), data))
    return target_of(model, args, kwargs, example, supports, _CALLER, _RESERVED)


def _require_pair(drawn: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if isinstance(drawn, tuple) and len(drawn) == 2 and all(isinstance(part, Mapping) for part in drawn):
        return drawn
    raise ArgumentError(
        f"`simulate` returned {type(drawn).__name__}; it has to return two dicts: the parameters, by their "
        "names in the posterior, and the data, by the names that the model takes them under."
    )


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """The values by name, those of nested dicts by their paths, as in a posterior's draws."""
    flat: dict[str, np.ndarray] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = np.asarray(value, np.float64)
    return flat
