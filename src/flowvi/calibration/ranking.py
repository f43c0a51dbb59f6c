"""The ranks of one simulated data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.diagnostics.ranks import evenly_thinned, rank_among
from flowvi.display import display
from flowvi.errors import ArgumentError, DataError, DensityError, SamplingError, SupportError
from flowvi.inference.budget import Budget, Ledger
from flowvi.inference.density import Density
from flowvi.posterior import Posterior
from flowvi.targets.base import Target

LOG_DENSITY = "log density"


class Ranked(NamedTuple):
    """What is kept of one simulated data set.

    Attributes:
        level: of the verdict.
        ranks: name -> rank of every scalar.
        constant: name -> whether all draws of a scalar equal its true value.
        left_out: name -> why it has no ranks.
        effective_draws: how many independent draws the posterior's were worth.
    """

    level: str
    ranks: dict[str, np.ndarray]
    constant: dict[str, np.ndarray]
    left_out: dict[str, str]
    effective_draws: float


def rank(
    truth: Mapping[str, np.ndarray],
    target: Target,
    posterior: Posterior,
    among: int,
    rng: np.random.Generator,
) -> Ranked:
    """Rank true values, and their log joint density with the data, among evenly spaced posterior draws.

    Raises:
        ArgumentError: a true value has no name or not the shape of a parameter.
        SamplingError: the posterior has too few draws.
        DensityError: true parameters and the data drawn with them have no density.
    """
    count = len(posterior.z)
    if count < among:
        raise SamplingError(f"There are only {count} draws to rank {among} among.")
    chosen = evenly_thinned(count, among)
    pairs = {name: (np.asarray(value), _draws(posterior, name)[chosen]) for name, value in truth.items()}
    left_out = {}
    try:
        z = np.concatenate([target.unconstrain(truth)[None], posterior.z[chosen]])
        log_density = _log_density(target, z)
        pairs[LOG_DENSITY] = np.asarray(log_density[0]), log_density[1:]
    except (DataError, SupportError) as error:
        # not every parameter is given, or a true value is at the edge of its support after rounding
        left_out[LOG_DENSITY] = str(error)
    ranks, constant = {}, {}
    for name, (value, draws) in pairs.items():
        if value.shape != draws.shape[1:]:
            raise ArgumentError(
                f"`simulate` gives '{name}' in the shape {value.shape}; the posterior's is {draws.shape[1:]}."
            )
        if np.isnan(value).any() or np.isnan(draws).any():
            left_out[name] = "there are NaN among its values"
        else:
            ranks[name], constant[name] = rank_among(value, draws, rng)
    return Ranked(posterior.verdict.level, ranks, constant, left_out, posterior.effective_draws)


def _draws(posterior: Posterior, name: str) -> np.ndarray:
    if name not in posterior.draws:
        raise ArgumentError(
            f"`simulate` gives a parameter '{name}', but the posterior's are {', '.join(posterior.draws)}."
        )
    return posterior.draws[name]


def _log_density(target: Target, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
    with display(progress=False) as silent:
        values = Density(target, Ledger(Budget(), silent)).value(z)
    if not np.isfinite(values[0]):
        raise DensityError(
            f"The log density of the true parameters and the data drawn with them is {values[0]}: the data "
            "are beyond the range of their type, or were not drawn from this model."
        )
    return values
