"""From whatever a user has to a target."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from flowvi.errors import ModelError
from flowvi.targets.base import Target

RESERVED = ("model", "seed", "flow", "budget", "draws", "progress", "example", "supports", "checkpoint")
"""Names of `flowvi.fit`'s own arguments, which a model's may not share."""


def target_of(
    model: Any,
    args: tuple,
    kwargs: Mapping[str, Any],
    example: Any = None,
    supports: Mapping[str, Any] | None = None,
    caller: str = "flowvi.fit",
    reserved: tuple[str, ...] = RESERVED,
) -> Target:
    """The target of a model in any of the forms `flowvi.fit` takes.

    Args:
        caller, reserved: the function that the model is given to, and the names of its own arguments.

    Raises:
        ModelError: the model is of no known form, or its arguments do not suit that form.
    """
    pymc = sys.modules.get("pymc")
    if isinstance(model, Target):
        _no_arguments("a flowvi.Target", args, kwargs)
        return model
    if pymc is not None and isinstance(model, pymc.Model):
        _no_arguments("a PyMC model", args, kwargs)
        return Target.from_pymc(model)
    if "flowvi.targets.stan" in sys.modules:
        from flowvi.targets.stan import StanModel

        if isinstance(model, StanModel):
            _no_arguments("a Stan model", args, kwargs)
            return Target.from_stan(model)
    if not callable(model):
        raise ModelError(
            f"A model of type {type(model).__name__} was given. Give a NumPyro model function, a "
            f"pymc.Model, a "
            "flowvi.StanModel, a flowvi.Target, or a JAX log density together with `example=`."
        )
    names = parameter_names(model)
    if example is not None:
        # the parameters, which are passed by position
        names = names[1:]
    clash = [name for name in names if name in reserved]
    if clash:
        raise ModelError(
            f"The model's argument {clash[0]!r} is also an argument of {caller}. Build the target first, "
            "with flowvi.Target.from_numpyro(model, *args, **kwargs) or flowvi.Target.from_log_density, and "
            "give that."
        )
    if example is not None:
        from flowvi.targets.jax import JaxTarget

        return JaxTarget.build(model, example, supports, args, kwargs)
    if supports is not None:
        raise ModelError("`supports=` goes with a JAX log density: give `example=` as well.")
    return Target.from_numpyro(model, *args, **kwargs)


def parameter_names(model: Any) -> list[str]:
    """Names of a function's arguments; none where that cannot be told."""
    try:
        return list(inspect.signature(model).parameters)
    except (TypeError, ValueError):
        return []


def _no_arguments(form: str, args: tuple, kwargs: Mapping[str, Any]) -> None:
    if args or kwargs:
        given = [f"{len(args)} positional"] * bool(args) + sorted(kwargs)
        raise ModelError(f"{form} takes no further arguments, but fit was given {', '.join(given)}.")
