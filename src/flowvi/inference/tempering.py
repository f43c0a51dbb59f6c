"""Places that starts did not find: particles that follow the target as it grows out of a broad Gaussian."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.compiling import Compiled
from flowvi.inference.density import Density, scalar_log_density
from flowvi.inference.gaussian import Gaussian
from flowvi.targets.base import Target

PARTICLES = 512
_MOST_TEMPERATURES = 40
_LEAST_ESS = 0.5
"""ESS per particle that one step to a colder target leaves."""

_MOVES, _STEPS = 3, 8
"""HMC moves at every temperature, and leapfrog steps of each."""

_ACCEPTANCE = 0.7


def tempered_particles(
    density: Density, broad: Gaussian, rng: np.random.Generator
) -> Float[np.ndarray, "particles dim"]:
    """Particles of the target, by sequential Monte Carlo along

        p_t = N(broad)^(1 - t) p^t,    t from 0 to 1 in steps that keep the weights even

    Fewer temperatures than it takes (the budget, or `_MOST_TEMPERATURES`) leave particles of a flatter
    target, which still lie where the starts have not been.

    Source: Rezende & Mohamed 2015, equation 20; Del Moral, Doucet & Jasra 2006; blackjax's tempered SMC.
    """
    from blackjax.smc.tempered import TemperedSMCState

    dim = len(broad.location)
    particles = rng.standard_normal((PARTICLES, dim))
    even = np.full(PARTICLES, 1 / PARTICLES)
    state = TemperedSMCState(particles, even, np.zeros(()))  # pyright: ignore[reportArgumentType]
    step = 0.5 * dim**-0.25
    for _ in range(_MOST_TEMPERATURES):
        before = float(state.tempering_param)
        base = np.asarray(state.particles)
        log_ratio = density.value(broad.push(base)[0]) + 0.5 * (base**2).sum(axis=1)
        temperature = _next(before, np.where(np.isnan(log_ratio), -np.inf, log_ratio), state.weights)
        scale = np.maximum(np.cov(base.T).reshape(dim, dim).diagonal(), 1e-12)
        key = jax.random.key(int(rng.integers(2**63)))
        arguments = broad, state, key, np.asarray(temperature), np.asarray(step), scale
        state, acceptance = density.journal.call(_move, density.target, *arguments, like=(state, 0))
        density.ledger.spend(PARTICLES * (_MOVES * _STEPS + 1))
        step *= np.exp(float(np.nan_to_num(acceptance)) - _ACCEPTANCE)
        if temperature == 1 or density.ledger.exhausted():
            break
    weights = np.nan_to_num(np.asarray(state.weights))
    chosen = rng.choice(PARTICLES, PARTICLES, p=weights / weights.sum())
    return broad.push(np.asarray(state.particles)[chosen])[0]


def _next(before: float, log_ratio: Float[np.ndarray, " particles"], weights: Array) -> float:
    """The coldest temperature that leaves the effective particles wanted."""
    # a fifth of a second to import, which only tempering should cost
    from scipy.optimize import brentq

    def ess(temperature: float) -> float:
        # zero times an infinite log ratio would be NaN
        rise = np.where(np.isneginf(log_ratio), -np.inf, (temperature - before) * log_ratio)
        if np.isneginf(rise).all():
            return -_LEAST_ESS
        w = np.exp(rise - rise.max())
        # the weights so far are what particles are resampled by, so they count once
        resampled = np.asarray(weights)
        return (resampled @ w) ** 2 / (resampled @ w**2) - _LEAST_ESS

    if ess(1.0) > 0 or ess(before) <= 0:
        return 1.0 if ess(1.0) > 0 else before + 1e-3 * (1 - before)
    return float(brentq(ess, before, 1.0, xtol=1e-12))  # pyright: ignore[reportArgumentType]


@Compiled
def _move(
    target: Target, broad: Gaussian, state: tuple, key: Array, temperature: Array, step: Array, scale: Array
) -> tuple[tuple, Array]:
    """Resample, move at the last temperature, and weigh for the next one."""
    from blackjax.mcmc import hmc
    from blackjax.smc.resampling import systematic
    from blackjax.smc.tempered import TemperedSMCState, build_kernel

    location, scale_tril = jnp.asarray(broad.location), jnp.asarray(broad.scale_tril)

    def log_prior(u: Array) -> Array:
        return -0.5 * (u**2).sum()

    def log_ratio(u: Array) -> Array:
        value = scalar_log_density(target, location + scale_tril @ u) - log_prior(u)
        return jnp.where(jnp.isnan(value), -jnp.inf, value)

    move = build_kernel(
        log_prior,
        log_ratio,
        partial(hmc.build_kernel(), num_integration_steps=_STEPS),
        hmc.init,
        systematic,
    )
    settings = {"step_size": step[None], "inverse_mass_matrix": scale[None]}
    new, info = move(key, TemperedSMCState(*state), _MOVES, temperature, settings)
    return new, info.update_info.acceptance_rate.mean()
