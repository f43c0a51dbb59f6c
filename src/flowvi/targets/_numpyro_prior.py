"""Parameters and data drawn from a NumPyro model, and the model given such data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from numpyro import handlers
from numpyro.distributions import Unit

from flowvi.errors import CannotSimulateError
from flowvi.targets.arguments import Arguments


class Unobserved(handlers.uncondition):
    """Observed sites are drawn instead, in the shape of their observations.

    Where a distribution has a smaller shape than what it is given as `obs=`, which NumPyro lets it have, its
    density counts every observation, but a plain draw is one for all of them.
    """

    def process_message(self, msg: Any) -> None:
        """See `numpyro.handlers.Messenger`."""
        if msg["type"] == "sample" and msg["is_observed"]:
            fn, shape = msg["fn"], jnp.shape(msg["value"])
            batch = shape[: len(shape) - fn.event_dim]
            # what is observed may be old, and of another length than what is to be drawn
            if batch != fn.batch_shape and _broadcast(batch, fn.batch_shape) == batch:
                msg["fn"] = fn.expand(batch)
        super().process_message(msg)


@dataclass(frozen=True)
class Replica:
    """A model with other values at its observed sites; whatever else its arguments are used for stays.

    Replicas of one model and its arguments are equal, so that a program compiled for one serves them all.

    Attributes:
        fixed: the model's arguments, without those that are traced.
    """

    model: Callable
    fixed: Arguments

    def __call__(self, observed: dict[str, Any], traced: tuple[Array | None, ...]) -> Any:
        args, kwargs = dataclasses.replace(self.fixed, arrays=traced).join()
        return handlers.condition(Unobserved(self.model), observed)(*args, **kwargs)


def replica(model: Callable, given: Arguments, observed: dict[str, Array]) -> tuple[Replica, Arguments]:
    """The replica and the arguments to call it with."""
    fixed = dataclasses.replace(given, arrays=(None,) * len(given.arrays))
    return Replica(model, fixed), Arguments.split((observed, given.arrays), {})


@eqx.filter_jit
def draw_prior(
    model: Callable, given: Arguments, key: PRNGKeyArray
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Latent and deterministic sites drawn from the model, and its observed sites drawn given these.

    Raises:
        CannotSimulateError: nothing is observed, or the density has parts that sampling passes over.
    """
    args, kwargs = given.join()
    sites = handlers.trace(handlers.seed(Unobserved(model), key)).get_trace(*args, **kwargs)
    parameters, observed = {}, {}
    for name, site in sites.items():
        if site["type"] == "deterministic":
            parameters[name] = site["value"]
        elif site["type"] == "sample":
            _require_that_sampling_is_all(name, site)
            group = observed if "was_observed" in site["infer"] else parameters
            group[name] = site["value"]
    if not observed:
        raise CannotSimulateError(
            "The model has no observed sites, so it simulates no data. Call it with data for its `obs=`; "
            "their values are not used."
        )
    return parameters, observed


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return jnp.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _require_that_sampling_is_all(name: str, site: dict[str, Any]) -> None:
    """Raise where a site's density is not that of the draw at it."""
    base = site["fn"]
    while hasattr(base, "base_dist"):
        base = base.base_dist
    if isinstance(base, Unit):
        why = "is a `numpyro.factor`, which changes the density but not what the model draws"
    elif site["scale"] is not None:
        why = "is under `handlers.scale`, which changes the density but not what the model draws"
    elif "was_observed" in site["infer"] and site.get("_control_flow_done"):
        # it would be drawn after the loop, given the old data of the steps before
        why = "is observed within a `scan`, whose steps NumPyro does not draw anew"
    elif "was_observed" in site["infer"] and jnp.shape(site["infer"]["obs"]) != jnp.shape(site["value"]):
        shapes = f"{jnp.shape(site['infer']['obs'])} and is drawn in the shape {jnp.shape(site['value'])}"
        why = f"is observed in the shape {shapes}"
    else:
        return
    raise CannotSimulateError(
        f"The model cannot simulate from its own prior: '{name}' {why}. Give `simulate=`, a function that "
        "draws parameters and data."
    )
