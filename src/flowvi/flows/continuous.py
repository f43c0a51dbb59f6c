"""Continuous flows: a network gives the velocity, an equation is solved for the rest."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, Continuous, LocationScale, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def continuous(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 1,
    width: int = 32,
    slope: float = 8.0,
    steps: int = 16,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Paths along velocity fields, one after the other, then a trainable location and scale.

        dz/dt = f_k(t, z, condition), t from 0 to 1,    |df_k/dz| <= slope

    Starts as the identity on the base (the standard normal, unless given). Draws and `log_prob` cost
    the same, 13 * steps evaluations of a network per layer, the exact trace of the Jacobian included.
    Neighbours drift apart by at most the factor e^slope; `steps` of about twice the slope keep the solver's
    error near 1e-9.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, `slope` is not positive, or the base has another dim.
        DependencyError: diffrax is missing, at the first draw or density.

    Source: Grathwohl et al. 2018 (arXiv 1810.01367), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.continuous(2, key=0, width=8)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, steps=steps, condition_dim=condition_dim)
    seeds = host_generator(key).integers(2**63, size=layers)
    stacked = [
        Continuous(dim, key=int(seed), condition_dim=condition_dim, width=width, slope=slope, steps=steps)
        for seed in seeds
    ]
    end = LocationScale(np.zeros(dim), np.ones(dim))
    return Flow(base or Normal(dim), Chain([Scan.stack(stacked), end]))
