"""Residual flows: layers of a free form, kept invertible by the size of their weights."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, LocationScale, Residual, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def residual(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    length: int = 8,
    width: int = 32,
    depth: int = 2,
    contraction: float = 0.9,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Residual maps, then a trainable location and scale.

        y = x + g(x, condition),    |g(x) - g(x')| <= contraction |x - x'|

    Starts as the identity on the base (the standard normal, unless given). Draws with their log densities
    take dim derivatives of a network and dim^3 per map, or some 13 derivatives where training is content with
    estimates (`flowvi.flows.stochastic_log_det`); `log_prob` of other points solves an equation per map
    besides. One map stretches by at most 1 + contraction and shrinks by at most 1 - contraction.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, the base has another dim, or `contraction` is not between
            0 and 1.

    Source: Chen et al. 2019 (arXiv 1906.02735), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.residual(2, key=0, length=4)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, length=length, width=width, depth=depth, condition_dim=condition_dim)
    seeds = host_generator(key).integers(2**63, size=length)
    stacked = [
        Residual(
            dim,
            key=int(seed),
            condition_dim=condition_dim,
            width=width,
            depth=depth,
            contraction=contraction,
        )
        for seed in seeds
    ]
    end = LocationScale(np.zeros(dim), np.ones(dim))
    return Flow(base or Normal(dim), Chain([Scan.stack(stacked), end]))
