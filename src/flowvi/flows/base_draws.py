"""Draws of base distributions on the host, where nothing has to be compiled for them."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Float

from flowvi.compiling import Compiled
from flowvi.flows.defensive_normal import DefensiveNormal, defensive_draws
from flowvi.flows.distribution import Distribution
from flowvi.flows.multivariate_t import MultivariateT
from flowvi.flows.normal import Normal
from flowvi.flows.wide_normal import WideNormal


def base_draws(base: Distribution, rng: np.random.Generator, n: int) -> Float[np.ndarray, "n dim"]:
    """n draws of a base distribution."""
    if isinstance(base, Normal):
        return rng.standard_normal((n, base.dim))
    if isinstance(base, WideNormal):
        return base.scale * rng.standard_normal((n, base.dim))
    if isinstance(base, DefensiveNormal):
        return defensive_draws(rng, n, base.dim)
    if isinstance(base, MultivariateT):
        df = float(base.df)
        return rng.standard_normal((n, base.dim)) / np.sqrt(rng.chisquare(df, (n, 1)) / df)
    return np.asarray(_base_draws(base, jax.random.key(int(rng.integers(2**63))), n))


@Compiled
def _base_draws(base: Distribution, key: Array, n: int) -> Array:
    return jax.vmap(base.sample)(jax.random.split(key, n))
