"""Discrete latent sites of NumPyro models that are marked to be summed out, which NumPyro does by funsor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro import handlers
from numpyro.infer.util import constrain_fn, potential_energy

from flowvi.errors import DependencyError


def is_enumerated(site: Mapping[str, Any]) -> bool:
    """Whether a discrete site is marked, by hand or by `config_enumerate`, and has finitely many values."""
    return site["infer"].get("enumerate") == "parallel" and site["fn"].has_enumerate_support


def first_free_dim(sites: Mapping[str, Any]) -> int:
    """The axis to the left of all plates, the first that enumeration may use."""
    dims = [frame.dim for site in sites.values() for frame in site.get("cond_indep_stack", ())]
    dims = [dim for dim in dims if dim is not None]
    return min(dims, default=0) - 1


def summed_log_density(
    model: Callable, first_dim: int, args: tuple, kwargs: Mapping[str, Any], z: dict[str, Array]
) -> Float[Array, ""]:
    """The log density at unconstrained values with the marked sites summed out."""
    enumerated = _funsor().enum(handlers.seed(model, rng_seed=0), first_dim)
    return jnp.negative(potential_energy(enumerated, args, kwargs, z, enum=True))


def with_discrete(
    model: Callable,
    first_dim: int,
    names: tuple[str, ...],
    z: dict[str, Array],
    key: PRNGKeyArray,
    args: tuple,
    kwargs: Mapping[str, Any],
) -> dict[str, Array]:
    """Latent and deterministic sites at unconstrained values, the discrete ones drawn given those and the
    data."""
    values = constrain_fn(handlers.seed(model, rng_seed=0), args, kwargs, z)
    given = handlers.substitute(model, data=values)
    drawn = _funsor().infer_discrete(given, first_available_dim=first_dim, rng_key=key)
    sites = handlers.trace(handlers.seed(drawn, rng_seed=0)).get_trace(*args, **kwargs)
    return values | {
        name: site["value"]
        for name, site in sites.items()
        if name in names or site["type"] == "deterministic"
    }


def _funsor() -> Any:
    try:
        from numpyro.contrib import funsor
    except ImportError as error:
        raise DependencyError(
            "Enumerated discrete sites need funsor: pip install 'flowvi[numpyro]'."
        ) from error
    return funsor
