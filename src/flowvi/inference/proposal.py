"""Drawing from q on the host."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.flows import Distribution, Flow, Normal
from flowvi.flows.flow import forward_and_log_prob
from flowvi.inference.density import VALUES
from flowvi.inference.gaussian import Gaussian

Propose = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
"""(rng, n) -> n draws of q (n, dim), and their log density under q (n,)."""


def propose_from_gaussian(q: Gaussian) -> Propose:
    """Draws of a Gaussian by NumPy alone: nothing is compiled."""
    return lambda rng, n: q.push(rng.standard_normal((n, len(q.location))))


def propose_from_flow(flow: Flow) -> Propose:
    """Draws of a flow, by one compiled function of one shape whatever n is."""

    def propose(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        base = base_draws(flow.base, rng, (-(-n // VALUES), VALUES))
        parts = [_push(flow, part) for part in base]
        z, log_q = (np.concatenate([np.asarray(p) for p in column]) for column in zip(*parts, strict=True))
        return z[:n], log_q[:n]

    return propose


def base_draws(
    base: Distribution, rng: np.random.Generator, shape: tuple[int, ...]
) -> Float[np.ndarray, "*shape dim"]:
    """Draws of a base distribution, from NumPy where it is normal: JAX's generator takes seconds to compile."""
    if isinstance(base, Normal):
        return rng.standard_normal((*shape, base.dim))
    seed = int(rng.integers(2**63))
    return np.asarray(_base_draws(base, jax.random.key(seed), shape))


@eqx.filter_jit
def _base_draws(base: Distribution, key: Array, shape: tuple[int, ...]) -> Array:
    keys = jax.random.split(key, shape).ravel()
    return jax.vmap(base.sample)(keys).reshape(*shape, base.dim)


@eqx.filter_jit
def _push(flow: Flow, base: Array) -> tuple[Array, Array]:
    return jax.vmap(lambda one: forward_and_log_prob(flow, one))(jnp.asarray(base))
